"""Whether requests to a public URL reach the listener, according to the listener's own probe."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# Status codes of a tunnel's server that has nothing to forward to: those of gateways, and Cloudflare's own.
_NO_UPSTREAM = frozenset({502, 503, 504, *range(520, 528), 530})
# Status codes of an overloaded server: Cloudflare's quick tunnels accept about 200 requests at once.
_OVERLOADED = frozenset({408, 425, 429})
# The listener's response to a `host` that is not one of its names.
_MISDIRECTED = 421


class Connectivity(StrEnum):
    """What a probe says about a public URL."""

    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    TAKEN = "taken"
    """Another server responds: the URL has expired, or was never this listener's."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of one probe. `latency_ms` is None if the listener did not respond; then `message` is the reason."""

    connectivity: Connectivity
    latency_ms: float | None = None
    message: str = ""


def read_probe(status: int, body: bytes, *, token: str, latency_ms: float) -> ProbeResult:
    """Return what the response to a probe says. Only this listener knows `token`, and it responds with nothing else."""
    if body == token.encode():
        return ProbeResult(Connectivity.REACHABLE, latency_ms)
    if status in _NO_UPSTREAM:
        return _unreachable(f"the tunnel's server responds with {status}: it is not connected to the listener")
    if status in _OVERLOADED:
        return _unreachable(f"the tunnel's server responds with {status}: it gets too many requests")
    if status == _MISDIRECTED:
        return _unreachable("the listener responds with 421: the `host` that arrives is not that of the public URL")
    return ProbeResult(Connectivity.TAKEN, None, f"another server responds there, with status {status}")


def _unreachable(message: str) -> ProbeResult:
    return ProbeResult(Connectivity.UNREACHABLE, None, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeEndpoint:
    """The path at which a listener responds to its own probes, and its response. Both are random and secret."""

    path: str
    token: str
