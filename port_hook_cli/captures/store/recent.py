"""The names of the latest captures, for shell completion: a few columns, without reading bodies or waiting for a lock.

Completion does not migrate the store to the latest schema, because that takes time and an older port-hook may be using
the store.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from port_hook_cli.captures.database.conditions import bounded, has_at_most
from port_hook_cli.captures.database.opening import Access, connect, portable, store_path
from port_hook_cli.errors import StoreError, UsageError

_MOST = 50
_PATIENCE_S = 0.05
_FARTHEST_FUTURE = 2.0**33  # the year 2242
# Any program may have written the store, so long texts are not read into memory, and truncated texts are not offered as
# names.
_LONGEST = 1_000
_TEXTS = ("id", "method", "action", "run_id", "status")
_LATEST = portable(f"""
    SELECT {", ".join(f"CASE WHEN {has_at_most(name)} THEN substr({name}, 1, {_LONGEST}) END" for name in _TEXTS)},
        {bounded("received_at")}
    FROM captures ORDER BY seq DESC LIMIT ?
""")  # noqa: S608 - our own names


class RecentCapture(NamedTuple):
    """The columns that identify a capture to the user. Any program may have written these texts."""

    id: str
    method: str
    action: str | None
    run_id: str | None
    status: str
    received_at: float


def recent_captures(option: Path | None, cwd: Path) -> list[RecentCapture]:
    """Return the latest captures of a store, latest first, or an empty list if the store cannot be read."""
    found: list[RecentCapture] = []
    with suppress(StoreError, UsageError, OSError, sqlite3.Error), closing(_open(option, cwd)) as connection:
        rows = connection.execute(_LATEST, [_MOST]).fetchall()
        found = [RecentCapture(*row) for row in rows if _is_sound(row)]
    return found


def _open(option: Path | None, cwd: Path) -> sqlite3.Connection:
    return connect(store_path(option, cwd), Access.GLANCE, patience_s=_PATIENCE_S).connection


def _is_sound(row: tuple[object, ...]) -> bool:
    name, method, action, run_id, status, received_at = row
    texts = (name, method, status)
    optional = (action, run_id)
    return (
        isinstance(received_at, float)
        and 0 <= received_at < _FARTHEST_FUTURE
        and all(isinstance(text, str) for text in texts)
        and all(text is None or isinstance(text, str) for text in optional)
    )
