from __future__ import annotations

import io
from typing import Any
from unicodedata import category

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.http_text import parse_request
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.invocations.view import SHOWN_BYTES, delivery_lines, request_text
from port_hook_cli.replay.tally import format_latencies, tally_view
from tests.factories import an_invocation
from tests.replay.tallies import tally_deliveries

URL = "http://127.0.0.1:8000/hook?a=1"


def lines(delivery: Delivery) -> str:
    return "".join(f"{line.plain}\n" for line in delivery_lines(delivery))


def shown(renderable: RenderableType) -> str:
    stream = io.StringIO()
    Console(file=stream, width=100, markup=False, highlight=False, soft_wrap=True).print(renderable)
    return stream.getvalue()


def test_response_is_shown_with_status_latency_url_and_body() -> None:
    delivery = Delivery(url=URL, status=404, latency_ms=12.34, body=b"no\troute\n")
    assert lines(delivery) == f"404 Not Found  12.3 ms  {URL}\n  no\troute\n"

    assert lines(Delivery(url=URL, status=204)) == f"204 No Content  0.0 ms  {URL}\n"

    text = lines(Delivery(url=URL, status=200, body=b"x" * (SHOWN_BYTES + 1)))
    assert text.count("x") == SHOWN_BYTES
    assert "first 2048 bytes" in text


def test_status_has_the_color_of_its_class() -> None:
    rows: list[tuple[Any, Any]] = [(101, ""), (200, "green"), (302, "yellow"), (404, "red"), (999, "")]
    for status, color in rows:
        (line,) = delivery_lines(Delivery(url=URL, status=status))
        assert line.spans[0].style == color


@given(st.binary(max_size=100))
def test_control_characters_of_a_response_are_escaped(body: bytes) -> None:
    text = lines(Delivery(url="http://h/\x1b[2J", status=200, body=body))
    assert {character for character in text if category(character) == "Cc"} <= {"\n", "\t"}


def test_series_is_a_table_of_responses_and_a_line_of_latencies() -> None:
    deliveries = [Delivery(url=URL, status=200, latency_ms=float(number)) for number in range(1, 100)]
    tally = tally_deliveries(
        [*deliveries, Delivery(url=URL, fault="unreachable", error="nothing listens on [/x]\x1b")], elapsed_s=4.0
    )
    lines = shown(tally_view(tally)).splitlines()
    assert ["200", "OK", "99"] in [line.split() for line in lines]
    assert ["nothing", "listens", "on", "[/x]\\x1b", "1"] in [line.split() for line in lines]
    assert ["4", "s,", "25", "requests/s", "100"] in [line.split() for line in lines]
    assert format_latencies(tally) == "latency  p50 50.0 ms  p90 90.0 ms  p99 99.0 ms  max 99.0 ms"


def test_latencies_are_empty_without_responses() -> None:
    assert format_latencies(tally_deliveries([], elapsed_s=1.0)) == ""


def test_request_is_shown_as_readable_http_text() -> None:
    invocation = an_invocation(
        b'{\r\n\r\n"\xff": 1}', method="PUT", headers=Headers((("X-A", "\xc3\xa9"), ("x-a", "2")))
    )
    text = request_text(invocation, URL)
    assert text.startswith(b"PUT /hook?a=1 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nX-A: \xc3\xa9\r\nx-a: 2\r\n")
    assert parse_request(text).body == invocation.body


def test_request_text_adds_no_second_host_or_content_length_and_masks_credentials() -> None:
    fields = (("host", "x"), ("content-length", "2"))
    text = request_text(an_invocation(b"{}", headers=Headers(fields)), "http://h")
    assert text == b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"

    text = request_text(an_invocation(headers=Headers((("Authorization", "Bearer geheim"),))), URL)
    assert b"geheim" not in text
    assert b"Authorization: ***" in text
