"""Sample inputs are valid, and bad inputs differ from them."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from port_hook_cli.actions.sample_inputs import bad_inputs, sample_inputs
from port_hook_cli.engines.json_schema import find_faults
from tests.json_values import json_values

JQ = {"jqQuery": ".form.cpu > 1"}


def sample(rules: Any, required: Any = ("x",), values: dict[str, Any] | None = None) -> Any:
    """Return the sample of one input, or `left out`."""
    return sample_inputs({"x": rules}, required, values or {}, check=find_faults).get("x", "left out")


def test_sample_of_a_declared_input() -> None:
    rows: list[tuple[Any, Any]] = [
        ({"type": "string"}, "sample"),
        ({}, "sample"),
        ({"type": "string", "maxLength": 3}, "sam"),
        ({"type": "string", "maxLength": 0}, ""),
        ({"type": "string", "minLength": 10}, "samplesamp"),
        ({"type": "string", "format": "url"}, "https://example.com/sample-1"),
        ({"type": "string", "format": "email"}, "user1@example.com"),
        ({"type": "string", "format": "email", "minLength": 20}, "user1@example.comaaa"),
        ({"type": "string", "format": "user"}, "user1@example.com"),
        ({"type": "string", "format": "team"}, "team-1"),
        ({"type": "string", "format": "date-time"}, "2030-01-01T12:01:00Z"),
        ({"type": "string", "format": "timer"}, "2030-01-01T12:01:00Z"),
        ({"type": "string", "format": "date"}, "2030-01-01"),
        ({"type": "string", "format": "entity", "blueprint": "vm"}, "sample"),
        ({"type": "string", "format": "proto"}, 'syntax = "proto3";'),
        ({"type": "string", "format": "ipv4"}, "10.0.0.1"),
        ({"type": "string", "format": "ipv6"}, "2001:db8::1"),
        ({"type": "string", "format": "yaml"}, "sample: 1"),
        ({"type": "string", "format": "something-new"}, "sample"),
        ({"type": "string", "enum": ["a", "b"]}, "a"),
        ({"type": "string", "enum": [1, None, "b"]}, "b"),
        ({"const": {"a": 1}}, {"a": 1}),
        ({"type": ["null", "boolean"]}, True),
        ({"type": "number"}, 1),
        ({"type": "number", "minimum": 2}, 2),
        ({"type": "number", "minimum": 500, "multipleOf": 256}, 512),
        ({"minimum": 10}, 10),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "number", "maximum": -3}, -3),
        ({"type": "number", "exclusiveMaximum": 1}, 0),
        ({"type": "number", "multipleOf": 7}, 7),
        ({"type": "integer", "exclusiveMinimum": 2.5, "maximum": 3.5}, 3),
        ({"type": "array"}, ["sample"]),
        ({"items": {"type": "number"}}, [1]),
        ({"type": "array", "maxItems": 0}, []),
        ({"type": "array", "items": {"enum": [None]}}, []),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 3}, [True, True, True]),
        ({"type": "array", "items": {"format": "ipv4"}, "minItems": 2, "uniqueItems": True}, ["10.0.0.1", "10.0.0.2"]),
        ({"type": "array", "items": {"enum": ["a", "a", "b"]}, "minItems": 2, "uniqueItems": True}, ["a", "b"]),
        ({"type": "object"}, {"name": "sample"}),
    ]
    for rules, expected in rows:
        assert sample(rules) == expected
        assert type(sample(rules)) is type(expected)
        assert find_faults(rules, expected) == []


def test_sample_matches_common_patterns() -> None:
    rows: list[tuple[Any, Any]] = [
        ("^.{3,10}$", "sample"),
        (r"^\d+$", "1"),
        (r"^\d{12}$", "123456789012"),
        ("^[a-f0-9]{40}$", "1234567890" * 4),
        ("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "00000000-0000-4000-8000-000000000001"),
        ("^(dev|staging|prod)$", "dev"),
        ("^team-[a-z]+$", "team-sample"),
        ("^[a-z]+-svc$", "sample-svc"),
        ("^CHG[0-9]{7}$", "CHG1234567"),
        (r"^https://github\.com/[^/]+/[^/]+$", "https://github.com/sample/sample"),
        ("^[A-Z]{2,5}-[0-9]+$", "ABC-1"),
        ("^zz[qx]{7}!$", "left out"),
    ]
    for pattern, expected in rows:
        assert sample({"type": "string", "pattern": pattern}) == expected


def test_input_is_left_out_when_it_needs_no_sample_or_has_no_known_sample() -> None:
    rows: list[Any] = [
        {"type": "string", "default": "a"},
        {"type": "string", "visible": False},
        {"type": "string", "displayCondition": False},
        {"type": "string", "disabled": True},
        {"type": "string", "enum": JQ},
        {"type": "array", "items": {"type": "string", "enum": JQ}},
        {"type": "array", "items": JQ},
        {"type": "null"},
        {"type": "string", "enum": []},
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"type": "string", "minLength": 10**9},
        {"type": "array", "minItems": 10**9},
        {"type": "array", "items": {"type": "boolean"}, "minItems": 3, "uniqueItems": True},
        {"type": "number", "minimum": math.inf},
        {"type": "number", "minimum": 10**400, "multipleOf": 0.5},
        {"type": "number", "minimum": "1"},
        {"type": "string", "minLength": -1},
        "not an object",
    ]
    for rules in rows:
        assert sample(rules) == "left out"


def test_input_with_arrays_at_too_many_levels_is_left_out() -> None:
    rules: dict[str, Any] = {"type": "string"}
    for _ in range(5_000):
        rules = {"type": "array", "items": rules}
    assert sample(rules) == "left out"

    declared = {"a": {"type": "string"}, "b": {"type": "string"}, "c": {"type": "string"}}
    assert sample_inputs(declared, ["a", "b"], {"a": "mine", "c": None}, check=find_faults) == {"b": "sample"}


def test_optional_inputs_have_a_sample_if_they_are_plain_and_visible() -> None:
    rows: list[tuple[Any, Any]] = [
        ({"type": "string"}, "sample"),
        ({"type": "boolean"}, True),
        ({"type": "object", "enum": [{"a": 1}]}, {"a": 1}),
        ({"type": "array"}, "left out"),
        ({"type": "object"}, "left out"),
        ({"type": "string", "visible": JQ}, "left out"),
        ({"type": "string", "visible": True}, "sample"),
        ({"type": "array", "required": True}, ["sample"]),
        ({"type": "array", "required": JQ}, ["sample"]),
    ]
    for rules, expected in rows:
        assert sample(rules, required=["other"]) == expected
        assert sample(rules, required=None) == expected


def test_required_input_has_a_sample_when_jq_may_require_or_show_it() -> None:
    assert sample({"type": "array", "visible": JQ}) == ["sample"]

    assert sample({"type": "array"}, required=JQ) == ["sample"]
    assert sample({"type": "array", "visible": False}, required=JQ) == "left out"

    assert sample({"type": "string", "default": None}) == "sample"


FORMATS = ("url", "email", "user", "team", "date-time", "entity", "yaml", "proto", "ipv4", "x")
bounds = st.integers(-50, 50) | st.floats(-50, 50).map(lambda number: round(number, 2))
texts = st.fixed_dictionaries(
    {"type": st.just("string")},
    optional={
        "format": st.sampled_from(FORMATS),
        "minLength": st.integers(0, 60),
        "maxLength": st.integers(0, 60),
        "pattern": st.sampled_from(["^[a-z-]+$", r"^\d{3,}$", "^.{3,10}$", "(", "^(a+)+$", "^(dev|prod)$"]),
        "enum": st.lists(st.text(max_size=5), min_size=1, max_size=4),
        "const": st.text(max_size=3),
    },
)  # fmt: skip
numbers = st.fixed_dictionaries(
    {"type": st.sampled_from(["number", "integer"])},
    optional={
        "minimum": bounds,
        "maximum": bounds,
        "exclusiveMinimum": bounds,
        "exclusiveMaximum": bounds,
        "multipleOf": st.sampled_from([1, 2, 0.5, 0.1, 7, 256]),
        "enum": st.lists(bounds, min_size=1, max_size=4),
    },
)
others = st.sampled_from([{"type": "boolean"}, {"type": "object"}, {"type": ["null", "string"]}, {}])


def _arrays_of(items: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    optional = {
        "items": items,
        "minItems": st.integers(0, 6),
        "maxItems": st.integers(0, 6),
        "uniqueItems": st.booleans(),
    }
    return st.fixed_dictionaries({"type": st.just("array")}, optional=optional)


declarations = st.recursive(texts | numbers | others, _arrays_of, max_leaves=3)
extras = st.fixed_dictionaries(
    {},
    optional={
        "visible": st.sampled_from([True, False, JQ]),
        "default": st.sampled_from(["a", 1, None, JQ]),
        "dataset": st.just({"combinator": "and", "rules": []}),
        "required": st.booleans(),
    },
)
fields = st.builds(lambda rules, more: {**rules, **more}, declarations, extras)


@given(st.dictionaries(st.sampled_from("abcd"), fields, max_size=4), st.lists(st.sampled_from("abcd")))
def test_samples_of_any_declarations_are_valid(declared: dict[str, Any], required: list[str]) -> None:
    samples = sample_inputs(declared, required, {}, check=find_faults)
    assert samples == sample_inputs(declared, required, {}, check=find_faults)
    for name, value in samples.items():
        assert value is not None
        assert declared[name].get("visible") is not False
        assert find_faults(declared[name], value) == []


@given(st.integers(-10_000, 10_000), st.integers(0, 10_000), st.sampled_from(["number", "integer"]))
def test_number_with_satisfiable_bounds_has_a_sample(low: int, width: int, kind: str) -> None:
    assert low <= sample({"type": kind, "minimum": low, "maximum": low + width}) <= low + width
    assert low - 1 < sample({"type": kind, "exclusiveMinimum": low - 1, "exclusiveMaximum": low + 1}) < low + 1


@given(st.integers(0, 200), st.integers(0, 200))
def test_text_with_satisfiable_length_has_a_sample(least: int, more: int) -> None:
    assert least <= len(sample({"type": "string", "minLength": least, "maxLength": least + more})) <= least + more


@settings(max_examples=15)
@given(st.integers(1, 20), st.sampled_from(["url", "email", "entity", "ipv4", "date", "x"]))
def test_array_of_different_texts_has_a_sample(count: int, kind: str) -> None:
    items = {"type": "string", "format": kind}
    assert len(sample({"type": "array", "items": items, "minItems": count, "uniqueItems": True})) == count


# --- bad inputs

LATER_NAMES = ("null for every input", "values of another type", "no inputs")


def test_bad_inputs_begin_with_the_most_realistic_variation() -> None:
    values = {"title": "dev", "cpu": 2, "memory": 1.5, "public": True, "tags": ["a"], "meta": {"a": 1}, "none": None}
    assert [tuple(bad) for bad in bad_inputs(values)] == [
        (
            "empty text, negative numbers, inverted booleans, empty lists and empty objects",
            {"title": "", "cpu": -1, "memory": -1, "public": False, "tags": [], "meta": {}, "none": None},
        ),
        ("null for every input", dict.fromkeys(values)),
        (
            "values of another type",
            {
                "title": 12345, "cpu": "not a number", "memory": "not a number", "public": "not a boolean",
                "tags": "not a list", "meta": "not an object", "none": "not null",
            },
        ),
        ("no inputs", {}),
    ]  # fmt: skip


def test_bad_inputs_are_left_out_when_they_equal_the_valid_inputs() -> None:
    rows: list[tuple[Any, Any]] = [
        ({"a": "x", "b": 1}, ["empty text and negative numbers", *LATER_NAMES]),
        ({"a": ""}, [*LATER_NAMES]),
        ({"a": None}, ["values of another type", "no inputs"]),
        ({}, []),
    ]
    for values, names in rows:
        assert [bad.name for bad in bad_inputs(values)] == names


@given(st.dictionaries(st.text(max_size=3), json_values(st.integers() | st.text(max_size=3), max_leaves=3), max_size=4))
def test_bad_inputs_differ_from_valid_inputs_and_have_only_their_names(values: dict[str, Any]) -> None:
    before = repr(values)
    variations = [bad.values for bad in bad_inputs(values)]
    assert len(variations) <= 4
    assert all(bad != values and bad.keys() <= values.keys() for bad in variations)
    assert repr(values) == before
