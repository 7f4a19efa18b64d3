from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.kafka.messages import message_headers

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=10,
)


def test_headers_come_from_the_value() -> None:
    headers = message_headers(b'{"headers":{"RUN_ID":"r_1","X-Port-Signature":"v1,x"},"a":{"headers":{"no":"t"}}}')

    assert headers.items[:2] == (("RUN_ID", "r_1"), ("X-Port-Signature", "v1,x"))
    assert headers.get("no") is None
    assert (headers.get("content-type"), headers.get("content-length")) == ("application/json", "81")


@pytest.mark.parametrize(
    ("written", "field"),
    [
        ("1", "1"),
        ('{"c":true}', '{"c": true}'),
        ('["zoë"]', '["zoë"]'),
        ('"zoë"', "zoë"),
        ('"\\ud83d"', "\ud83d"),
    ],
    ids=["number", "object", "text in JSON", "non-ASCII", "half of a surrogate pair"],
)
def test_header_value_is_the_bytes_of_its_text_or_json(written: str, field: str) -> None:
    found = message_headers(f'{{"headers":{{"who":{written}}}}}'.encode()).get("who")
    assert found == field.encode("utf-8", "surrogatepass").decode("latin-1")


def test_impossible_header_is_left_out() -> None:
    value = json.dumps({"headers": {"a": "x\r\nevil: 1", "b c": "1", "": "1", "content-length": "5", "ok": "1"}})

    assert message_headers(value.encode()).items[0] == ("ok", "1")
    assert message_headers(value.encode()).all("content-length") == (str(len(value)),)


def test_headers_are_bounded() -> None:
    many = {f"h{number}": "1" for number in range(5_000)}
    large = {"a": "x" * 1_000_000, "b": "1"}

    assert len(message_headers(json.dumps({"headers": many}).encode()).items) <= 1_002
    assert len(message_headers(json.dumps({"headers": large}).encode()).items) == 2


@given(
    st.binary() | JSON.map(lambda value: json.dumps({"headers": value}).encode()) | JSON.map(json.dumps).map(str.encode)
)
def test_headers_of_any_value_can_be_sent(value: bytes) -> None:
    for name, field in message_headers(value):
        assert name
        assert not set(f"{name}{field}") & {"\r", "\n", "\0"}
        f"{name}{field}".encode("latin-1")


def test_too_deeply_nested_value_has_no_headers() -> None:
    assert message_headers(b'{"headers":' + b"[" * 100_000).get("content-type") == "application/json"


def test_content_type_of_a_message_replaces_the_default() -> None:
    headers = message_headers(b'{"headers":{"Content-Type":"text/plain"}}')
    assert headers.all("content-type") == ("text/plain",)
