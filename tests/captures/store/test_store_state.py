"""The checks that `doctor` makes on a store."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from port_hook_cli.captures.store.capture_store import open_store
from tests.factories import a_capture


def test_store_written_by_another_program_is_writable(tmp_path: Path) -> None:
    with open_store(None, tmp_path, create=True) as store, closing(sqlite3.connect(store.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.check_writable()
        other.rollback()
        store.check_writable()
        store.add([a_capture()])  # the check doesn't hold a lock
