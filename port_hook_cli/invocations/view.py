"""Show requests, deliveries and bodies as text for the screen, and as the records of `--json`.

docs/reference/json-records.md describes the records. New fields may be added. If the meaning of a field changes,
`schema` gets a new number.
"""

from __future__ import annotations

import json
from codecs import getincrementaldecoder
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from math import modf
from typing import Any
from urllib.parse import urlsplit

from port_hook_cli.invocations.headers import mask_headers
from port_hook_cli.invocations.models import (
    Capture,
    Delivery,
    Invocation,
    MessageOrigin,
    Payload,
    Simulated,
    Status,
    Verdict,
)
from port_hook_cli.javascript.nesting import json_beginning
from port_hook_cli.text.durations import format_latency
from port_hook_cli.text.safe import brief, printable_lines
from port_hook_cli.text.styled import JSON, Styled

SHOWN_BYTES = 2048
"""The maximum number of bytes to show of a response's body."""

BODY_INDENT = 2
"""The number of columns before the body of a response."""

MOST_OF_A_URL = 1000
"""The maximum number of characters to show of a URL."""

MAX_EXPLANATION = 600
"""The maximum number of characters to show of an explanation or fix. Only a text from a capture file can be longer."""

_YELLOW = {Status.REENCODED, Status.STALE, Status.UNCHECKED}
_STYLES = {2: "green", 3: "yellow", 4: "red", 5: "red"}
_VALUE_LIMIT = 200
_MAX_PARSED_BYTES = 64 * 1024
_MAX_BYTES_PER_CHARACTER = 4


def request_text(invocation: Invocation, url: str) -> bytes:
    """Return a request as HTTP/1.1 text, with credentials masked and the body unchanged."""
    from port_hook_cli.invocations.targets import percent_encoded, request_target  # not needed for a verdict

    headers = mask_headers(invocation.headers)
    lines = [f"{invocation.method} ".encode("utf-8", "surrogateescape") + request_target(url) + b" HTTP/1.1"]
    if headers.get("host") is None:
        lines.append(f"Host: {urlsplit(percent_encoded(url)).netloc}".encode("utf-8", "surrogateescape"))
    lines += [name + b": " + value for name, value in headers.raw()]
    if headers.get("content-length") is None:
        lines.append(f"Content-Length: {len(invocation.body)}".encode())
    return b"\r\n".join([*lines, b"", invocation.body])


def delivery_lines(delivery: Delivery) -> Iterator[Styled]:
    """Yield the lines for one response: its status, latency and URL, then the beginning of its body.

    `delivery` must have a status. The body is indented, because one of its lines could look like a port-hook message.
    Print the lines with `Output.fit(…, indent=BODY_INDENT)`, because a terminal continues a long line in its first
    column.
    """
    from port_hook_cli.invocations.statuses import format_status  # showing a capture doesn't need status phrases

    status = delivery.status or 0
    rest = f"  {format_latency(delivery.latency_ms)}  {brief(delivery.url, MOST_OF_A_URL)}"
    yield Styled.assemble((format_status(status), status_style(status)), rest)
    if body := _body_text(delivery.body):
        yield from (Styled.assemble(" " * BODY_INDENT, (line, JSON)) for line in body.split("\n"))


def status_style(status: int) -> str:
    """Return the color of an HTTP status."""
    return _STYLES.get(status // 100, "")


def status_color(status: Status) -> str:
    """Return the color for the result of a verification."""
    if status is Status.VALID:
        return "green"
    return "yellow" if status in _YELLOW else "red"


def _body_text(body: bytes) -> str:
    shown = body[:SHOWN_BYTES]
    text = printable_lines(shown.decode("utf-8", "replace")).rstrip()
    return f"{text}\n… (the first {SHOWN_BYTES} bytes of the response)" if len(body) > SHOWN_BYTES else text


def body_text(payload: Payload, body: bytes, *, limit: int) -> str | None:
    """Return a payload's body like `bytes_text`, but with its JSON indented, regardless of its size."""
    if payload.document is None:
        return bytes_text(body, limit=limit)
    return printable_lines(json_beginning(payload.document, limit, indent=2))


def bytes_text(body: bytes, *, limit: int) -> str | None:
    """Return the beginning of a body as text, or None if the body is not UTF-8. JSON of up to 64 KiB is indented.

    A text of at most `limit` characters is complete, and a longer text is truncated.
    """
    is_whole = len(body) <= _MAX_PARSED_BYTES
    part = body if is_whole else body[: _MAX_BYTES_PER_CHARACTER * (limit + 1)]
    try:
        text = getincrementaldecoder("utf-8")().decode(part, final=is_whole)
    except UnicodeDecodeError:
        return None
    if is_whole:
        try:
            return printable_lines(json_beginning(json.loads(text), limit, indent=2))
        except (RecursionError, ValueError):
            pass
    return printable_lines(text[: limit + 1])


def value_text(value: Any) -> str:
    """Return a JSON value on one line, truncated if it is long."""
    return brief(json_beginning(value, _VALUE_LIMIT), _VALUE_LIMIT)


EVENT = "port-hook/event/1"
DELIVERY = "port-hook/delivery/1"


def format_time(epoch_s: float) -> str:
    """Return seconds since the epoch as an RFC 3339 UTC time with milliseconds."""
    fraction, second = modf(epoch_s)
    microseconds = round(fraction * 1_000_000)
    if not 0 <= microseconds < 1_000_000:  # noqa: PLR2004 - microseconds in a second
        return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{_second_text(second)}.{microseconds // 1000:03}Z"


@lru_cache(maxsize=8)  # a busy listener writes many timestamps in the same second
def _second_text(second: float) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds").removesuffix("+00:00")


def verdict_fields(verdict: Verdict) -> dict[str, Any]:
    """Return the fields of a verdict for other records."""
    return {"status": str(verdict.status), "signed_form": verdict.signed_form, "causes": list(verdict.slugs)}


def delivery_fields(delivery: Delivery | None) -> dict[str, Any] | None:
    """Return the fields of a delivery for other records."""
    if delivery is None:
        return None
    return {
        "url": delivery.url,
        "status": delivery.status,
        "latency_ms": round(delivery.latency_ms, 3),
        "error": delivery.error,
    }


def delivery_record(delivery: Delivery, *, source: str, run_id: str | None) -> dict[str, Any]:
    """Return the record of a request that `replay` sent."""
    return {
        "schema": DELIVERY,
        "source": source,
        "run_id": run_id,
        **(delivery_fields(delivery) or {}),
    }


def invocation_event(capture: Capture) -> dict[str, Any]:
    """Return the record that `listen --json` prints for an invocation."""
    return {"schema": EVENT, "type": "invocation", **invocation_fields(capture)}


def invocation_fields(capture: Capture) -> dict[str, Any]:
    """Return the fields of a capture that the records of listeners and of captures share."""
    invocation, payload = capture.invocation, capture.payload
    return {
        "id": invocation.id,
        "received_at": format_time(invocation.received_at),
        "method": invocation.method,
        "path": invocation.target,
        "run_id": payload.run_id,
        "action": payload.action,
        "verdict": verdict_fields(capture.verdict),
        "response": None if capture.response is None else {"status": capture.response.status},
        "delivery": delivery_fields(capture.delivery),
        "kafka": origin_fields(invocation.origin),
        "simulated": _simulated_fields(capture.simulated),
    }


def origin_fields(origin: MessageOrigin | None) -> dict[str, Any] | None:
    """Return the record of a message's place in Kafka, or None for an HTTP request."""
    if origin is None:
        return None
    moment = origin.timestamp_ms
    return {
        "topic": origin.topic,
        "partition": origin.partition,
        "offset": origin.offset,
        "timestamp": None if moment is None else format_time(moment / 1000),
    }


def _simulated_fields(simulated: Simulated | None) -> dict[str, Any] | None:
    if simulated is None:
        return None
    return {
        "failure": simulated.failure,
        "dropped": simulated.dropped,
        "delay_s": round(simulated.delay_s, 3),
        **({"manual": True} if simulated.manual else {}),
    }
