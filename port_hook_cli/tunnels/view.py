"""What is said of a tunnel when it changes, and in the end."""

from __future__ import annotations

from collections.abc import Iterator

from port_hook_cli.text.safe import brief
from port_hook_cli.tunnels.report import TunnelReport, TunnelState

_MOST = 300


def tunnel_lines(report: TunnelReport) -> Iterator[str]:
    """Yield what a person needs to know of a change; a changed URL is what nobody may miss."""
    if report.previous_url:
        yield ""
        yield "*** The public URL has changed. Actions that name the old one do not reach this listener any more. ***"
        yield f"    old  {report.previous_url}"
        yield f"    new  {report.url}   <- paste this as the webhook URL of your action"
        yield ""
        return
    yield f"tunnel {_words(report)}"


def tunnel_summary(report: TunnelReport, lost: int) -> str:
    """Return how the tunnel stood in the end, as one line; `lost` is how often it ended in between."""
    times = f"; lost {lost} time{'' if lost == 1 else 's'}" if lost else ""
    return f"tunnel {_words(report)}{times}"


def _words(report: TunnelReport) -> str:
    reason = f": {brief(report.reason, _MOST)}" if report.reason else ""
    match report.state:
        case TunnelState.OPEN:
            return f"open: {report.url}"
        case TunnelState.REACHABLE:
            latency = f" in {report.latency_ms:.0f} ms" if report.latency_ms is not None else ""
            return f"reachable{latency}: {report.url}"
        case TunnelState.UNREACHABLE:
            return f"UNREACHABLE{reason}. Nothing reaches this listener from outside"
        case TunnelState.TAKEN:
            return f"TAKEN{reason}. The URL is not this listener's any more"
        case TunnelState.LOST:
            return f"LOST{reason} Nothing reaches this listener from outside; opening it anew …"
