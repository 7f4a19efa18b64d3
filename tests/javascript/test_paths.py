from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.errors import UsageError
from port_hook_cli.javascript.paths import END, MISSING, JsonPath, get_at, set_at, split_assignment, unset_at

KEYS = st.text(max_size=6)
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


def path(text: str) -> JsonPath:
    return JsonPath.parse(text)


def test_path_is_parsed_into_its_steps() -> None:
    paths: list[tuple[str, tuple[Any, ...]]] = [
        ("a", ("a",)),
        (".a", ("a",)),
        ("payload.properties.cpu", ("payload", "properties", "cpu")),
        ("tags[0]", ("tags", 0)),
        ("tags[]", ("tags", END)),
        ("[2].x", (2, "x")),
        ("a[0][1].b", ("a", 0, 1, "b")),
        ('inputs["my.key"]', ("inputs", "my.key")),
        ('inputs."my.key".x', ("inputs", "my.key", "x")),
        (r'a["\"]=\u00e9"]', ("a", '"]=é')),
        ("Zoë.日本", ("Zoë", "日本")),
        ("a.0", ("a", "0")),
        ("a-b_c d", ("a-b_c d",)),
    ]
    for text, steps in paths:
        assert path(text).steps == steps


def test_pointer_gets_its_steps_from_the_document() -> None:
    pointers: list[tuple[str, Any, tuple[Any, ...]]] = [
        ("/a", {}, ("a",)),
        ("/", {"": 1}, ("",)),
        ("/a/0", {"a": [1]}, ("a", 0)),
        ("/a/0", {"a": {"0": 1}}, ("a", "0")),
        ("/a/-", {"a": []}, ("a", END)),
        ("/a/-", {"a": {}}, ("a", "-")),
        ("/a/01", {"a": [1, 2]}, ("a", "01")),
        ("/a/1/b", {"a": [1]}, ("a", 1, "b")),
        ("/~1a/x~0y/b.c[0]", {}, ("/a", "x~y", "b.c[0]")),
        ('["/a"].b', {}, ("/a", "b")),
    ]
    for text, document, steps in pointers:
        fitted = path(text).fitted(document)
        assert fitted.steps == steps
        assert str(fitted) == str(path(text)) == text


def test_pointer_error_shows_json_pointers() -> None:
    errors: list[tuple[Any, str, str, str]] = [
        ({"a": "x"}, "/a/b", "/a/b: /a is a string, so it has no /b.", "Write a number for an item of an array. "),
        ({"a": [1]}, "/a/b", "/a/b: /a is an array, so it has no /b.", "Write a number for an item of an array. "),
        ({"a": [1]}, "/a/5", "/a/5: /a has 1 items, so there is no /5 to set.", "Write /a/- to append an item."),
        ([1], "/5", "/5: the document has 1 items, so there is no /5 to set.", "Write /- to append an item."),
    ]
    for document, where, words, hint in errors:
        with pytest.raises(UsageError) as caught:
            set_at(document, path(where), 9)
        assert caught.value.message == words
        assert caught.value.hint.startswith(hint)


def test_path_is_rejected_when_it_cannot_be_parsed() -> None:
    for text in ["", ".", "a.", "a..b", "a[", "a[x]", "a[-1]", "a[0]b", 'a["x]', 'a["\\q"]', "a]", "a=b"]:
        with pytest.raises(UsageError) as caught:
            path(text)
        assert caught.value.hint
    with pytest.raises(UsageError, match=r"'\[x\]\.b'"):
        path("a[x].b")
    for text in ("/a~", "/a~2b"):
        with pytest.raises(UsageError, match="is not a JSON Pointer"):
            path(text)


@given(st.lists(KEYS.filter(lambda key: key.isprintable()) | st.integers(0, 999), min_size=1, max_size=5))
def test_formatted_path_parses_to_itself(steps: list[str | int]) -> None:
    written = JsonPath(tuple(steps))
    assert path(str(written)) == written


def test_assignment_splits_at_the_first_equals_sign_outside_quotes() -> None:
    for text, parts in [
        ("a=1", ("a", "1")),
        ("a=b=c", ("a", "b=c")),
        ('a["x=y"]=2', ('a["x=y"]', "2")),
        ("a=", ("a", "")),
    ]:
        assert split_assignment(text) == parts
    for text in ("a", "", 'a["=1'):
        with pytest.raises(UsageError):
            split_assignment(text)


def test_set_at_replaces_appends_and_creates_missing_values() -> None:
    changes: list[tuple[Any, str, Any]] = [
        ({}, "a.b", {"a": {"b": 9}}),
        ({"a": None}, "a.b", {"a": {"b": 9}}),
        ({}, "tags[]", {"tags": [9]}),
        ({}, "tags[0].x", {"tags": [{"x": 9}]}),
        ({"tags": [1, 2]}, "tags[]", {"tags": [1, 2, 9]}),
        ({"tags": [1, 2]}, "tags[2]", {"tags": [1, 2, 9]}),
        ({"tags": [1, 2]}, "tags[0]", {"tags": [9, 2]}),
        ({"a": 1, "b": 2}, "a", {"a": 9, "b": 2}),
        ([1], "[0]", [9]),
        (None, "a", {"a": 9}),
    ]
    for document, where, after in changes:
        assert set_at(document, path(where), 9) == after


def test_set_at_error_shows_the_mismatching_part_of_the_path() -> None:
    errors: list[tuple[Any, str, str]] = [
        ({"a": {"b": 1}}, "a.b.c", r"a\.b is a number, so it has no \.c"),
        ({"a": "x"}, "a[0]", r"a is a string, so it has no \[0\]"),
        ({"a": [1]}, "a.b", r"a is an array, so it has no \.b"),
        ({"a": {}}, "a[]", r"a is an object, so it has no \[\]"),
        ({"a": True}, "a.b", r"a is true, so"),
        ({"a": False}, "a.b", r"a is false, so"),
        ({"a": [1]}, "a[5]", "a has 1 items"),
        ([1], "x", "the document is an array"),
    ]
    for document, where, words in errors:
        with pytest.raises(UsageError, match=words):
            set_at(document, path(where), 9)


@given(DOCUMENTS, st.lists(KEYS | st.integers(0, 3), min_size=1, max_size=4), SCALARS)
def test_set_at_sets_the_value_in_a_copy(document: Any, steps: list[str | int], value: Any) -> None:
    before = copy.deepcopy(document)
    place = JsonPath(tuple(steps))
    try:
        after = set_at(document, place, value)
    except UsageError:
        return
    finally:
        assert json.dumps(document) == json.dumps(before)
    assert json.dumps(get_at(after, place)) == json.dumps(value)
    if isinstance(steps[-1], str):
        assert get_at(unset_at(after, place), place) is MISSING


@given(DOCUMENTS, st.lists(KEYS | st.integers(0, 3), min_size=1, max_size=4))
def test_unset_at_removes_one_value_or_returns_the_same_document(document: Any, steps: list[str | int]) -> None:
    place = JsonPath(tuple(steps))
    before = copy.deepcopy(document)
    after = unset_at(document, place)
    assert document == before
    if get_at(document, place) is MISSING:
        assert after is document
    else:
        parent = get_at(document, JsonPath(tuple(steps[:-1])))
        assert len(get_at(after, JsonPath(tuple(steps[:-1])))) == len(parent) - 1


def test_get_at_returns_missing_after_the_last_item() -> None:
    assert get_at({"a": [1]}, path("a[]")) is MISSING
    document = {"a": [1]}
    assert unset_at(document, path("a[]")) is document


def test_path_with_10000_steps_can_be_set_and_read() -> None:
    long = JsonPath(("a",) * 10_000)
    assert get_at(set_at({}, long, 1), long) == 1
