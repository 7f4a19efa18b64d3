"""The checks that `doctor` makes on a store."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.reader import open_reader
from port_hook_cli.errors import StoreError
from tests.factories import a_capture


def test_store_written_by_another_program_is_writable(tmp_path: Path) -> None:
    with open_store(None, tmp_path, create=True) as store, closing(sqlite3.connect(store.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.check_writable()
        other.rollback()
        store.check_writable()
        store.add([a_capture()])  # the check doesn't hold a lock


def test_read_only_store_file_is_reported(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root can write to every file")
    with open_store(None, tmp_path, create=True) as store:
        path = store.path
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        with open_reader(None, tmp_path, show_only=True) as store, pytest.raises(StoreError):
            store.check_writable()
    finally:
        path.parent.chmod(0o700)
