"""The results of a replay as text: hints, and the table at the end of a series."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from port_hook_cli.invocations.delivery_view import _STYLES, format_status
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.text.durations import format_duration, format_latency
from port_hook_cli.text.safe import brief

if TYPE_CHECKING:
    from rich.table import Table

    from port_hook_cli.replay.tally import DeliveryTally

_PERCENTILES = (50, 90, 99)
_REFUSED = "The target refused the request. Check that it verifies the exact body with the same secret."
_SECONDS = "If it divides x-port-timestamp by 1000, it expects milliseconds: try --timestamp-unit ms."
_HINTS = {
    400: _SECONDS,
    401: _REFUSED,
    403: _REFUSED,
    404: "The target has no route for this path; a path in --to replaces the captured one.",
    405: "The target has this path, but not for this method; --method sets another.",
    415: "The target expects another content-type; set it with --header content-type:….",
}
_FAULT_HINTS = {
    "unreachable": "Start the target, or check --to.",
    "timeout": "Wait longer with --timeout S; 0 waits indefinitely.",
    "broken": "The target's own log should say why.",
    "too-large": "Have the target return a smaller response.",
}


def delivery_hint(delivery: Delivery, conflict: str = "") -> str:
    """Return what to do about a replay that failed, or an empty string.

    `conflict` says that two places have different secrets; it is added if the target refused the signature.
    """
    if delivery.status is None:
        return _FAULT_HINTS.get(delivery.fault or "", "")
    if delivery.status // 100 == 3:  # noqa: PLR2004 - the class of redirects
        return "Redirects are not followed, and Port does not follow them either; point --to at the final address."
    fallback = "The target's own log should say why." if delivery.status >= HTTPStatus.INTERNAL_SERVER_ERROR else ""
    hint = _HINTS.get(delivery.status, fallback)
    if hint != _REFUSED:
        return hint
    return " ".join(part for part in (hint, _SECONDS, conflict) if part)


def tally_view(tally: DeliveryTally) -> Table:
    """Return the table at the end of a series: requests by status and error, duration and rate."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, show_footer=True, pad_edge=False)
    table.add_column("response", footer=Text(f"{format_duration(tally.elapsed_s)}, {tally.rate_per_s:.1f}/s"))
    table.add_column("requests", justify="right", footer=Text(str(tally.sent)))
    for status, count in tally.statuses.items():
        table.add_row(Text(format_status(status), style=_STYLES.get(status // 100, "")), Text(str(count)))
    for error, count in tally.errors.items():
        table.add_row(Text(brief(error), style="red"), Text(str(count)))
    return table


def format_latencies(tally: DeliveryTally) -> str:
    """Return the latency percentiles on one line; empty if there were no responses."""
    if not tally.latencies_ms:
        return ""
    percentiles = ((percent, tally.percentile(percent)) for percent in _PERCENTILES)
    parts = [f"p{percent} {format_latency(latency)}" for percent, latency in percentiles if latency is not None]
    return "latency  " + "  ".join([*parts, f"max {format_latency(tally.latencies_ms[-1])}"])
