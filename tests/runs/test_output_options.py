from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.errors import SourceError, UsageError
from port_hook_cli.runs.output_options import read_output

KEYS = st.text(
    st.characters(codec="utf-8", exclude_characters=".={[ \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0"), min_size=1
)


def test_read_output_merges_objects_and_paths_in_order_and_rounds_like_port() -> None:
    assert read_output([]) is None

    rows: list[tuple[Any, Any]] = [
        (['{"a": 1}'], {"a": 1}),
        (["a=1"], {"a": 1}),
        (["a.b=[1]", 'a.c="x"'], {"a": {"b": [1], "c": "x"}}),
        (['{"a": 1, "b": 2}', "a.c=null"], {"a": {"c": None}, "b": 2}),
        (["a=1", '{"a": 2}'], {"a": 2}),
        (["{}"], {}),
        (["/a~1b/c=1"], {"a/b": {"c": 1}}),
    ]
    for texts, output in rows:
        assert read_output(texts) == output

    assert read_output(["id=9007199254740993"]) == {"id": 9007199254740992}


@pytest.mark.parametrize("text", ["", "a", "a..b=1", "a=text", "[1]", "{"])
def test_read_output_rejects_other_text(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--output"):
        read_output([text])


def test_read_output_names_the_file_with_other_content() -> None:
    with pytest.raises(SourceError, match=r"^o\.json: --output is not a JSON object"):
        read_output(['{"a": 1}', "@o.json"], lambda text: "[1]" if text == "@o.json" else text)


# A double can represent these integers. Larger numbers are rounded, like in Port.
INTEGERS = st.integers(-(2**53), 2**53)


# A path that begins with a slash is a JSON Pointer.
PATHS = st.lists(KEYS, min_size=1, max_size=4).filter(lambda keys: not keys[0].startswith("/"))


@given(PATHS, INTEGERS | st.text(st.characters(codec="utf-8")))
def test_read_output_sets_a_value_at_its_path(keys: list[str], value: Any) -> None:
    found: Any = read_output([f"{'.'.join(keys)}={json.dumps(value)}"])
    for key in keys:
        found = found[key]
    assert found == value
