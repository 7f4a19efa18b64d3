"""The lines about a tunnel: its changes, and its state at the end."""

from __future__ import annotations

from collections.abc import Iterator

from port_hook_cli.text.safe import brief
from port_hook_cli.tunnels.report import TunnelReport, TunnelState

_MAX_REASON = 300


def tunnel_lines(report: TunnelReport) -> Iterator[str]:
    """Yield the lines that report a change. A changed URL is set off, because the user must act on it."""
    if report.previous_url:
        yield ""
        yield "*** The public URL has changed. Actions that use the old one can no longer call this listener. ***"
        yield f"    old  {report.previous_url}"
        yield f"    new  {report.url}   <- paste this as the webhook URL of your action"
        yield ""
        return
    yield f"tunnel {_describe(report)}"


def tunnel_summary(report: TunnelReport, lost_count: int) -> str:
    """Return one line on the tunnel's last state, and on how often it was lost."""
    times = f"; lost {lost_count} time{'' if lost_count == 1 else 's'}" if lost_count else ""
    return f"tunnel {_describe(report)}{times}"


def _describe(report: TunnelReport) -> str:
    reason = f": {brief(report.reason, _MAX_REASON)}" if report.reason else ""
    match report.state:
        case TunnelState.OPEN:
            return f"open: {report.url}"
        case TunnelState.REACHABLE:
            latency = f" in {report.latency_ms:.0f} ms" if report.latency_ms is not None else ""
            return f"reachable{latency}: {report.url}"
        case TunnelState.UNREACHABLE:
            return f"UNREACHABLE{reason}. Port cannot call this listener"
        case TunnelState.TAKEN:
            return f"TAKEN{reason}. The URL no longer belongs to this listener"
        case TunnelState.LOST:
            return f"LOST{reason} Port cannot call this listener; reopening the tunnel …"
