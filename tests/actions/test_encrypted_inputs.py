"""The search for encrypted properties, and the reading of decrypted properties."""

from __future__ import annotations

import copy
import json
from base64 import b64encode
from typing import Any

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
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.javascript.paths import MISSING, JsonPath
from tests.factories import a_document

SEALED = b64encode(bytes(range(40))).decode()
OLD_SHAPE: dict[str, Any] = {
    "payload": {"properties": {"password": SEALED, "cpu": 2}, "censoredProperties": ["password"]}
}


def naming(*names: str, **document: Any) -> dict[str, Any]:
    """Return a payload whose template copies the action from Port's trigger data."""
    return {"action": {"encryptedProperties": list(names)}, **document}


def found(document: Any) -> dict[str, Any]:
    payload = read_payload(json.dumps(document).encode(), Headers())
    return {str(place.path): place.value for place in named_places(payload)}


def opened(plaintext: bytes, path: str = "inputs.password") -> Decryption:
    return Decryption(path=JsonPath.parse(path), plaintext=plaintext, scheme=Scheme.AES_GCM)


def test_named_places_finds_encrypted_properties_in_any_form_of_payload() -> None:
    rows: list[tuple[Any, Any]] = [
        (OLD_SHAPE, ["payload.properties.password"]),
        (naming("pw", inputs={"pw": SEALED}), ["inputs.pw"]),
        (naming("pw", vm=[{"pw": SEALED}]), ["vm[0].pw"]),
        (naming("pw", pw=SEALED), ["pw"]),
        (naming("a.b", inputs={"a.b": SEALED}), ['inputs["a.b"]']),
        (naming("pw", inputs={"pw": SEALED}, x={"pw": SEALED}), ["inputs.pw", "x.pw"]),
        (a_document(), []),
        ({"inputs": {"pw": SEALED}}, []),
    ]
    for document, paths in rows:
        assert found(document) == dict.fromkeys(paths, SEALED)


def test_named_places_includes_other_keys_only_when_their_value_looks_encrypted() -> None:
    document = copy.deepcopy(OLD_SHAPE)
    document["payload"]["properties"]["password"] = "never encrypted"
    assert found(document) == {"payload.properties.password": "never encrypted"}

    document = {**OLD_SHAPE, "schema": {"password": {"type": "string"}}, "help": {"password": "the root password"}}
    assert found(document) == {"payload.properties.password": SEALED}

    document = naming("gone", "empty", inputs={"empty": None})
    assert found(document) == {"gone": MISSING}


def test_place_at_finds_a_path_or_an_input_by_its_name() -> None:
    document = {**OLD_SHAPE, "cpu": 1}
    assert place_at(document, JsonPath.parse("payload.properties.password")).value == SEALED
    assert str(place_at(document, JsonPath.parse("password")).path) == "payload.properties.password"
    assert place_at(document, JsonPath.parse("cpu")).value == 1
    for path in ("nothing", "payload.nothing", "payload[0]", "payload[]"):
        place = place_at(document, JsonPath.parse(path))
        assert (str(place.path), place.value) == (path, MISSING)


def test_likely_paths_returns_likely_encrypted_values_up_to_a_limit() -> None:
    document = {"a": SEALED, "b": ["short", SEALED, 17], "c": "no base64 at all, though long enough to be some"}
    assert list(map(str, likely_paths(document, most=5))) == ["a", "b[1]"]
    assert list(map(str, likely_paths(document, most=1))) == ["a"]
    assert likely_paths(SEALED, most=5) == []


def test_wide_or_deep_document_is_searched_only_up_to_a_limit() -> None:
    wide = naming("pw", wide=[0] * 200_000, last={"pw": SEALED})
    assert found(wide) == {"pw": MISSING}
    deep: Any = {"pw": SEALED}
    for _ in range(600):
        deep = {"d": deep}
    assert list(found(naming("pw", **deep))) == ["d." * 600 + "pw"]


def test_decrypted_value_is_an_object_or_text() -> None:
    rows: list[tuple[Any, Any]] = [
        (b"s3cret", "s3cret"),
        (b"", ""),
        (b'{"user":"zo\xc3\xab","n":1.5}', {"user": "zoë", "n": 1.5}),
        (b"[1]", "[1]"),
        (b"17", "17"),
        (b"{no json", "{no json"),
        (b'{"a":NaN}', '{"a":NaN}'),
        (b'{"a":1e999}', '{"a":1e999}'),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, '{"a":' * 5000 + "1" + "}" * 5000),
        (b"\xff\xfe", None),
    ]
    for plaintext, value in rows:
        assert opened(plaintext).value == value


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())))
def test_decrypted_object_equals_the_original_object(document: dict[str, Any]) -> None:
    assert opened(json.dumps(document).encode()).value == document


def test_decryption_record_has_the_value_or_the_problem() -> None:
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

    record = decryption_record(opened(b"\xff\x00"))
    assert (record["value"], record["value_base64"]) == (None, "/wA=")

    assert "s3cret" not in repr(opened(b"s3cret"))


def test_with_decrypted_replaces_values_in_a_copy() -> None:
    document = copy.deepcopy(OLD_SHAPE)
    failed = Decryption(path=JsonPath.parse("payload.properties.cpu"), problem=Problem.NOT_ENCRYPTED)
    result = with_decrypted(document, [opened(b'{"a":1}', "payload.properties.password"), failed])
    assert result["payload"]["properties"] == {"password": {"a": 1}, "cpu": 2}
    assert document == OLD_SHAPE
