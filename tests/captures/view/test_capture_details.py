"""What `show` prints of a capture, field by field."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from port_hook_cli.captures.documents.exchange_fields import truncate
from port_hook_cli.captures.view.captures import capture_lines
from port_hook_cli.invocations.models import Delivery, Exchange, Headers, Status, Verdict
from tests.factories import RUN_ID, a_body, a_document, an_exchange, an_invocation
from tests.styles import plain


def shown(exchange: Exchange) -> str:
    return "\n".join(plain(line) for line in capture_lines(exchange))


def value_of(label: str, exchange: Exchange) -> str | None:
    """Return what stands behind a label."""
    match = re.search(rf"^  {label} +(.*)$", shown(exchange), re.MULTILINE)
    return match[1] if match else None


def with_body(body: bytes, **fields: Any) -> Exchange:
    return an_exchange(an_invocation(body), **fields)


@pytest.mark.parametrize(
    ("body", "problem"),
    [(b"", "empty"), (b"hello", "not JSON (line 1, column 1)"), (b"a\xff", "not UTF-8 text (at byte 1)")],
)
def test_body_with_a_problem_is_shown_with_the_reason(body: bytes, problem: str) -> None:
    assert value_of("problem", with_body(body)) == problem
    assert value_of("body", with_body(body)) == f"{len(body):,} bytes"


def test_a_body_that_can_be_read_has_no_problem() -> None:
    assert value_of("problem", an_exchange()) is None


def test_capture_shows_the_action_operation_and_run() -> None:
    exchange = an_exchange()
    assert value_of("action", exchange) == "create_vm"
    assert value_of("operation", exchange) == "CREATE"
    assert RUN_ID in shown(exchange)
    assert value_of("event", exchange) is None
    event = {"event": {"action": "UPDATE", "diff": {"before": {}, "after": {}}}}
    assert value_of("event", with_body(a_body(event))) == "UPDATE"


def test_capture_shows_whether_the_run_is_synchronized_when_the_payload_says_so() -> None:
    document = a_document()
    method = document["payload"]["action"]["invocationMethod"]
    lines = [value_of("sync", with_body(a_body({**document, "synchronized": None})))]
    method["synchronized"] = True
    lines.append(value_of("sync", with_body(a_body(document))))
    assert None not in lines
    assert lines[0] != lines[1]
    del method["synchronized"]
    assert value_of("sync", with_body(a_body(document))) is None


@pytest.mark.parametrize(
    ("age_s", "side"), [(2.25, "2.2 s before"), (0.0, "0(.0)? s before"), (-3.0, "3(.0)? s after")]
)
def test_verdict_shows_the_time_between_signing_and_receipt(age_s: float, side: str) -> None:
    verdict = Verdict(status=Status.VALID, reading="raw", age_s=age_s)
    line = value_of("verdict", an_exchange(verdict=verdict))
    assert line is not None
    assert line.startswith("valid, ")
    assert re.search(side, line)
    assert "raw" in line


def test_truncated_body_shows_both_sizes_and_the_hash_of_the_whole() -> None:
    invocation = truncate(an_invocation(b"x" * 300_000))
    assert invocation.truncated is not None
    exchange = an_exchange(invocation, refused=True)
    line = value_of("body", exchange)
    assert line is not None
    assert "262,144" in line
    assert "300,000" in line
    assert (value_of("sha-256", exchange) or "").startswith(invocation.truncated.sha256)


def test_binary_body_is_shown_as_a_hex_dump_with_printable_characters() -> None:
    text = shown(with_body(b"\xff\x00A~ \x7f" + bytes(range(16))))
    assert "00000000  ff 00 41 7e 20 7f 00 01 02 03 04 05 06 07 08 09  ..A~ ..........." in text
    assert "00000010  0a 0b 0c 0d 0e 0f                                ......" in text


def test_a_delivery_is_shown_with_url_status_latency_headers_and_body() -> None:
    delivery = Delivery(
        url="http://127.0.0.1:8000/", status=500, latency_ms=12.34, headers=Headers((("Server", "x"),)), body=b"oops"
    )
    exchange = an_exchange(delivery=delivery)
    line = value_of("forwarded", exchange)
    assert line == "http://127.0.0.1:8000/ 500 in 12.3 ms"
    below = shown(exchange).split(line)[1]
    assert re.search(r"^ +Server: x$", below, re.MULTILINE)
    assert re.search(r"^ +oops$", below, re.MULTILINE)
    assert value_of("error", exchange) is None
    failed = replace(delivery, status=None, fault="unreachable", error="connection refused")
    assert value_of("error", an_exchange(delivery=failed)) == "connection refused"
    assert value_of("forwarded", an_exchange(delivery=failed)) == "http://127.0.0.1:8000/ unreachable in 12.3 ms"


def test_long_response_shows_its_size_and_the_option_that_shows_all() -> None:
    delivery = Delivery(url="http://h/", status=200, body=b"x" * 100_000)
    last = shown(an_exchange(delivery=delivery)).splitlines()[-1]
    assert "--json" in last
    assert "100,000 bytes" in last
