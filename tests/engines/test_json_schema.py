from __future__ import annotations

import time
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from port_hook_cli.actions.action import BadAction
from port_hook_cli.actions.inputs import fault_message
from port_hook_cli.engines.json_schema import find_faults


def test_find_faults_checks_a_value_against_its_declaration() -> None:
    declarations: list[tuple[Any, list[Any], list[Any], str]] = [
        ({"type": "string"}, ["", "a"], [1, None, []], "must be string"),
        ({"type": "number"}, [1, 1.5, -0.0], ["1", True], "must be number"),
        ({"type": "boolean"}, [True, False], [0, "true"], "must be boolean"),
        ({"type": "object"}, [{}, {"a": 1}], ["{}", []], "must be object"),
        ({"type": "array"}, [[], [1]], ["[]", {}], "must be array"),
        ({"enum": ["a", 1]}, ["a", 1, 1.0], ["b", True], "must be equal to one of the allowed values: a, 1"),
        ({"minLength": 2, "maxLength": 3}, ["ab", "🚢🚢🚢"], ["a"], "must NOT have fewer than 2 characters"),
        ({"maxLength": 2}, ["🚢🚢"], ["abc"], "must NOT have more than 2 characters"),
        ({"minimum": 1, "maximum": 3}, [1, 3], [0.5], "must be >= 1"),
        ({"exclusiveMaximum": 3}, [2.9], [3], "must be < 3"),
        ({"pattern": "^a+$"}, ["aa", 1], ["aab", "a\n"], 'must match pattern "^a+$"'),
        ({"type": "array", "minItems": 1, "uniqueItems": True}, [[1]], [[1, 1]], "must NOT have duplicate items"),
        ({"type": "array", "minItems": 1}, [[1]], [[]], "must NOT have fewer than 1 items"),
        ({"items": {"type": "string", "enum": ["a"]}}, [["a"]], [["a", "b"]], "[1] must be equal to one of"),
        ({"format": "email"}, ["zoe@example.com"], ["zoe", "zoe@", "a b@example.com"], 'must match format "email"'),
        ({"format": "user"}, ["zoe@example.com"], ["zoe"], 'must match format "user"'),
        ({"format": "url"}, ["https://e.com/x", "ftp://e"], ["e.com", "http://", "http://a b", "x:1"], 'format "url"'),
        ({"format": "ipv4"}, ["10.0.0.1"], ["10.0.0", "10.0.0.256"], 'must match format "ipv4"'),
        ({"format": "ipv6"}, ["::1"], ["10.0.0.1"], 'must match format "ipv6"'),
        (
            {"format": "date-time"},
            ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678+02:00"],
            ["2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z"],
            'must match format "date-time"',
        ),
        ({"format": "date"}, ["2026-01-02"], ["2026-1-2", "20260102"], 'must match format "date"'),
        ({"format": "yaml"}, ["a: 1", "- b"], ["a: [", "a: b: c"], 'must match format "yaml"'),
        ({"format": "team"}, ["core"], [], ""),
        ({"format": "markdown"}, ["# x"], [], ""),
        ({"format": "something-new"}, ["x"], [], ""),
        ({"icon": "Server", "title": "T", "blueprint": "b", "sort": {}}, ["x", 1], [], ""),
    ]
    for rules, good, bad, expected in declarations:
        for value in good:
            assert find_faults(rules, value) == [], value
        for value in bad:
            assert expected in "; ".join(map(fault_message, find_faults(rules, value))), value


def test_pattern_is_left_to_port_when_only_javascript_can_parse_it() -> None:
    assert find_faults({"pattern": r"^\u{1F6A2}$"}, "x") == []
    assert find_faults({"pattern": "(" * 5000 + ")" * 5000}, "x") == []


def test_pattern_is_left_to_port_when_the_search_takes_too_long() -> None:
    started = time.monotonic()
    assert find_faults({"pattern": "a+$"}, "a" * 200_000 + "!") == []
    assert time.monotonic() - started < 30  # guards against a hang: without a limit it takes years


def test_pattern_search_matches_javascript() -> None:
    for pattern, match, other in [
        ("^([a-z0-9]+-?)+$", "create-vm-2", "Zoë \ud800"),
        ("^(a+)+$", "a" * 40, "a" * 40 + "!"),
        (r"^\p{Lu}[\p{L} ]+$", "Zoë Müller", "zoë 2"),
        (r"^\d\w$", "1a", "\u0663a"),
    ]:
        assert find_faults({"pattern": pattern}, match) == []
        assert [fault.keyword for fault in find_faults({"pattern": pattern}, other)] == ["pattern"]


def test_find_faults_shows_the_position_of_an_invalid_declaration() -> None:
    invalid: list[tuple[Any, str]] = [
        ({"type": "strin"}, "type"),
        ({"minLength": "3"}, "minLength"),
        ({"items": {"enum": "a"}}, "items.enum"),
    ]
    for rules, place in invalid:
        with pytest.raises(BadAction, match=f"at `{place}`"):
            find_faults(rules, "x")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, 1.0, 0.5, "", "a", "ab", "1"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=1),
    max_leaves=3,
)
_TYPES = st.sampled_from(["string", "number", "integer", "boolean", "object", "array", "null", "text"])


_LIMITS = st.sampled_from([0, 1, 2, 1.0, 0.5, -1, "1", True, False, None])


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "type": _TYPES | _VALUES,
            "enum": st.lists(_VALUES, max_size=3) | _VALUES,
            "minLength": _LIMITS,
            "maxLength": _LIMITS,
            "minimum": _LIMITS,
            "maximum": _LIMITS,
            "pattern": st.sampled_from(["", "^a", "b$", "^[a-z]{2}$"]) | _VALUES,
            "format": st.just("team") | _VALUES,
            "const": _VALUES,
        },
    ),
    _VALUES,
)
def test_find_faults_equals_the_library_result(rules: Any, value: Any) -> None:
    _compare_with_the_library(rules, value)


def test_find_faults_equals_the_library_result_for_each_keyword() -> None:
    keywords = ("type", "enum", "format", "pattern", "minLength", "maxLength", "minimum", "maximum")
    limits = [1, 1.0, -1, True, "1", "number", None, [1.0], [False], ["1b"], {}]
    for keyword, limit, value in product(keywords, limits, [0, 1, 2.5, True, "1b", None]):
        _compare_with_the_library({keyword: limit}, value)


def _compare_with_the_library(rules: Any, value: Any) -> None:
    if not Draft202012Validator(Draft202012Validator.META_SCHEMA).is_valid(rules):
        with pytest.raises(BadAction):
            find_faults(rules, value)
        return
    expected = [
        (error.validator, tuple(error.absolute_path)) for error in Draft202012Validator(rules).iter_errors(value)
    ]
    assert [(fault.keyword, fault.path) for fault in find_faults(rules, value)] == expected
