"""Names of the latest captures: `last`, `last~2`, `last-replay`. Pure."""

from __future__ import annotations

from port_hook_cli.frozen import frozen

LAST = "last"
"""The latest request that arrived. Replays and the requests of `check` did not arrive: port-hook sent them."""

LAST_REPLAY = "last-replay"
"""The latest replay, or request of `check`."""

_MOST_DIGITS = 7


@frozen
class Latest:
    """A capture by its place: `back` requests before the latest that arrived, or before the latest replay."""

    replays: bool
    back: int


def parse_latest(name: str) -> Latest | None:
    """Return what `last`, `last-replay`, and either with `~N`, mean, or None for any other name.

    As in git, `last~1` (or `last~`) is the capture before `last`.
    """
    kind, tilde, count = name.partition("~")
    is_count = not count or (count.isascii() and count.isdecimal() and len(count) <= _MOST_DIGITS)
    if kind not in {LAST, LAST_REPLAY} or not is_count:
        return None
    return Latest(replays=kind == LAST_REPLAY, back=int(count or 1) if tilde else 0)
