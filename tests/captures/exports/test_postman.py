from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.captures.exports.postman import postman_collection
from port_hook_cli.invocations.headers import Headers
from tests.factories import a_capture, an_invocation

texts = st.text('{}"\\a', max_size=8)
documents = st.recursive(
    texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=5
)


@given(documents, texts, texts)
def test_capture_text_does_not_become_a_postman_variable(document: Any, header: str, path: str) -> None:
    invocation = an_invocation(json.dumps(document).encode(), headers=Headers((("x-h", header),)), method=f"P{header}")
    collection = postman_collection([(a_capture(invocation), f"http://127.0.0.1/{path}?{path}={path}")])
    request = collection["item"][0]["request"]
    named = [text for text in [*strings(request), collection["item"][0]["name"]] if "{{" in text]
    assert named == []
    assert json.loads(request["body"]["raw"]) == document


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in inner for text in strings(item)]
