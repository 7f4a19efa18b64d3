from __future__ import annotations

from typing import Any

import pytest

from port_hook_cli.actions.action import BadAction
from port_hook_cli.actions.encryption import Scheme
from port_hook_cli.actions.inputs import (
    Encryption,
    as_seen,
    as_sent,
    default_queries,
    encryption_of,
    parse_input,
    plain_defaults,
    plaintext_of,
    rule_queries,
    secret_texts,
    settle,
)
from port_hook_cli.errors import UsageError

DECLARED: dict[str, Any] = {
    "name": {"type": "string"},
    "cpu": {"type": "number"},
    "on": {"type": "boolean"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "any": {"type": "object"},
    "either": {"type": ["string", "number"]},
    "entity": {"type": "string", "format": "entity"},
}
JQ = {"jqQuery": ".form.cpu"}


def test_parse_input_converts_a_value_to_its_declared_type() -> None:
    rows: list[tuple[Any, Any, Any]] = [
        ("name=12", "name", "12"),
        ("name=a=b:=c", "name", "a=b:=c"),
        ("cpu=4", "cpu", 4),
        ("cpu=two", "cpu", "two"),
        ("on=true", "on", True),
        ('tags=["a", "b"]', "tags", ["a", "b"]),
        ('any={"a": 1}', "any", {"a": 1}),
        ("either=4", "either", "4"),
        ("unknown=4", "unknown", "4"),
        ("name:=12", "name", 12),
        ("unknown:=null", "unknown", None),
        ('entity={"identifier": "a"}', "entity", {"identifier": "a"}),
        ("entity={a", "entity", "{a"),
    ]
    for text, name, value in rows:
        assert parse_input(text, DECLARED) == (name, value)


@pytest.mark.parametrize("text", ["name", "=4", "cpu:=s3cret"])
def test_parse_input_rejects_another_format_without_quoting_the_value(text: str) -> None:
    with pytest.raises(UsageError, match="--input") as refused:
        parse_input(text, DECLARED)
    assert "s3cret" not in refused.value.message


def test_defaults_replace_missing_inputs() -> None:
    declared = {"a": {"default": 1}, "b": {"default": False}, "c": {"default": JQ}, "d": {"default": None}, "e": 7}
    assert plain_defaults(declared, {"a": None}) == {"b": False}
    assert default_queries(declared, {}) == {"c": ".form.cpu"}
    assert default_queries(declared, {"c": 1}) == {}


def test_rule_queries_and_secret_texts_are_found_once_each() -> None:
    declared = {
        "a": {"enum": JQ, "visible": {"jqQuery": ".user"}, "default": {"jqQuery": "no"}, "dataset": {"jqQuery": "no"}},
        "b": {"items": {"enum": JQ}},
    }
    assert rule_queries(declared, {"jqQuery": "req"}) == ("req", ".form.cpu", ".user")
    declared = {"a": {"encryption": "aes256-gcm"}, "b": {"encryption": {"algorithm": "client-side"}}, "c": {}}
    values = {"a": "x", "b": {"k": ["y", 1, {"l": "z"}]}, "c": "open"}
    assert list(secret_texts(declared, values)) == ["x", "y", "z"]


def test_settle_replaces_jq_programs_by_their_results() -> None:
    declared = {
        "a": {"type": "string", "enum": JQ},
        "b": {"items": {"enum": JQ}},
        "c": {"enum": {"jqQuery": "bad"}},
        "d": {"enum": {"jqQuery": "none"}},
    }
    results = {".form.cpu": ["x"], "req": ["a", 7, "no"], "bad": None, "none": []}
    rules = settle(declared, {"jqQuery": "req"}, results)
    assert rules.declared == {
        "a": {"type": "string", "enum": ["x"]},
        "b": {"items": {"enum": ["x"]}},
        "c": {},
        "d": {"enum": []},
    }
    assert rules.required == ("a",)


def test_input_is_not_required_when_it_is_hidden_or_disabled() -> None:
    rows: list[tuple[Any, Any]] = [
        ({}, True),
        ({"visible": False}, False),
        ({"visible": {"jqQuery": "no"}}, False),
        ({"visible": {"jqQuery": "failed"}}, False),
        ({"displayCondition": {"jqQuery": "no"}}, False),
        ({"disabled": {"jqQuery": "yes"}}, False),
        ({"disabled": {"jqQuery": "no"}}, True),
    ]
    for rules, is_required in rows:
        settled = settle({"a": rules}, ["a"], {"yes": True, "no": False, "failed": None})
        assert (settled.required == ("a",)) is is_required


def test_input_can_declare_itself_required() -> None:
    declared = {"a": {"required": {"jqQuery": "yes"}}, "b": {"required": {"jqQuery": "no"}}, "c": {"required": True}}
    assert settle(declared, (), {"yes": True, "no": False}).required == ("a", "c")


def test_entity_input_is_an_object_in_templates_and_an_identifier_in_the_payload() -> None:
    one = {"type": "string", "format": "entity", "blueprint": "service"}
    many = {"type": "array", "items": one}
    seen = {"identifier": "a", "title": "a", "blueprint": "service"}
    whole = {"identifier": "a", "title": "A", "properties": {"x": 1}}
    assert as_seen(one, "a") == seen
    assert as_seen(one, whole) == whole
    assert as_seen(many, ["a", whole]) == [seen, whole]
    assert as_sent(many, ["a", whole]) == ["a", "a"]
    assert as_sent(one, whole) == "a"
    assert as_sent({"type": "object"}, whole) == whole


def test_encryption_of_accepts_only_ports_two_schemes() -> None:
    assert encryption_of("a", {}) is None
    assert encryption_of("a", {"encryption": "aes256-gcm"}) == Encryption(Scheme.AES_GCM)
    client_side = {"encryption": {"algorithm": "client-side", "key": "PEM"}}
    assert encryption_of("a", client_side) == Encryption(Scheme.CLIENT_SIDE, "PEM")
    wrongs: list[Any] = ["rot13", {"algorithm": "client-side"}, {"algorithm": []}, {}, 7, []]
    for wrong in wrongs:
        with pytest.raises(BadAction, match="input a"):
            encryption_of("a", {"encryption": wrong})


def test_plaintext_of_serializes_an_object_as_json() -> None:
    assert plaintext_of("zoë") == "zoë".encode()
    assert plaintext_of({"b": 1.0, "2": "ü"}) == '{"2":"ü","b":1}'.encode()
