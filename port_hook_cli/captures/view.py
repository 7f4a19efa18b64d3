"""Captures in a table, and one of them in full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from port_hook_cli.captures.exchange_view import cause_lines, payload_lines, what_it_is
from port_hook_cli.invocations.body_view import body_text, bytes_text
from port_hook_cli.invocations.models import Delivery, Exchange, Headers, Invocation, Kind, Payload, Response, Verdict
from port_hook_cli.invocations.records import format_time
from port_hook_cli.text.safe import brief, shorten, wire_text

COLUMNS = ("id", "time", "signature", "method", "action", "run id", "answer", "handler")

_ELASTIC = "action"
# What is there to be copied stays whole, however narrow the terminal.
_WHOLE = {"id": 12, "run id": 18}

_BODY_LIMIT = 64 * 1024
_HEADER_LIMIT = 200
_TARGET_LIMIT = 1000
_CELL_LIMIT = 40
_HEX_LIMIT = 256
_HASH_LIMIT = 64
_HEX_WIDTH = 16
_LABEL_WIDTH = 11


def captures_table(exchanges: Iterable[Exchange], *, now: float) -> Table:
    """Return captures as a table for a terminal; where that is narrow, the action is what gives way.

    `now` is seconds since the epoch: what came today shows its time only.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in COLUMNS:
        table.add_column(column, no_wrap=column != _ELASTIC, min_width=_WHOLE.get(column))
    for exchange in exchanges:
        table.add_row(
            *(Text(cell, no_wrap=True, overflow="ellipsis") for cell in _cells(exchange, _short_time(exchange, now)))
        )
    return table


def captures_lines(exchanges: Iterable[Exchange]) -> list[str]:
    """Return captures as aligned lines of plain text, a header first."""
    rows = [COLUMNS, *(_cells(exchange, _local_time(exchange.invocation.received_at)) for exchange in exchanges)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def capture_lines(exchange: Exchange) -> Iterator[Text]:
    """Yield one capture in full, line by line."""
    invocation, payload = exchange.invocation, exchange.payload
    yield _line("capture", brief(invocation.id), "bold")
    yield _line("received", f"{format_time(invocation.received_at)} ({_local_time(invocation.received_at)} here)")
    if invocation.replay_of:
        yield _line("replay of", brief(invocation.replay_of))
    yield _line("request", f"{brief(invocation.method)} {brief(invocation.target, _TARGET_LIMIT)}")
    yield from _headers(invocation.headers)
    yield from _verdict(exchange.verdict)
    yield from _fields(payload)
    yield from _body(invocation, payload)
    if exchange.delivery is not None:
        yield from _delivery(exchange.delivery)
    if exchange.response is not None:
        yield from _response(exchange.response)


def _cells(exchange: Exchange, time: str) -> Sequence[str]:
    invocation, payload = exchange.invocation, exchange.payload
    cells = (
        invocation.id,
        time,
        str(exchange.verdict.status),
        invocation.method,
        what_it_is(payload) + (" (body truncated)" if invocation.truncated else ""),
        payload.run_id or "-",
        "-" if exchange.response is None else str(exchange.response.status),
        "-" if exchange.delivery is None else _outcome(exchange.delivery),
    )
    return [brief(cell, _CELL_LIMIT) for cell in cells]


def _short_time(exchange: Exchange, now: float) -> str:
    received, today = (_local(moment) for moment in (exchange.invocation.received_at, now))
    return received.strftime("%H:%M:%S" if received.date() == today.date() else "%m-%d %H:%M")


def _local_time(epoch_s: float) -> str:
    return _local(epoch_s).strftime("%Y-%m-%d %H:%M:%S")


def _local(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s).astimezone()


def _outcome(delivery: Delivery) -> str:
    return brief(delivery.fault or "failed") if delivery.status is None else str(delivery.status)


def _verdict(verdict: Verdict) -> Iterator[Text]:
    reading = f", matches the {brief(verdict.reading)} form of the body" if verdict.reading else ""
    age = "" if verdict.age_s is None else f", signed {abs(verdict.age_s):.1f} s {_side(verdict.age_s)} it came"
    yield _line("verdict", f"{verdict.status}{reading}{age}", "bold")
    yield from cause_lines(verdict)


def _side(age_s: float) -> str:
    return "before" if age_s >= 0 else "after"


def _fields(payload: Payload) -> Iterator[Text]:
    yield _line("kind", str(payload.kind))
    for label, value in (("action", payload.action), ("operation", payload.operation), ("event", payload.event)):
        if value:
            yield _line(label, brief(value))
    if payload.synchronized is not None:
        yield _line("sync", "the answer ends the run" if payload.synchronized else "the run waits for a report")
    if payload.document is not None and payload.kind is not Kind.UNKNOWN:
        yield from payload_lines(payload, b"", app_url=None)
    elif payload.run_id:
        yield _line("run", brief(payload.run_id))


def _body(invocation: Invocation, payload: Payload) -> Iterator[Text]:
    body, truncated = invocation.body, invocation.truncated
    if payload.problem:
        yield _line("problem", brief(payload.problem), "yellow")
    if truncated is None:
        yield _line("body", f"{len(body):,} bytes")
    else:
        kept = f"the first {len(body):,} of {truncated.size:,} bytes; the request was refused, so the rest was not kept"
        yield _line("body", kept, "yellow")
        yield _line("sha-256", f"{brief(truncated.sha256, _HASH_LIMIT)} of the whole body")
    yield from _block(body, body_text(payload, body, limit=_BODY_LIMIT), "--body")


def _delivery(delivery: Delivery) -> Iterator[Text]:
    yield _line(
        "forwarded", f"{brief(delivery.url, _TARGET_LIMIT)} {_outcome(delivery)} in {delivery.latency_ms:.1f} ms"
    )
    if delivery.error:
        yield _line("error", brief(delivery.error), "red")
    yield from _headers(delivery.headers)
    yield from _block(delivery.body, bytes_text(delivery.body, limit=_BODY_LIMIT), "--json")


def _response(response: Response) -> Iterator[Text]:
    yield _line("answered", str(response.status))
    yield from _headers(response.headers)
    yield from _block(response.body, bytes_text(response.body, limit=_BODY_LIMIT), "--json")


def _headers(headers: Headers) -> Iterator[Text]:
    for name, value in headers:
        yield _line("", f"{brief(name)}: {shorten(wire_text(value), _HEADER_LIMIT)}")


def _hex_lines(body: bytes) -> Iterator[str]:
    for start in range(0, min(len(body), _HEX_LIMIT), _HEX_WIDTH):
        part = body[start : start + _HEX_WIDTH]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)  # noqa: PLR2004 - printable ASCII
        yield f"{start:08x}  {part.hex(' '):<47}  {text}"
    if len(body) > _HEX_LIMIT:
        yield f"… {len(body) - _HEX_LIMIT:,} more bytes"


def _block(body: bytes, text: str | None, option: str) -> Iterator[Text]:
    """Yield a body line by line, what is no text as a hexadecimal excerpt; `option` is the one that shows it all."""
    lines = _hex_lines(body) if text is None else shorten(text, _BODY_LIMIT).splitlines()
    for line in lines:
        yield _line("", line, "dim")
    if text is not None and len(text) > _BODY_LIMIT:
        yield _line("", f"and more; {option} has all {len(body):,} bytes", "dim")


def _line(label: str, text: str, style: str = "") -> Text:
    return Text.assemble("  ", (label.ljust(_LABEL_WIDTH), "dim"), (text, style))
