"""Requests, deliveries and bodies as text for the screen."""

from __future__ import annotations

import json
from codecs import getincrementaldecoder
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from port_hook_cli.invocations.headers import mask_headers
from port_hook_cli.invocations.models import Delivery, Invocation, Payload
from port_hook_cli.invocations.statuses import format_status
from port_hook_cli.invocations.url_text import percent_encoded, request_target
from port_hook_cli.javascript.nesting import json_beginning
from port_hook_cli.text.durations import format_latency
from port_hook_cli.text.safe import brief, printable_lines
from port_hook_cli.text.styled import JSON, Styled

SHOWN_BYTES = 2048
"""How much of a response's body is shown."""

BODY_INDENT = 2
"""The columns before the body of a response."""

MOST_OF_A_URL = 1000
"""How many characters of a URL are shown."""

_STYLES = {2: "green", 3: "yellow", 4: "red", 5: "red"}
_VALUE_LIMIT = 200
_MAX_PARSED_BYTES = 64 * 1024
_MAX_BYTES_PER_CHARACTER = 4


def request_text(invocation: Invocation, url: str) -> bytes:
    """Return a request as HTTP/1.1 text, with credentials masked and the body unchanged."""
    headers = mask_headers(invocation.headers)
    lines = [f"{invocation.method} ".encode("utf-8", "surrogateescape") + request_target(url) + b" HTTP/1.1"]
    if headers.get("host") is None:
        lines.append(f"Host: {urlsplit(percent_encoded(url)).netloc}".encode("utf-8", "surrogateescape"))
    lines += [name + b": " + value for name, value in headers.raw()]
    if headers.get("content-length") is None:
        lines.append(f"Content-Length: {len(invocation.body)}".encode())
    return b"\r\n".join([*lines, b"", invocation.body])


def delivery_lines(delivery: Delivery) -> Iterator[Styled]:
    """Yield one response: status, latency and URL, then the beginning of the body. `delivery` needs a status.

    The body is indented, because a line of it could look like a message of port-hook. Print the lines with
    `Output.fit(…, indent=BODY_INDENT)`, because a terminal continues a long line in its first column.
    """
    status = delivery.status or 0
    rest = f"  {format_latency(delivery.latency_ms)}  {brief(delivery.url, MOST_OF_A_URL)}"
    yield Styled.assemble((format_status(status), status_style(status)), rest)
    if body := _body_text(delivery.body):
        yield from (Styled.assemble(" " * BODY_INDENT, (line, JSON)) for line in body.split("\n"))


def status_style(status: int) -> str:
    """Return the color of a status."""
    return _STYLES.get(status // 100, "")


def _body_text(body: bytes) -> str:
    shown = body[:SHOWN_BYTES]
    text = printable_lines(shown.decode("utf-8", "replace")).rstrip()
    return f"{text}\n… (the first {SHOWN_BYTES} bytes of the response)" if len(body) > SHOWN_BYTES else text


def body_text(payload: Payload, body: bytes, *, limit: int) -> str | None:
    """Return a payload's body as `bytes_text` does, but with its JSON indented whatever its size is."""
    if payload.document is None:
        return bytes_text(body, limit=limit)
    return printable_lines(json_beginning(payload.document, limit, indent=2))


def bytes_text(body: bytes, *, limit: int) -> str | None:
    """Return the beginning of a body as text, or None if it is not UTF-8. JSON of up to 64 KiB is indented.

    The result is complete if it has at most `limit` characters; otherwise it is truncated.
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
