"""Show captures as a table, and one capture in full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import chain, islice
from typing import TYPE_CHECKING

from port_hook_cli.captures.view.parts import (
    cause_lines,
    outcome_text,
    payload_lines,
    simulated_label,
    simulated_text,
    what_it_is,
)
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import (
    WAITS_FOR_REPORT,
    Capture,
    Delivery,
    Invocation,
    Kind,
    Payload,
    Verdict,
)
from port_hook_cli.invocations.view import body_text, bytes_text, format_time
from port_hook_cli.text.durations import format_duration
from port_hook_cli.text.layout import labeled
from port_hook_cli.text.safe import brief, shorten, wire_text
from port_hook_cli.text.styled import JSON, Styled, cell_width

if TYPE_CHECKING:
    from port_hook_cli.captures.listed import ListedCapture

COLUMNS = ("id", "time", "signature", "method", "action", "run id", "response", "handler")

_ACTION = COLUMNS.index("action")
# Columns are left out in this order until there is room for the actions. `show` prints all columns.
_LEFT_OUT = tuple(COLUMNS.index(name) for name in ("method", "handler", "response", "time"))
# Columns are left out until the longest action fits, or until its column has the first width. Actions are never
# shortened to less than the second width.
_MOST_OF_AN_ACTION = 24
_LEAST_OF_AN_ACTION = 10

# A list is printed while it is read, so only this many captures determine the widths. A longer cell in a later line
# moves the rest of that line to the right.
_MEASURED = 100

_BODY_LIMIT = 64 * 1024
_HEADER_LIMIT = 200
_TARGET_LIMIT = 1000
_CELL_LIMIT = 40
_HEX_LIMIT = 256
_HASH_LIMIT = 64
_HEX_WIDTH = 16


def captures_table(captures: Iterable[ListedCapture], *, now: float, width: int) -> Iterator[Styled]:
    """Yield captures as a table for a terminal of `width` columns. The first line is the header.

    `now` is in seconds since the epoch. Captures of today show only their time. On a narrow terminal, columns are left
    out first, and then actions are shortened. IDs are never shortened. The first hundred captures determine the columns
    and their widths.
    """
    today = _local(now).date()
    widths, rows = _measured(_cells(capture, _short_time(capture.received_at, today)) for capture in captures)
    kept = _kept_columns(widths, width)
    others = sum(widths[column] + 1 for column in kept if column != _ACTION)
    widths[_ACTION] = min(widths[_ACTION], max(_LEAST_OF_AN_ACTION, width - others))
    for number, row in enumerate(rows):
        cells = [_shortened(row[column], widths[column]) if column == _ACTION else row[column] for column in kept]
        line = " ".join(map(_padded, cells, [widths[column] for column in kept])).rstrip()
        yield Styled(line, "" if number else "bold", no_wrap=True)


def _measured(rows: Iterator[Sequence[str]]) -> tuple[list[int], Iterator[Sequence[str]]]:
    """Return the widths of the columns in the first rows, and all rows with the header."""
    first = [COLUMNS, *islice(rows, _MEASURED)]
    return [max(map(cell_width, column)) for column in zip(*first, strict=True)], chain(first, rows)


def _kept_columns(widths: Sequence[int], width: int) -> list[int]:
    """Return the columns that fit into `width`, with a space between adjacent columns."""
    kept = list(range(len(COLUMNS)))
    wanted = [*widths]
    wanted[_ACTION] = min(widths[_ACTION], _MOST_OF_AN_ACTION)
    for column in _LEFT_OUT:
        if sum(wanted[column] + 1 for column in kept) - 1 <= width:
            break
        kept.remove(column)
    return kept


def _shortened(cell: str, width: int) -> str:
    """Return a cell, shortened to `width` columns with an ellipsis."""
    while cell_width(cell) > width:
        cell = cell[:-2] + "…"
    return cell


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - cell_width(cell))


def captures_lines(captures: Iterable[ListedCapture]) -> Iterator[str]:
    """Yield captures as aligned lines of plain text, after a header. The first hundred captures set the widths."""
    widths, rows = _measured(_cells(capture, _local_time(capture.received_at)) for capture in captures)
    for row in rows:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()


def stored_lines(capture: Capture, replays: Iterable[Capture] = ()) -> Iterator[Styled]:
    """Yield the lines that show one capture in full, and then a line for each of its replays."""
    invocation, payload = capture.invocation, capture.payload
    yield labeled("capture", brief(invocation.id), "bold")
    yield labeled("received", f"{format_time(invocation.received_at)} ({_local_time(invocation.received_at)} here)")
    if invocation.replay_of:
        yield labeled("replay of", brief(invocation.replay_of))
    if invocation.origin:
        yield labeled("message", brief(invocation.origin.name))
        if invocation.origin.timestamp_ms is not None:
            yield labeled("in Kafka", format_time(invocation.origin.timestamp_ms / 1000))
    yield labeled("request", f"{brief(invocation.method)} {brief(invocation.target, _TARGET_LIMIT)}")
    yield from _headers(invocation.headers)
    event = "arrived" if invocation.compared_at == invocation.received_at else "was sent to Kafka"
    yield from _verdict(capture.verdict, event)
    yield from _fields(payload)
    yield from _body(invocation, payload)
    if capture.delivery is not None:
        yield from _delivery(capture.delivery)
    if capture.simulated is not None:
        yield labeled(simulated_label(capture.simulated), simulated_text(capture.simulated), "yellow")
    yield from _response(capture)
    for replay in replays:
        sent = _local_time(replay.invocation.received_at)
        outcome = "no response" if replay.response is None else str(replay.response.status)
        yield labeled("replayed", f"{sent} as {brief(replay.invocation.id)}: {outcome}")


def _cells(capture: ListedCapture, time: str) -> Sequence[str]:
    payload = capture.payload
    cells = (
        capture.id,
        time,
        f"{capture.status}{_mark(capture)}",
        "kafka" if capture.is_message else capture.method,
        what_it_is(payload) + (" (body truncated)" if capture.is_truncated else ""),
        payload.run_id or "-",
        _response_cell(capture),
        capture.handler or "-",
    )
    # This returns what `brief` would return. Nearly all cells are short and visible.
    text = "".join(cells)
    if text.isascii() and text.isprintable() and max(map(len, cells)) <= _CELL_LIMIT:
        return cells
    return [brief(cell, _CELL_LIMIT) for cell in cells]


def _mark(capture: ListedCapture) -> str:
    """Return the mark for a capture that `last` skips."""
    return " (replay)" if capture.replay_of else " (check)" if capture.is_probe else ""


def _response_cell(capture: ListedCapture) -> str:
    """Return the response's status, marked if simulated, delayed or sent by hand. A closed connection is `dropped`."""
    simulated = capture.simulated
    status = "-" if capture.response is None else str(capture.response)
    if simulated is None:
        return status
    if simulated.dropped:
        return "dropped"
    if simulated.manual:
        return f"{status} by hand"
    return f"{status} {'simulated' if simulated.failure else 'delayed'}"


def _short_time(epoch_s: float, today: date) -> str:
    received = _local(epoch_s)
    return received.strftime("%H:%M:%S" if received.date() == today else "%m-%d %H:%M")


def _local_time(epoch_s: float) -> str:
    return _local(epoch_s).isoformat(" ", "seconds")  # positional arguments are twice as fast


def _local(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s)  # noqa: DTZ006 - the user's own time zone


def _verdict(verdict: Verdict, event: str) -> Iterator[Styled]:
    signed_form = f", matches the {brief(verdict.signed_form)} form of the body" if verdict.signed_form else ""
    age = (
        ""
        if verdict.age_s is None
        else f", signed {format_duration(abs(verdict.age_s))} {_side(verdict.age_s)} it {event}"
    )
    yield labeled("verdict", f"{verdict.status}{signed_form}{age}", "bold")
    yield from cause_lines(verdict)


def _side(age_s: float) -> str:
    return "before" if age_s >= 0 else "after"


def _fields(payload: Payload) -> Iterator[Styled]:
    yield labeled("kind", str(payload.kind))
    for label, value in (("action", payload.action), ("operation", payload.operation), ("event", payload.event)):
        if value:
            yield labeled(label, brief(value))
    if payload.synchronized is not None:
        yield labeled("sync", "the response ends the run" if payload.synchronized else f"the run {WAITS_FOR_REPORT}")
    if payload.document is not None and payload.kind is not Kind.UNKNOWN:
        yield from payload_lines(payload, b"", app_url=None)
    elif payload.run_id:
        yield labeled("run", brief(payload.run_id))


def _body(invocation: Invocation, payload: Payload) -> Iterator[Styled]:
    body, truncated = invocation.body, invocation.truncated
    if payload.problem:
        yield labeled("problem", brief(payload.problem), "yellow")
    if truncated is None:
        yield labeled("body", f"{len(body):,} bytes")
    else:
        kept = f"the first {len(body):,} of {truncated.size:,} bytes. The rest of the rejected request was not saved"
        yield labeled("body", kept, "yellow")
        yield labeled("sha-256", f"{brief(truncated.sha256, _HASH_LIMIT)} of the whole body")
    yield from _block(body, body_text(payload, body, limit=_BODY_LIMIT), "--body")


def _delivery(delivery: Delivery) -> Iterator[Styled]:
    yield labeled(
        "forwarded",
        f"{brief(delivery.url, _TARGET_LIMIT)} {outcome_text(delivery)}",
    )
    if delivery.error:
        yield labeled("error", brief(delivery.error), "red")
    yield from _headers(delivery.headers)
    yield from _block(delivery.body, bytes_text(delivery.body, limit=_BODY_LIMIT), "--json")


def _response(capture: Capture) -> Iterator[Styled]:
    response = capture.response
    if capture.invocation.origin is not None:  # a message doesn't get a response
        yield from [labeled("rejected", "not forwarded")] if capture.rejected else ()
        return
    if response is None:
        return
    yield labeled("responded", str(response.status))
    yield from _headers(response.headers)
    yield from _block(response.body, bytes_text(response.body, limit=_BODY_LIMIT), "--json")


def _headers(headers: Headers) -> Iterator[Styled]:
    for name, value in headers:
        yield labeled("", f"{brief(name)}: {shorten(wire_text(value), _HEADER_LIMIT)}")


def _hex_lines(body: bytes) -> Iterator[str]:
    for start in range(0, min(len(body), _HEX_LIMIT), _HEX_WIDTH):
        part = body[start : start + _HEX_WIDTH]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)  # noqa: PLR2004 - printable ASCII
        yield f"{start:08x}  {part.hex(' '):<47}  {text}"
    if len(body) > _HEX_LIMIT:
        yield f"… {len(body) - _HEX_LIMIT:,} more bytes"


def _block(body: bytes, text: str | None, option: str) -> Iterator[Styled]:
    """Yield text line by line, or the beginning of a binary body in hexadecimal. `option` shows the complete body."""
    lines = _hex_lines(body) if text is None else shorten(text, _BODY_LIMIT).splitlines()
    style = "dim" if text is None else f"dim {JSON}"
    for line in lines:
        yield labeled("", line, style)
    if text is not None and len(text) > _BODY_LIMIT:
        yield labeled("", f"and more. Use {option} for all {len(body):,} bytes", "dim")
