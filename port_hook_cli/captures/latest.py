"""The names of the latest captures: `last`, `last~2`, `last-replay`. This module is pure."""

from __future__ import annotations

from port_hook_cli.frozen import frozen

LAST = "last"
"""The latest request that arrived from outside. port-hook itself sends replays and the requests of `check`."""

LAST_REPLAY = "last-replay"
"""The latest replay or request of `check`."""

_MOST_DIGITS = 7


@frozen
class Latest:
    """A capture by its position: `back` requests before the latest arrival, or before the latest replay."""

    replays: bool
    back: int


def parse_latest(name: str) -> Latest | None:
    """Return the meaning of `last` and `last-replay`, with or without `~N`, or None for any other name.

    As in git, `last~1` (or `last~`) is the capture before `last`.
    """
    kind, tilde, count = name.partition("~")
    is_count = not count or (count.isascii() and count.isdecimal() and len(count) <= _MOST_DIGITS)
    if kind not in {LAST, LAST_REPLAY} or not is_count:
        return None
    return Latest(replays=kind == LAST_REPLAY, back=int(count or 1) if tilde else 0)
