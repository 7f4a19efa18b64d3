"""Show a request and a delivery on the screen."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlsplit

from port_hook_cli.invocations.masked_headers import mask_headers
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.url_text import percent_encoded, request_target
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


def format_status(status: int) -> str:
    """Return a status with its reason phrase."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def delivery_lines(delivery: Delivery) -> Iterator[Styled]:
    """Yield one response: status, latency and URL, then the beginning of the body. `delivery` needs a status.

    The body is indented, because a line of it could look like a message of port-hook. Print the lines with
    `Output.fit(…, indent=BODY_INDENT)`, because a terminal continues a long line in its first column.
    """
    status = delivery.status or 0
    rest = f"  {format_latency(delivery.latency_ms)}  {brief(delivery.url, MOST_OF_A_URL)}"
    yield Styled.assemble((format_status(status), _STYLES.get(status // 100, "")), rest)
    if body := _body_text(delivery.body):
        yield from (Styled.assemble(" " * BODY_INDENT, (line, JSON)) for line in body.split("\n"))


def _body_text(body: bytes) -> str:
    shown = body[:SHOWN_BYTES]
    text = printable_lines(shown.decode("utf-8", "replace")).rstrip()
    return f"{text}\n… (the first {SHOWN_BYTES} bytes of the response)" if len(body) > SHOWN_BYTES else text


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
