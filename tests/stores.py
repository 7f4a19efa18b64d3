"""Add captures to a folder's store, read them, and write the project's file beside the store."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from port_hook_cli.captures.database.rows import CAPTURE_COLUMNS
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.models import Capture


def keep(folder: Path, *captures: Capture, store: str | None = None) -> None:
    """Add captures to the folder's own store, or to `store`, and create it if it is missing."""
    with open_store(None if store is None else Path(store), folder, create=True) as opened:
        opened.add(captures)


def last_listener(folder: Path, forward_to: str | None) -> None:
    """Record a session of `listen` in the folder's own store."""
    with open_store(None, folder, create=True) as captures:
        captures.record_session(forward_to)


def project_file(folder: Path, text: str) -> None:
    """Write a `port-hook.toml` that only its owner can read."""
    (folder / "port-hook.toml").write_text(text, "utf-8")
    (folder / "port-hook.toml").chmod(0o600)


def kept(folder: Path) -> list[Capture]:
    """Return the captures in the folder's own store, latest first."""
    with open_store(None, folder) as opened:
        return list(opened.select())


def add_copies(path: Path, count: int) -> None:
    """Add copies of the oldest capture, one second apart. Each has its number as its ID and run ID."""
    copied = {
        "id": "printf('%012x', number)",
        "received_at": "received_at + number",
        "run_id": "printf('r_%016d', number)",
    }
    values = ", ".join(copied.get(column, column) for column in CAPTURE_COLUMNS)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        latest = connection.execute("SELECT max(seq) FROM captures").fetchone()[0]
        connection.execute(
            f"""
            WITH RECURSIVE numbers (number) AS (SELECT ? UNION ALL SELECT number + 1 FROM numbers LIMIT ?)
            INSERT INTO captures ({", ".join(CAPTURE_COLUMNS)})
            SELECT {values} FROM captures, numbers WHERE seq = (SELECT min(seq) FROM captures)
            """,  # noqa: S608 - names of our own
            (latest + 1, count),
        )
