from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.javascript.nesting import MOST_LEVELS, nests_too_deep

JSON = st.recursive(
    st.none() | st.text(alphabet='"\\[]{}a'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='"\\[]{}a'), inner),
)


def test_nesting_limit_is_the_same_in_every_python_version() -> None:
    for opener, closer in [("[", "]"), ('{"a":', "}")]:
        for levels, too_deep in ((MOST_LEVELS, False), (MOST_LEVELS + 1, True)):
            assert nests_too_deep(opener * levels + "1" + closer * levels) is too_deep
        json.loads("[" * MOST_LEVELS + "]" * MOST_LEVELS)


@given(JSON)
def test_brackets_in_strings_and_siblings_do_not_count_as_nesting(document: object) -> None:
    text = json.dumps([document, "[" * 1000, "{\\" * 1000, [[] for _ in range(MOST_LEVELS)]])
    assert not nests_too_deep(text)
