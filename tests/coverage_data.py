"""Incomplete coverage data of killed processes, which coverage would report one by one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def remove_unreadable(folder: Path, name: str = ".coverage") -> None:
    """Remove incomplete files of coverage data in a folder."""
    for path in folder.glob(f"{name}.*"):
        if not path.name.endswith(("-journal", "-wal", "-shm")) and not _is_complete(path):
            path.unlink(missing_ok=True)


def _is_complete(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path)) as data:  # what was begun in it is rolled back now
            return bool(data.execute("SELECT version FROM coverage_schema").fetchone()) and _is_sound(data)
    except sqlite3.DatabaseError:
        return False


def _is_sound(data: sqlite3.Connection) -> bool:
    return bool(data.execute("PRAGMA quick_check").fetchone() == ("ok",))
