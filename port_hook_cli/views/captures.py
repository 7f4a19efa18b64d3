"""Captures in a table, and one of them in full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from port_hook_cli.core.models import Answer, Delivery, Exchange, Headers, Kind, Payload, Verdict
from port_hook_cli.core.records import format_time
from port_hook_cli.views.invocation import body_text, cause_lines, payload_lines
from port_hook_cli.views.text import printable, printable_lines, shorten, wire_text

COLUMNS = ("id", "time", "status", "method", "action", "run id", "answer", "handler")

_ELASTIC = "action"

_BODY_LIMIT = 64 * 1024
_CELL_LIMIT = 40
_HEX_LIMIT = 256
_HEX_WIDTH = 16
_LABEL_WIDTH = 11


def captures_table(exchanges: Iterable[Exchange], *, now: float) -> Table:
    """Return captures as a table for a terminal; where that is narrow, the action is what gives way.

    `now` is seconds since the epoch: what came today shows its time only.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in COLUMNS:
        table.add_column(column, no_wrap=column != _ELASTIC)
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
    yield _line("capture", printable(invocation.id), "bold")
    yield _line("received", f"{format_time(invocation.received_at)} ({_local_time(invocation.received_at)} here)")
    if invocation.replay_of:
        yield _line("replay of", printable(invocation.replay_of))
    yield _line("request", f"{printable(invocation.method)} {printable(invocation.target)}")
    yield from _headers(invocation.headers)
    yield from _verdict(exchange.verdict)
    yield from _fields(payload)
    yield from _body(invocation.body, payload)
    if exchange.delivery is not None:
        yield from _delivery(exchange.delivery)
    if exchange.answer is not None:
        yield from _answer(exchange.answer)


def _cells(exchange: Exchange, time: str) -> Sequence[str]:
    invocation, payload = exchange.invocation, exchange.payload
    cells = (
        invocation.id,
        time,
        str(exchange.verdict.status),
        invocation.method,
        payload.action or payload.event or "-",
        payload.run_id or "-",
        "-" if exchange.answer is None else str(exchange.answer.status),
        "-" if exchange.delivery is None else _outcome(exchange.delivery),
    )
    return [shorten(printable(cell), _CELL_LIMIT) for cell in cells]


def _short_time(exchange: Exchange, now: float) -> str:
    received, today = (_local(moment) for moment in (exchange.invocation.received_at, now))
    return received.strftime("%H:%M:%S" if received.date() == today.date() else "%m-%d %H:%M")


def _local_time(epoch_s: float) -> str:
    return _local(epoch_s).strftime("%Y-%m-%d %H:%M:%S")


def _local(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s).astimezone()


def _outcome(delivery: Delivery) -> str:
    return printable(delivery.fault or "failed") if delivery.status is None else str(delivery.status)


def _verdict(verdict: Verdict) -> Iterator[Text]:
    reading = f", matches the {printable(verdict.reading)} form of the body" if verdict.reading else ""
    age = "" if verdict.age_s is None else f", signed {abs(verdict.age_s):.1f} s {_side(verdict.age_s)} it came"
    yield _line("verdict", f"{verdict.status}{reading}{age}", "bold")
    yield from cause_lines(verdict)


def _side(age_s: float) -> str:
    return "before" if age_s >= 0 else "after"


def _fields(payload: Payload) -> Iterator[Text]:
    yield _line("kind", str(payload.kind))
    for label, value in (("action", payload.action), ("operation", payload.operation), ("event", payload.event)):
        if value:
            yield _line(label, printable(value))
    if payload.synchronized is not None:
        yield _line("sync", "the answer ends the run" if payload.synchronized else "the run waits for a report")
    if payload.document is not None and payload.kind is not Kind.UNKNOWN:
        yield from payload_lines(payload, b"", app_url=None)
    elif payload.run_id:
        yield _line("run", printable(payload.run_id))


def _body(body: bytes, payload: Payload) -> Iterator[Text]:
    if payload.problem:
        yield _line("problem", printable(payload.problem), "yellow")
    yield _line("body", f"{len(body):,} bytes")
    yield from _block(body_text(payload, body) if payload.document is not None else _bytes_text(body))


def _delivery(delivery: Delivery) -> Iterator[Text]:
    yield _line("forwarded", f"{printable(delivery.url)} {_outcome(delivery)} in {delivery.latency_ms:.1f} ms")
    if delivery.error:
        yield _line("error", printable(delivery.error), "red")
    yield from _headers(delivery.headers)
    yield from _block(_bytes_text(delivery.body))


def _answer(answer: Answer) -> Iterator[Text]:
    yield _line("answered", str(answer.status))
    yield from _headers(answer.headers)
    yield from _block(_bytes_text(answer.body))


def _headers(headers: Headers) -> Iterator[Text]:
    for name, value in headers:
        yield _line("", f"{printable(name)}: {wire_text(value)}")


def _bytes_text(body: bytes) -> str:
    """Return a body as text, or as a hexadecimal excerpt where it is none."""
    try:
        return printable_lines(body.decode("utf-8"))
    except UnicodeDecodeError:
        return "\n".join(_hex_lines(body))


def _hex_lines(body: bytes) -> Iterator[str]:
    for start in range(0, min(len(body), _HEX_LIMIT), _HEX_WIDTH):
        part = body[start : start + _HEX_WIDTH]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)  # noqa: PLR2004 - printable ASCII
        yield f"{start:08x}  {part.hex(' '):<47}  {text}"
    if len(body) > _HEX_LIMIT:
        yield f"… {len(body) - _HEX_LIMIT:,} more bytes"


def _block(text: str) -> Iterator[Text]:
    for line in text[:_BODY_LIMIT].splitlines():
        yield _line("", line, "dim")
    if len(text) > _BODY_LIMIT:
        yield _line("", f"… {len(text) - _BODY_LIMIT:,} more characters", "dim")


def _line(label: str, text: str, style: str = "") -> Text:
    return Text.assemble("  ", (label.ljust(_LABEL_WIDTH), "dim"), (text, style))
