"""Whether a listener can be reached through its public URL, as its own probe found it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# What the edge of a tunnel answers when there is nothing behind it: gateways' statuses, and Cloudflare's own.
_NOBODY_BEHIND = frozenset({502, 503, 504, *range(520, 528), 530})
# What an edge answers that has too much to do: in a burst, Cloudflare's quick tunnels take 200 requests at once.
_TOO_MUCH = frozenset({408, 425, 429})
# The listener's response to a `host` that is not one of its names.
_MISDIRECTED = 421


class Reach(StrEnum):
    """How a public URL fares."""

    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    TAKEN = "taken"
    """Somebody else answers there: the URL has expired, or was never this listener's."""


@dataclass(frozen=True, slots=True)
class Probing:
    """What one probe found. `latency_ms` is known where the listener answered; `words` say why it did not."""

    reach: Reach
    latency_ms: float | None = None
    words: str = ""


def read_probe(status: int, body: bytes, *, token: str, latency_ms: float) -> Probing:
    """Return what the answer to a probe says; only this listener knows `token`, and answers with nothing else."""
    if body == token.encode():
        return Probing(Reach.REACHABLE, latency_ms)
    if status in _NOBODY_BEHIND:
        return Probing(Reach.UNREACHABLE, None, f"the far end answers {status}: nothing is behind it")
    if status in _TOO_MUCH:
        return Probing(Reach.UNREACHABLE, None, f"the far end answers {status}: too much comes to it")
    if status == _MISDIRECTED:
        return Probing(Reach.UNREACHABLE, None, "the answer is 421: the `host` that arrives is not the public URL's")
    return Probing(Reach.TAKEN, None, f"somebody else answers there, with status {status}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """The one path that a listener answers to itself, and with what; both are random, and nobody else knows them."""

    path: str
    token: str
