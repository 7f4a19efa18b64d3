"""Where encrypted properties are looked for, and what a decrypted one is taken for."""

from __future__ import annotations

import copy
import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.actions.encrypted_inputs import (
    Decryption,
    decryption_record,
    likely_paths,
    named_places,
    place_at,
    with_decrypted,
)
from port_hook_cli.actions.encryption import Problem, Scheme
from port_hook_cli.invocations.models import Headers
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.javascript.paths import MISSING, JsonPath
from tests.factories import a_document

SEALED = b64encode(bytes(range(40))).decode()
OLD_SHAPE: dict[str, Any] = {
    "payload": {"properties": {"password": SEALED, "cpu": 2}, "censoredProperties": ["password"]}
}


def naming(*names: str, **document: Any) -> dict[str, Any]:
    """What a template makes of Port's trigger data when it takes over the action."""
    return {"action": {"encryptedProperties": list(names)}, **document}


def found(document: Any) -> dict[str, Any]:
    payload = read_payload(json.dumps(document).encode(), Headers())
    return {str(place.path): place.value for place in named_places(payload)}


def opened(plaintext: bytes, path: str = "inputs.password") -> Decryption:
    return Decryption(path=JsonPath.parse(path), plaintext=plaintext, scheme=Scheme.AES_GCM)


@pytest.mark.parametrize(
    ("document", "paths"),
    [
        (OLD_SHAPE, ["payload.properties.password"]),
        (naming("pw", inputs={"pw": SEALED}), ["inputs.pw"]),
        (naming("pw", port_payload={"inputs": {"pw": SEALED}}), ["port_payload.inputs.pw"]),
        (naming("pw", vm=[{"pw": SEALED}]), ["vm[0].pw"]),
        (naming("pw", pw=SEALED), ["pw"]),
        (naming("a", "b", inputs={"b": SEALED, "a": SEALED}), ["inputs.a", "inputs.b"]),
        (naming("a.b", inputs={"a.b": SEALED}), ['inputs["a.b"]']),
        (naming("pw", inputs={"pw": SEALED}, x={"pw": SEALED}), ["inputs.pw", "x.pw"]),
        (a_document(), []),
        ({"inputs": {"pw": SEALED}}, []),
    ],
)
def test_the_properties_that_a_payload_names_are_found_in_any_shape(document: Any, paths: list[str]) -> None:
    assert found(document) == dict.fromkeys(paths, SEALED)


def test_among_the_inputs_a_named_property_counts_whatever_it_holds() -> None:
    document = copy.deepcopy(OLD_SHAPE)
    document["payload"]["properties"]["password"] = "never encrypted"
    assert found(document) == {"payload.properties.password": "never encrypted"}


def test_elsewhere_a_key_of_that_name_counts_only_if_its_value_looks_encrypted() -> None:
    document = {**OLD_SHAPE, "schema": {"password": {"type": "string"}}, "help": {"password": "the root password"}}
    assert found(document) == {"payload.properties.password": SEALED}


def test_a_named_property_that_stands_nowhere_is_missing_and_an_empty_one_is_no_trouble() -> None:
    document = naming("gone", "empty", inputs={"empty": None})
    assert found(document) == {"gone": MISSING}


def test_a_path_leads_to_its_place_and_a_bare_name_to_the_input_of_that_name() -> None:
    document = {**OLD_SHAPE, "cpu": 1}
    assert place_at(document, JsonPath.parse("payload.properties.password")).value == SEALED
    assert str(place_at(document, JsonPath.parse("password")).path) == "payload.properties.password"
    assert place_at(document, JsonPath.parse("cpu")).value == 1
    for path in ("nothing", "payload.nothing", "payload[0]", "payload[]"):
        place = place_at(document, JsonPath.parse(path))
        assert (str(place.path), place.value) == (path, MISSING)


def test_values_that_look_encrypted_are_named_and_not_more_than_asked_for() -> None:
    document = {"a": SEALED, "b": ["short", SEALED, 17], "c": "no base64 at all, though long enough to be some"}
    assert list(map(str, likely_paths(document, most=5))) == ["a", "b[1]"]
    assert list(map(str, likely_paths(document, most=1))) == ["a"]
    assert likely_paths(SEALED, most=5) == []


def test_a_hostile_document_is_searched_up_to_a_bound() -> None:
    wide = naming("pw", wide=[0] * 200_000, last={"pw": SEALED})
    assert found(wide) == {"pw": MISSING}
    deep: Any = {"pw": SEALED}
    for _ in range(600):
        deep = {"d": deep}
    assert list(found(naming("pw", **deep))) == ["d." * 600 + "pw"]


@pytest.mark.parametrize(
    ("plaintext", "value"),
    [
        (b"s3cret", "s3cret"),
        (b"", ""),
        (b'{"user":"zo\xc3\xab","n":1.5}', {"user": "zoë", "n": 1.5}),
        (b" {} ", {}),
        (b"[1]", "[1]"),
        (b'"quoted"', '"quoted"'),
        (b"17", "17"),
        (b"{no json", "{no json"),
        (b'{"a":NaN}', '{"a":NaN}'),
        (b'{"a":1e999}', '{"a":1e999}'),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, '{"a":' * 5000 + "1" + "}" * 5000),
        (b"\xff\xfe", None),
    ],
    ids=lambda it: repr(it)[:30],
)
def test_an_object_comes_out_as_an_object_and_everything_else_as_text(plaintext: bytes, value: Any) -> None:
    assert opened(plaintext).value == value


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())))
def test_any_object_comes_out_as_it_was(document: dict[str, Any]) -> None:
    assert opened(json.dumps(document).encode()).value == document


def test_a_record_holds_the_value_or_the_problem() -> None:
    assert decryption_record(opened(b'{"a":1}')) == {
        "schema": "port-hook/decryption/1",
        "path": "inputs.password",
        "value": {"a": 1},
        "scheme": "aes256-gcm",
        "problem": None,
        "message": None,
    }
    failed = Decryption(path=JsonPath.parse("a"), problem=Problem.WRONG_KEY, message="it does not open")
    assert decryption_record(failed) == {
        "schema": "port-hook/decryption/1",
        "path": "a",
        "value": None,
        "scheme": None,
        "problem": "wrong-key",
        "message": "it does not open",
    }


def test_a_record_of_bytes_that_are_no_text_has_them_in_base64() -> None:
    record = decryption_record(opened(b"\xff\x00"))
    assert (record["value"], record["value_base64"]) == (None, "/wA=")


def test_decrypted_values_go_into_a_copy() -> None:
    document = copy.deepcopy(OLD_SHAPE)
    failed = Decryption(path=JsonPath.parse("payload.properties.cpu"), problem=Problem.NOT_ENCRYPTED)
    result = with_decrypted(document, [opened(b'{"a":1}', "payload.properties.password"), failed])
    assert result["payload"]["properties"] == {"password": {"a": 1}, "cpu": 2}
    assert document == OLD_SHAPE


def test_nothing_decrypted_shows_where_a_value_is_printed_by_accident() -> None:
    assert "s3cret" not in repr(opened(b"s3cret"))
