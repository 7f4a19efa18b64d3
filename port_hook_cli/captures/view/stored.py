"""Show one capture in full, as `show` does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from port_hook_cli.captures.view.captures import local_time
from port_hook_cli.captures.view.parts import (
    cause_lines,
    outcome_text,
    payload_lines,
    simulated_label,
    simulated_text,
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
from port_hook_cli.text.styled import JSON, Styled

_BODY_LIMIT = 64 * 1024
_HEADER_LIMIT = 200
_TARGET_LIMIT = 1000
_HEX_LIMIT = 256
_HASH_LIMIT = 64
_HEX_WIDTH = 16


def stored_lines(capture: Capture, replays: Iterable[Capture] = ()) -> Iterator[Styled]:
    """Yield the lines that show one capture in full, and then a line for each of its replays."""
    invocation, payload = capture.invocation, capture.payload
    yield labeled("capture", brief(invocation.id), "bold")
    yield labeled("received", f"{format_time(invocation.received_at)} ({local_time(invocation.received_at)} here)")
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
        sent = local_time(replay.invocation.received_at)
        outcome = "no response" if replay.response is None else str(replay.response.status)
        yield labeled("replayed", f"{sent} as {brief(replay.invocation.id)}: {outcome}")


def _verdict(verdict: Verdict, event: str) -> Iterator[Styled]:
    signed_form = f", matches the {brief(verdict.signed_form)} form of the body" if verdict.signed_form else ""
    age = (
        ""
        if verdict.age_s is None
        else f", signed {format_duration(abs(verdict.age_s))} {'before' if verdict.age_s >= 0 else 'after'} it {event}"
    )
    yield labeled("verdict", f"{verdict.status}{signed_form}{age}", "bold")
    yield from cause_lines(verdict)


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
