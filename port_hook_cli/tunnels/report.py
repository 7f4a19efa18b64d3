"""The states of a tunnel, and the report of a change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from port_hook_cli.tunnels.connectivity import Connectivity, ProbeResult


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
        """Whether no problem is known."""
        return self in {TunnelState.OPEN, TunnelState.REACHABLE}


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelReport:
    """A new state of a tunnel. `latency_ms` is that of the probe, `reason` is a clause that explains the state.

    `previous_url` is the public URL before this one, or None if it has not changed.
    """

    state: TunnelState
    url: str
    latency_ms: float | None = None
    reason: str = ""
    previous_url: str | None = None

    @classmethod
    def of(cls, result: ProbeResult, url: str) -> TunnelReport:
        """Return the report of a probe."""
        states = {
            Connectivity.REACHABLE: TunnelState.REACHABLE,
            Connectivity.UNREACHABLE: TunnelState.UNREACHABLE,
            Connectivity.TAKEN: TunnelState.TAKEN,
        }
        return cls(state=states[result.connectivity], url=url, latency_ms=result.latency_ms, reason=result.message)
