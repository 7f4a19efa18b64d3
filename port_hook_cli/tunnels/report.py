"""What becomes of a tunnel, one report for each change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from port_hook_cli.tunnels.connectivity import Probing, Reach


class TunnelState(StrEnum):
    """How the way from Port to the listener fares."""

    OPEN = "open"
    """It was opened; nothing is known about it yet."""
    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    TAKEN = "taken"
    """Somebody else answers at the URL."""
    LOST = "lost"
    """It has ended, and is being opened anew."""

    @property
    def is_good(self) -> bool:
        """Whether nothing is known to stand between Port and the listener."""
        return self in {TunnelState.OPEN, TunnelState.REACHABLE}


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelReport:
    """A state that a tunnel came to. `latency_ms` is that of the probe; `reason` says why, in words.

    `previous_url` is the public URL before this one, where it changed.
    """

    state: TunnelState
    url: str
    latency_ms: float | None = None
    reason: str = ""
    previous_url: str | None = None

    @classmethod
    def of(cls, probing: Probing, url: str) -> TunnelReport:
        """Return the report that a probe gives."""
        states = {
            Reach.REACHABLE: TunnelState.REACHABLE,
            Reach.UNREACHABLE: TunnelState.UNREACHABLE,
            Reach.TAKEN: TunnelState.TAKEN,
        }
        return cls(state=states[probing.reach], url=url, latency_ms=probing.latency_ms, reason=probing.words)
