from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from port_hook_cli.captures.database.rows import CAPTURE_COLUMNS
from port_hook_cli.captures.database.schema import (
    APPLICATION_ID,
    LATEST,
    UNRELEASED,
    NewerSchema,
    NotACaptureStore,
    migrate,
    read_version,
)
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.errors import StoreError
from tests.databases import edit
from tests.factories import a_capture

# A sample history of three versions.
HISTORY = (
    ("CREATE TABLE captures (seq INTEGER PRIMARY KEY, body TEXT)",),
    ("ALTER TABLE captures ADD COLUMN note TEXT", "UPDATE captures SET note = 'older'"),
    ("ALTER TABLE captures RENAME COLUMN note TO remark",),
)

LAST = UNRELEASED + len(HISTORY)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "captures.db", isolation_level=None)) as connection:
        yield connection


def columns(database: sqlite3.Connection) -> list[str]:
    return [row[1] for row in database.execute("PRAGMA table_info(captures)")]


def test_older_or_empty_file_is_migrated_with_its_captures(database: sqlite3.Connection) -> None:
    migrate(database, HISTORY[:1])
    database.execute("INSERT INTO captures (body) VALUES ('kept')")
    for _ in range(2):
        migrate(database, HISTORY)
        assert database.execute("SELECT body, remark FROM captures").fetchall() == [("kept", "older")]
        assert read_version(database, LAST) == LAST
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as empty:
        migrate(empty, HISTORY)
        assert (columns(empty), read_version(empty, LAST)) == (["seq", "body", "remark"], LAST)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as empty:
        migrate(empty)
        assert columns(empty) == ["seq", *CAPTURE_COLUMNS]


def test_failed_migration_leaves_the_file_unchanged(database: sqlite3.Connection) -> None:
    migrate(database, HISTORY[:1])
    with pytest.raises(sqlite3.OperationalError, match="nonsense"):
        migrate(database, (*HISTORY[:2], ("nonsense",)))
    assert columns(database) == ["seq", "body"]
    assert read_version(database) == UNRELEASED + 1
    migrate(database, HISTORY)
    assert read_version(database, LAST) == LAST


def test_newer_file_or_file_of_another_program_is_rejected(database: sqlite3.Connection) -> None:
    migrate(database, HISTORY)
    with pytest.raises(NewerSchema) as caught:
        migrate(database, HISTORY[:2])
    assert caught.value.version == LAST
    assert columns(database) == ["seq", "body", "remark"]
    for trace in ("CREATE TABLE t (a)", "PRAGMA user_version = 1", "PRAGMA user_version = 99"):
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as other:
            other.execute(trace)
            with pytest.raises(NotACaptureStore):
                migrate(other, HISTORY)


def test_older_file_is_migrated_once_when_two_processes_open_it(database: sqlite3.Connection, tmp_path: Path) -> None:
    migrate(database, HISTORY[:1])
    with closing(sqlite3.connect(tmp_path / "captures.db", isolation_level=None)) as other:
        seen: list[str] = []

        def look(statement: str) -> None:
            # The other connection migrates the file between the first look and the lock.
            if statement.startswith("BEGIN") and not seen:
                seen.append(statement)
                migrate(other, HISTORY)

        database.set_trace_callback(look)
        migrate(database, HISTORY)
    assert seen
    assert columns(database) == ["seq", "body", "remark"]


def test_store_of_version_0_is_migrated_when_it_is_opened(folder: Path) -> None:
    path = folder / "captures.db"
    path.touch()
    with open_store(path, folder) as store:
        store.add([a_capture()])
        assert store.get("last") == a_capture()
    with closing(sqlite3.connect(path)) as database:
        assert read_version(database) == LATEST


def test_store_of_a_newer_port_hook_is_rejected_with_a_hint(folder: Path) -> None:
    path = folder / "captures.db"
    edit(path, f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA user_version = 99")
    with pytest.raises(StoreError, match=r"newer version of port-hook wrote .* \(schema 99") as caught:
        open_store(path, folder, create=True)
    assert "Upgrade port-hook" in caught.value.hint
    assert "--store" in caught.value.hint


def test_store_from_before_the_first_release_is_rejected_and_not_changed(folder: Path) -> None:
    path = folder / "captures.db"
    edit(path, "CREATE TABLE captures (seq INTEGER PRIMARY KEY)", f"PRAGMA application_id = {APPLICATION_ID}")
    for version in (1, UNRELEASED):
        edit(path, f"PRAGMA user_version = {version}")
        before = path.read_bytes()
        for create in (True, False):
            words = rf"prerelease version of port-hook wrote .* \(schema {version}\)"
            with pytest.raises(StoreError, match=words) as caught:
                open_store(path, folder, create=create)
            assert "--store" in caught.value.hint
        assert path.read_bytes() == before
