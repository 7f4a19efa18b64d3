"""Names of the newest captures: `last`, `last~2`, `last-replay`. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

LAST = "last"
"""The newest request that arrived. Replays and the requests of `check` did not arrive: port-hook sent them."""

LAST_REPLAY = "last-replay"
"""The newest replay, or request of `check`."""

_NAME = r"(?a)(last|last-replay)(?:~(\d{0,7}))?"


class Latest(NamedTuple):
    """A capture by its place: `back` requests before the newest that arrived, or before the newest replay."""

    replays: bool
    back: int


def parse_latest(name: str) -> Latest | None:
    """Return what `last`, `last-replay`, and either with `~N`, mean; None for any other name.

    As in git, `last~1` (or `last~`) is the capture before `last`.
    """
    found = re.fullmatch(_NAME, name)
    if found is None:
        return None
    back = 0 if found[2] is None else int(found[2] or 1)
    return Latest(replays=found[1] == LAST_REPLAY, back=back)
