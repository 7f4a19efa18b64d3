from __future__ import annotations

import base64
import json
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.javascript.stringify import stringify
from port_hook_cli.tunnels.smee.event import (
    InvalidEvent,
    RelayedRequest,
    RelayMessage,
    probe_body,
    probe_token,
    read_event,
)
from tests.javascript.json_texts import JSON_TEXTS, nearly_json

_SPACE = " \t\r\n"


def read(data: str) -> RelayedRequest:
    event = read_event(data)
    assert isinstance(event, RelayedRequest), event
    return event


def why(data: str) -> str:
    event = read_event(data)
    assert isinstance(event, InvalidEvent), event
    return event.why


@given(JSON_TEXTS, st.booleans())
def test_text_of_a_smee_body_is_preserved(body: str, body_first: bool) -> None:
    rest = '"x-port-signature":"v1,a=","query":{}'
    data = f'{{"body":{body},{rest}}}' if body_first else f'{{{rest},"body":{body}}}'
    assert read(data).body == body.strip(_SPACE).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    "body",
    [
        '{"a":1,"b":["é","\u2028","\\ud800","\\u0007"],"body":{"body":1}}',
        '{"big":12345678901234567000,"tiny":1e-7,"huge":1e+21}',
        '{"\\"body\\"":"}],{[\\\\\\""}',
        '{"z":1,"a":2,"10":3}',
        "[" * 5000 + "]" * 5000,
        "9" * 5000,
    ],
)
def test_json_is_preserved_when_a_parser_would_change_or_reject_it(body: str) -> None:
    assert read(f'{{"body":{body},"timestamp":1}}').body == body.encode()


@given(JSON_TEXTS.filter(lambda text: text.strip(_SPACE).startswith("{")))
def test_body_written_by_json_stringify_is_preserved(text: str) -> None:
    sent = stringify(text)
    assert read(f'{{"host":"smee.io","body":{stringify(sent)}}}').body == sent.encode()


@given(st.binary())
def test_gosmee_body_can_have_any_bytes(body: bytes) -> None:
    data = json.dumps({"bodyB": base64.b64encode(body).decode(), "body": {"not": "this"}, "timestamp": "1"})
    assert read(data).body == body


@given(
    st.one_of(
        st.text(), st.text('"\\{}[],:e1body \ud800'), nearly_json(), nearly_json().map(lambda t: f'{{"body":{t}}}')
    )
)
def test_any_text_is_read_without_an_exception(data: str) -> None:
    found = read_event(data)
    if isinstance(found, RelayedRequest):
        assert found.body.decode("utf-8", "surrogatepass") in data or "bodyB" in data
    else:
        assert isinstance(found, RelayMessage | InvalidEvent)


@pytest.mark.parametrize(
    "data",
    [
        '{"a":"' + '\\"' * 300_000,
        '{"body":[' + '\\"' * 300_000,
        '{"body":' + "[" * 600_000,
        "{" + '"a":1,' * 100_000,
        '{"body":1,"query":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"body":1,"x":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"bodyB":"é"}',
        '{"bodyB":["YQ=="]}',
        '{"bodyB":"YQ"}',
        '{"body":1} {}',
        "[]",
        "",
        "{}",
        '{"content-type":"application/json"}',
    ],
)
def test_invalid_event_is_rejected_quickly_with_the_reason(data: str) -> None:
    assert why(data)


def test_last_of_duplicate_keys_is_used_as_in_javascript() -> None:
    event = read('{"body":1,"x-a":"1","bod\\u0079":{"b":2},"x-a":"2"}')
    assert (event.body, event.headers.items) == (b'{"b":2}', (("x-a", "2"),))


def test_headers_keep_their_order() -> None:
    event = read(
        json.dumps(
            {
                "host": "smee.io",
                "x-port-timestamp": "1700000000",
                "connection": "close, x-hop",
                "x-hop": "1",
                "transfer-encoding": "chunked",
                "content-length": "2",
                "content-encoding": "gzip",
                "content-type": "application/json",
                "set-cookie": ["a=1", "b=2"],
                "x-port-signature": "v1,abc=",
                "body": {},
                "query": {},
                "timestamp": 1,
            }
        )
    )
    assert event.headers.items == (
        ("x-port-timestamp", "1700000000"),
        ("content-type", "application/json"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x-port-signature", "v1,abc="),
    )


@pytest.mark.parametrize("name", ["x y", "x\r\ny", "", "é", ":a", "host", "Content-Length", "Body"])
def test_invalid_names_and_the_relays_own_members_are_omitted(name: str) -> None:
    assert read(json.dumps({name: "1", "body": {}})).headers.items == ()


@pytest.mark.parametrize("value", ["a\r\nx-b: 1", "a\x00", "\x1b[31m", 1, None, {"a": "b"}, [1]])
def test_invalid_values_are_omitted(value: object) -> None:
    assert read(json.dumps({"x-a": value, "body": {}})).headers.items == ()


@pytest.mark.parametrize(("encoding", "body"), [("latin-1", '"body":{}'), ("utf-8", '"bodyB":"e30="')])
def test_non_ascii_value_becomes_the_original_bytes(encoding: str, body: str) -> None:
    assert read(f'{{"x-a":"é",{body}}}').headers.raw() == [(b"x-a", "é".encode(encoding))]


@pytest.mark.parametrize("body", ['"body":{}', '"bodyB":"e30="'])
def test_value_outside_the_encoding_becomes_utf_8(body: str) -> None:
    value = read(f'{{"x-a":"\\u20ac\\ud800",{body}}}').headers.raw()
    assert value == [(b"x-a", "\u20ac\ud800".encode("utf-8", "surrogatepass"))]


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.lists(st.text(), min_size=1))))
def test_query_keeps_its_meaning(query: dict[str, str | list[str]]) -> None:
    pairs = [(name, one) for name, v in query.items() for one in (v if isinstance(v, list) else [v])]
    again = read(json.dumps({"body": {}, "query": query})).query
    assert parse_qsl(again, keep_blank_values=True, strict_parsing=bool(pairs)) == pairs


def test_messages_of_gosmee_are_recognized() -> None:
    assert read_event('{"message":"ready"}') == RelayMessage("ready")
    assert isinstance(read_event('{"message":"ready","body":{}}'), RelayedRequest)


@given(st.text(max_size=40))
def test_probe_is_recognized_after_a_relay(token: str) -> None:
    assert probe_token(probe_body(token)) == token
    assert probe_token(stringify(probe_body(token).decode()).encode()) == token


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"port-hook-probe":"a","b":1}', b'{"port-hook-probe":1}', b'{"port-hook-probe":' + b"[" * 400, b"\xff"],
)
def test_other_bodies_are_not_probes(body: bytes) -> None:
    assert probe_token(body) is None
