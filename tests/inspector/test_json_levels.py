from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.inspector.json_levels import (
    MAX_MATCHES,
    describe,
    find,
    level,
    scalar_text,
)
from port_hook_cli.javascript.paths import NoSuchValue, short_text, value_at

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("aB~/", max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("aB~/", max_size=3), inner, max_size=4),
)


@given(documents)
def test_every_path_of_every_level_leads_to_its_value(document: Any) -> None:
    waiting = [""]
    while waiting:
        found = level(document, waiting.pop())
        for child in found["children"]:
            value = value_at(document, child["path"])
            assert describe(value) == {name: child[name] for name in ("type", "size", "text")}
            waiting.append(child["path"])


@given(documents, st.text("aB~/", min_size=1, max_size=2))
def test_matches_are_the_members_with_the_text(document: Any, text: str) -> None:
    def expected(value: Any, pointer: str) -> list[str]:
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        paths = []
        for key, inner in pairs:
            path = f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"
            is_scalar = not isinstance(inner, (dict, list))
            shown = inner if isinstance(inner, str) else scalar_text(inner)
            if text.casefold() in str(key).casefold() or (is_scalar and text.casefold() in shown.casefold()):
                paths.append(path)
            paths += expected(inner, path)
        return paths

    assert find(document, text) == {"matches": expected(document, ""), "complete": True}


def test_unknown_pointer_is_rejected() -> None:
    for pointer in ("x", "/x", "/0/0", "/2", "/-1", "/²", "/" + "9" * 5_000):
        with pytest.raises(NoSuchValue):
            value_at([1, 2], pointer)


def test_matches_are_limited_and_do_not_have_endless_pointers() -> None:
    assert find(["x"] * 1_000, "x") == {"matches": [f"/{n}" for n in range(MAX_MATCHES)], "complete": False}
    deep: Any = "needle"
    for _ in range(900):
        deep = {"k" * 10_000: deep}
    assert find(deep, "needle") == {"matches": [], "complete": False}


def test_short_text_ends_at_its_limit_for_deep_and_long_values() -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    assert short_text(deep, 10) == "[[[[[[[[[[…"
    assert short_text("x" * 10_000_000, 10) == '"xxxxxxxxx…'
    assert short_text({"a": [1, None]}, 14) == '{"a":[1,null]}'
    assert short_text({"a": [1, None]}, 13) == '{"a":[1,null]…'
