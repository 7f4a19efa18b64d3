"""A request and a delivery on the screen."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from port_hook_cli.invocations.masked_headers import mask_headers
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.url_text import percent_encoded, request_target
from port_hook_cli.text.safe import brief, printable_lines

if TYPE_CHECKING:
    from rich.text import Text


SHOWN_BYTES = 2048


MOST_OF_A_URL = 1000


_STYLES = {2: "green", 3: "yellow", 4: "red", 5: "red"}


def format_status(status: int) -> str:
    """Return a status with its reason phrase."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def delivery_view(delivery: Delivery) -> Text:
    """Return one answer: status, latency, URL, and the beginning of the body. It needs a status."""
    from rich.text import Text

    status = delivery.status or 0
    text = Text(format_status(status), style=_STYLES.get(status // 100, ""))
    text.append(f"  {delivery.latency_ms:.1f} ms  {brief(delivery.url, MOST_OF_A_URL)}", style="default")
    body = _body_text(delivery.body)
    return text.append(f"\n{body}", style="default") if body else text


def _body_text(body: bytes) -> str:
    shown = body[:SHOWN_BYTES]
    text = printable_lines(shown.decode("utf-8", "replace")).rstrip()
    return f"{text}\n… (the answer's first {SHOWN_BYTES} bytes)" if len(body) > SHOWN_BYTES else text


def request_text(invocation: Invocation, url: str) -> bytes:
    """Return a request as HTTP/1.1 text with credentials masked; the body is exact."""
    headers = mask_headers(invocation.headers)
    lines = [f"{invocation.method} ".encode("utf-8", "surrogateescape") + request_target(url) + b" HTTP/1.1"]
    if headers.get("host") is None:
        lines.append(f"Host: {urlsplit(percent_encoded(url)).netloc}".encode("utf-8", "surrogateescape"))
    lines += [name + b": " + value for name, value in headers.raw()]
    if headers.get("content-length") is None:
        lines.append(f"Content-Length: {len(invocation.body)}".encode())
    return b"\r\n".join([*lines, b"", invocation.body])
