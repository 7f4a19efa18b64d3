"""Shows whether a public URL reaches the listener: results of probes, states of a tunnel, and reports of changes."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.view import EVENT
from port_hook_cli.text.safe import brief

# Status codes of a tunnel server that cannot forward requests: the codes of gateways, and Cloudflare's own codes.
_NO_UPSTREAM = frozenset({502, 503, 504, *range(520, 528), 530})
# Status codes of an overloaded server. For example, Cloudflare's quick tunnels accept about 200 concurrent requests.
_OVERLOADED = frozenset({408, 425, 429})
# The status of the listener's response to a `host` that is not one of its names.
_MISDIRECTED = 421


class Connectivity(StrEnum):
    """The state of a public URL that a probe shows."""

    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    TAKEN = "taken"
    """Another server responds: the URL has expired, or never belonged to this listener."""


@frozen
class ProbeResult:
    """The result of a probe. If the listener did not respond, `latency_ms` is None and `message` is the reason."""

    connectivity: Connectivity
    latency_ms: float | None = None
    message: str = ""


def read_probe(status: int, body: bytes, *, token: str, latency_ms: float) -> ProbeResult:
    """Return what the response to a probe shows.

    Only this listener knows `token`, and it responds with nothing else.
    """
    if body == token.encode():
        return ProbeResult(Connectivity.REACHABLE, latency_ms)
    if status in _NO_UPSTREAM:
        return _unreachable(f"the tunnel's server responds with {status}: it is not connected to the listener")
    if status in _OVERLOADED:
        return _unreachable(f"the tunnel's server responds with {status}: it gets too many requests")
    if status == _MISDIRECTED:
        return _unreachable("the listener responds with 421: the `host` header is not the public URL's host")
    return ProbeResult(Connectivity.TAKEN, None, f"another server responds, with status {status}")


def _unreachable(message: str) -> ProbeResult:
    return ProbeResult(Connectivity.UNREACHABLE, None, message)


@frozen(kw_only=True)
class ProbeEndpoint:
    """The path for a listener's own probes, and the response to these probes. Both are random and secret."""

    path: str
    token: str


class TunnelState(StrEnum):
    """The state of the tunnel between Port and the listener."""

    OPEN = "open"
    """The tunnel was opened, and has not been probed yet."""
    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    TAKEN = "taken"
    """Another server responds at the public URL."""
    LOST = "lost"
    """The tunnel has ended and is being reopened."""

    @property
    def is_good(self) -> bool:
        """Whether the tunnel has no known problem."""
        return self in {TunnelState.OPEN, TunnelState.REACHABLE}


@frozen(kw_only=True)
class TunnelReport:
    """A new state of a tunnel. `latency_ms` is the latency of the probe. `reason` is a clause that explains the state.

    `previous_url` is the previous public URL, or None if the URL has not changed.
    """

    state: TunnelState
    url: str
    latency_ms: float | None = None
    reason: str = ""
    previous_url: str | None = None

    @classmethod
    def of(cls, result: ProbeResult, url: str) -> TunnelReport:
        """Return the report about the result of a probe."""
        states = {
            Connectivity.REACHABLE: TunnelState.REACHABLE,
            Connectivity.UNREACHABLE: TunnelState.UNREACHABLE,
            Connectivity.TAKEN: TunnelState.TAKEN,
        }
        return cls(state=states[result.connectivity], url=url, latency_ms=result.latency_ms, reason=result.message)


_MAX_REASON = 300
PASTE_THIS = "<- paste this as the webhook URL of your workflow node or action"


def tunnel_lines(report: TunnelReport) -> Iterator[str]:
    """Yield the lines about a change of the tunnel. A changed URL stands out, because the user must act on it."""
    if report.previous_url:
        yield ""
        yield "*** The public URL has changed. Nodes and actions with the old URL can no longer call this listener. ***"
        yield f"    old  {report.previous_url}"
        yield f"    new  {report.url}   {PASTE_THIS}"
        yield ""
        return
    yield f"tunnel {_describe(report)}"


def tunnel_summary(report: TunnelReport, lost_count: int) -> str:
    """Return one line about the last state of the tunnel, and about how often the tunnel was lost."""
    times = f", lost {lost_count} time{'' if lost_count == 1 else 's'}" if lost_count else ""
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
            return f"LOST{reason.rstrip('.')}. Port cannot call this listener. Reopening the tunnel …"


def tunnel_event(report: TunnelReport) -> dict[str, Any]:
    """Return a change of the tunnel as the record of `listen --json`."""
    return {"schema": EVENT, "type": "tunnel", **tunnel_fields(report), "previous_url": report.previous_url}


def tunnel_fields(report: TunnelReport) -> dict[str, Any]:
    """Return the fields of a tunnel's record that the summary of a session also contains."""
    latency_ms = None if report.latency_ms is None else round(report.latency_ms, 3)
    return {"state": str(report.state), "url": report.url, "latency_ms": latency_ms, "reason": report.reason or None}
