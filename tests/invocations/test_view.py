"""The cost of showing a body depends on the shown part, not on its size."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Payload
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.invocations.view import body_text, bytes_text, value_text
from tests.json_values import json_values

JSON = json_values(st.integers() | st.text(), max_size=4, max_leaves=20)


def nested(depth: int) -> Any:
    document: Any = 1
    for _ in range(depth):
        document = [document]
    return document


def of(document: Any) -> Payload:
    return Payload(document=document)


@given(JSON.filter(lambda value: value is not None), st.integers(1, 100))
def test_body_text_shows_the_beginning_of_an_indented_document(document: Any, limit: int) -> None:
    shown = body_text(of(document), b"", limit=limit)
    assert shown is not None
    whole = body_text(of(document), b"", limit=100_000)
    assert whole is not None
    if len(whole) <= limit:
        assert shown == whole
    else:
        assert len(shown) > limit
        assert whole.startswith(shown)


def test_bytes_text_shows_text_and_indented_json_with_escaped_control_characters() -> None:
    assert bytes_text('{"é":[1]}'.encode(), limit=100) == '{\n  "é": [\n    1\n  ]\n}'
    assert bytes_text(b"a\x1b[2J\n\tb", limit=100) == "a\\x1b[2J\n\tb"
    assert bytes_text(b"", limit=100) == ""
    assert bytes_text(b"[" * 10_000, limit=10) == "[" * 11
    for body in (b"\xff", b"a\xc3", b"x" * 100 + b"\xed\xa0\x80", b"\xff" * 100_000):
        assert bytes_text(body, limit=10) is None
    body = ("a" + "🚢" * 50_000).encode()
    for limit in range(1, 9):  # a truncated body does not end in the middle of a character
        assert bytes_text(body, limit=limit) == "a" + "🚢" * limit
    assert bytes_text(json.dumps(["x" * 70_000]).encode(), limit=4) == '["xxx'  # large JSON is not indented


def test_value_text_shows_a_value_on_one_line_with_escapes() -> None:
    assert value_text("a\nb\x1b\u202e") == r'"a\nb\u001b\u202e"'
    assert value_text({"a": [1, None, True, "é"]}) == '{"a": [1, null, true, "é"]}'
    assert value_text("x" * 198) == f'"{"x" * 198}"'
    assert value_text("x" * 199) == f'"{"x" * 198}…'
    assert len(value_text("\x7f" * 199)) == 200
    assert body_text(of(nested(100_000)), b"", limit=10) == "[\n  [\n    ["
    assert value_text(nested(100_000)) == "[" * 199 + "…"


def deep_and_wide() -> bytes:
    """Return a document of 800 kB with 300 levels. Indented as a whole, it would be 480 MB."""
    return b"[" * 300 + b",".join([b"1"] * 400_000) + b"]" * 300


def many_keys() -> bytes:
    return json.dumps({f"key-{number}": [[]] for number in range(100_000)}).encode()


def long_string() -> bytes:
    return json.dumps(["\x1b" * 500_000]).encode()


@pytest.mark.parametrize("make", [deep_and_wide, many_keys, long_string], ids=lambda make: make.__name__)
def test_omitted_part_of_a_body_is_not_processed(make: Callable[[], bytes]) -> None:
    limit, body = 2048, make()
    payload = read_payload(body, Headers())
    start = time.process_time()
    shown = body_text(payload, body, limit=limit)
    again = bytes_text(body, limit=limit)
    value = value_text(payload.document)
    took_s = time.process_time() - start
    assert shown is not None
    assert again is not None
    assert limit < len(shown) < 7 * limit
    assert limit < len(again) < 7 * limit
    assert len(value) == 200
    assert took_s < 5  # guards against a hang (`make bench` measures)
