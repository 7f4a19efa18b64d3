"""Change SQLite files like another program."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path


def edit(path: Path, *statements: str, values: Sequence[object] = ()) -> None:
    """Run statements, each with `values` as its parameters, and commit."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement, values)


def replace_database(path: Path, other: Path) -> None:
    """Replace a database that may be open with `other`."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    other.replace(path)
