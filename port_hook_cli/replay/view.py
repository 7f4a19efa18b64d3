"""What came of a replay: one answer, a table of many, and the request that a dry run would send."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.url_text import percent_encoded
from port_hook_cli.replay.tally import DeliveryTally
from port_hook_cli.text.safe import brief, printable_lines
from port_hook_cli.text.secret import mask_headers

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

SHOWN_BYTES = 2048
MOST_OF_A_URL = 1000
_STYLES = {2: "green", 3: "yellow", 4: "red", 5: "red"}
_PERCENTILES = (50, 90, 99)
_REFUSED = "The target refused the request: does it verify with the same secret, over the body as it arrives?"
_HINTS = {
    401: _REFUSED,
    403: _REFUSED,
    404: "The target has no route for this path; a path in --to replaces the captured one.",
    405: "The target has this path, but not for this method; --method sets another.",
    415: "The target wants another content-type; set it with --header content-type:….",
}
_FAULT_HINTS = {
    "unreachable": "Start the target, or check --to.",
    "timeout": "Give it longer with --timeout S; 0 waits for ever.",
    "broken": "The target's own log should say why.",
    "too-large": "Have the target return a smaller response.",
}


def delivery_hint(delivery: Delivery) -> str:
    """Return what to do about a replay that did not go well, or an empty string."""
    if delivery.status is None:
        return _FAULT_HINTS.get(delivery.fault or "", "")
    if delivery.status // 100 == 3:  # noqa: PLR2004 - the class of redirects
        return "Redirects are not followed, as Port follows none; point --to at the final address."
    fallback = "The target's own log should say why." if delivery.status >= HTTPStatus.INTERNAL_SERVER_ERROR else ""
    return _HINTS.get(delivery.status, fallback)


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


def tally_view(tally: DeliveryTally) -> Table:
    """Return the table at the end of a series: sends by status and error, latencies, rate."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, show_footer=True, pad_edge=False)
    table.add_column("answer", footer=Text(f"{tally.elapsed_s:.1f} s, {tally.rate_per_s:.1f}/s"))
    table.add_column("sends", justify="right", footer=Text(str(tally.sent)))
    for status, count in tally.statuses.items():
        table.add_row(Text(format_status(status), style=_STYLES.get(status // 100, "")), Text(str(count)))
    for error, count in tally.errors.items():
        table.add_row(Text(brief(error), style="red"), Text(str(count)))
    return table


def format_latencies(tally: DeliveryTally) -> str:
    """Return the latency percentiles of the answered sends on one line; empty when there were none."""
    if not tally.latencies_ms:
        return ""
    parts = [f"p{percent} {tally.percentile(percent):.1f} ms" for percent in _PERCENTILES]
    return "latency  " + "  ".join([*parts, f"max {tally.latencies_ms[-1]:.1f} ms"])


def request_text(invocation: Invocation, url: str) -> bytes:
    """Return a request as HTTP/1.1 text with credentials masked; the body is exact."""
    parts = urlsplit(percent_encoded(url))
    target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    headers = mask_headers(invocation.headers)
    lines = [f"{invocation.method} {target} HTTP/1.1".encode("utf-8", "surrogateescape")]
    if headers.get("host") is None:
        lines.append(f"Host: {parts.netloc}".encode("utf-8", "surrogateescape"))
    lines += [name + b": " + value for name, value in headers.raw()]
    if headers.get("content-length") is None:
        lines.append(f"Content-Length: {len(invocation.body)}".encode())
    return b"\r\n".join([*lines, b"", invocation.body])
