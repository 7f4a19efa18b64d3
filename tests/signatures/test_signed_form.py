"""Compare the signed form of a message with a simple implementation.

The simple implementation parses the message for each step, and writes `headers` once with and once without the
signature.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.signatures.messages import signed_value
from port_hook_cli.signatures.signing import headers_in
from tests.signatures.message_texts import MESSAGES, any_message

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def plain_headers(value: bytes) -> Mapping[str, Any] | None:
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return None
    headers = document.get("headers") if isinstance(document, dict) else None
    return headers if isinstance(headers, dict) and b'"headers"' in value else None


def plain_signed_value(value: bytes) -> bytes:
    headers = plain_headers(value)
    if headers is None:
        return value
    try:
        text = value.decode()
        whole, part = (f'"headers":{_encode(fields)}' for fields in (headers, unsigned(headers)))
        if text.count(whole) == 1:
            return text.replace(whole, part).encode()
        document = json.loads(text, object_pairs_hook=without_repeated_keys)
        return _encode({**document, "headers": unsigned(document["headers"])}).encode()
    except (ValueError, RecursionError):
        return value


def unsigned(headers: Mapping[str, Any]) -> dict[str, Any]:
    signature = ("x-port-signature", "x-port-timestamp")
    return {name: field for name, field in headers.items() if name.lower() not in signature}


def without_repeated_keys(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(members)) < len(members):
        raise ValueError("a key is repeated")
    return dict(members)


def plain_message_headers(value: bytes) -> list[tuple[str, str]]:
    token = set("!#$%&'*+.^_`|~-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    found = []
    for name, field in (plain_headers(value) or {}).items():
        text = field if isinstance(field, str) else json.dumps(field, ensure_ascii=False)
        has_control = any((character < " " and character != "\t") or character == "\x7f" for character in text)
        if name and set(name) <= token and name.lower() != "content-length" and not has_control:
            found.append((name, text.encode("utf-8", "surrogatepass").decode("latin-1")))
    if not any(name.lower() == "content-type" for name, _ in found):
        found.append(("content-type", "application/json"))
    return [*found, ("content-length", str(len(value)))]


def plain_document(value: bytes) -> Any:
    try:
        return json.loads(value.decode(), parse_int=lambda digits: (int if len(digits) < 4_000 else float)(digits))
    except (ValueError, RecursionError):
        return None


def compare(value: bytes) -> None:
    assert headers_in(value) == plain_headers(value) or repr(headers_in(value)) == repr(plain_headers(value))  # NaN
    assert signed_value(value) == plain_signed_value(value)
    assert list(message_headers(value)) == plain_message_headers(value)
    assert repr(read_payload(value, Headers()).document) == repr(plain_document(value))


@given(MESSAGES | st.randoms(use_true_random=False).map(any_message))
def test_signed_form_of_a_message_equals_the_simple_implementation(value: bytes) -> None:
    compare(value)


@pytest.mark.extended  # like the test above, but with many more messages
def test_signed_form_of_10_000_messages_equals_the_simple_implementation() -> None:
    random = Random(0)  # noqa: S311 - a campaign that can be repeated
    for _ in range(10_000):
        compare(any_message(random))
