"""The tables of the store, and the migrations that upgrade an older file to the latest schema.

`PRAGMA user_version` is the version of a file's schema. `PRAGMA application_id` marks the file as a capture store.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import cache
from itertools import chain

APPLICATION_ID = 0x50484B31  # "PHK1" in ASCII

UNRELEASED = 5
"""The latest schema version from before the first release. port-hook doesn't read files with this version or older."""

# Only append to this list: entry n upgrades a file to version UNRELEASED + n + 1 from the version before it.
#
# Small columns come first and bodies last, because SQLite reads a row from its start. The first index grows at one end.
# An index on the IDs themselves, which are random, would touch another page for nearly every capture and triple the
# cost of a commit (docs/contributing/decisions/0005-captures-survive-a-crash-not-a-power-cut.md).
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # `kafka` is the JSON of a message's origin, and `simulated` is the JSON of the listener's simulation. Both
        # columns are mostly NULL.
        """
        CREATE TABLE captures (
            seq INTEGER PRIMARY KEY,
            id TEXT NOT NULL,
            received_at REAL NOT NULL,
            method TEXT NOT NULL,
            target TEXT NOT NULL,
            replay_of TEXT,
            run_id TEXT,
            action TEXT,
            signature TEXT,
            status TEXT NOT NULL,
            reading TEXT,
            age_s REAL,
            is_verified INTEGER NOT NULL DEFAULT 1,
            body_size INTEGER,
            body_sha256 TEXT,
            kafka TEXT,
            simulated TEXT,
            causes TEXT,
            headers TEXT NOT NULL,
            delivery TEXT,
            response TEXT,
            delivery_body BLOB,
            response_body BLOB,
            body BLOB NOT NULL
        )
        """,
        "CREATE INDEX arrivals ON captures (received_at, id, signature)",
        # These indexes are partial: verified captures and HTTP requests are not in them and cost nothing.
        "CREATE INDEX unverified ON captures (seq) WHERE is_verified = 0",
        "CREATE INDEX messages ON captures (kafka) WHERE kafka IS NOT NULL",
        # This table has one row, with the target of the last listener.
        "CREATE TABLE last_session (forward_to TEXT)",
        # This table has the offsets where a listener that watches topics resumes, by the ID of the cluster.
        """
        CREATE TABLE kafka_positions (
            cluster TEXT NOT NULL,
            topic TEXT NOT NULL,
            part INTEGER NOT NULL,
            next_offset INTEGER NOT NULL,
            PRIMARY KEY (cluster, topic, part)
        ) WITHOUT ROWID
        """,
    ),
    # The run IDs of each thousand captures. The last migration drops the table.
    ("CREATE TABLE name_blocks (upto INTEGER PRIMARY KEY, since INTEGER NOT NULL, ends TEXT NOT NULL)",),
    ("ALTER TABLE captures RENAME COLUMN reading TO signed_form",),
    # The hosts and ports of the public URLs of this store's listeners, at most 100 (see `replay --missed`).
    ("CREATE TABLE addresses (address TEXT PRIMARY KEY, used_at REAL NOT NULL) WITHOUT ROWID",),
    # One row with the time of the latest deleted capture, because the runs before it may be done (`replay --missed`).
    ("CREATE TABLE deletions (only INTEGER PRIMARY KEY, latest_at REAL NOT NULL)",),
    ("DROP TABLE name_blocks",),
)
LATEST = UNRELEASED + len(MIGRATIONS)
"""The schema version that this port-hook writes."""


# One statement reads all three values, so that they are consistent: another process may be creating the tables.
_STATE = """
    SELECT user_version, application_id, (SELECT count(*) FROM sqlite_master)
    FROM pragma_user_version, pragma_application_id
"""


# These are the exact definitions that ANALYZE uses. Any other object with one of these names may be harmful.
_STATISTICS = {
    ("table", "sqlite_stat1"): "CREATE TABLE sqlite_stat1(tbl,idx,stat)",
    ("table", "sqlite_stat4"): "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)",
}
# Capture numbers count up from 1. After the largest possible number, SQLite continues with random numbers, so the order
# would be lost.
_LARGEST_NUMBER = 2**53
# A single query for both numbers would read an index, and with it any planted value.
_NUMBERS = "SELECT (SELECT min(seq) FROM captures), (SELECT max(seq) FROM captures)"


class NotACaptureStore(Exception):
    """The file is a SQLite database that another program made."""


class PlantedSchema(Exception):
    """The store has a table, index, view or trigger that port-hook didn't create. The message contains its name."""


class NewerSchema(Exception):
    """A newer port-hook wrote the store. `version` is its schema version."""

    def __init__(self, version: int, known: int) -> None:
        super().__init__(f"schema {version}, but this port-hook supports up to {known}")
        self.version = version


class UnreleasedSchema(Exception):
    """A version of port-hook from before the first release wrote the store. The message contains its schema version."""


def read_version(connection: sqlite3.Connection, known: int = LATEST) -> int:
    """Return the file's schema version, or 0 for an empty file.

    Raises NotACaptureStore, NewerSchema or UnreleasedSchema.
    """
    version, application, tables = connection.execute(_STATE).fetchone()
    if application != APPLICATION_ID:
        if version or tables:
            raise NotACaptureStore
        return 0
    if version > known:
        raise NewerSchema(version, known)
    if version < 0:
        raise NotACaptureStore
    if 0 < version <= UNRELEASED:
        raise UnreleasedSchema(f"schema {version}")
    return int(version)


def check_schema(connection: sqlite3.Connection) -> int:
    """Return the file's schema version. Raises PlantedSchema for unknown objects, and the errors of `read_version`.

    The author of a view, a trigger or a generated column can run code whenever port-hook reads or writes the table.
    """
    connection.execute("BEGIN")  # another process may be migrating the file
    try:
        version = read_version(connection)
        check_definitions(connection, tuple(chain.from_iterable(MIGRATIONS[: max(0, version - UNRELEASED)])))
    finally:
        connection.rollback()
    _check_numbers(connection, version)
    return version


def _check_numbers(connection: sqlite3.Connection, version: int) -> None:
    if not version:
        return
    with suppress(sqlite3.DatabaseError):  # port-hook reports a damaged file when it reads the file
        for number in connection.execute(_NUMBERS).fetchone():
            if number is not None and not 1 <= number <= _LARGEST_NUMBER:
                raise PlantedSchema(f"capture with the number {number}")


def check_definitions(connection: sqlite3.Connection, statements: tuple[str, ...]) -> None:
    """Raise PlantedSchema if a database's objects or their definitions differ from what `statements` create.

    The database's author can run code in views, triggers and generated columns, and in the expressions of CHECK,
    DEFAULT and indexes.
    """
    expected, found = _definitions_of(statements), _definitions(connection)
    for name in {**expected, **found}:
        if found.get(name) != expected.get(name):
            raise PlantedSchema(" ".join(name))


@cache
def _definitions_of(statements: tuple[str, ...]) -> dict[tuple[str, str], str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
        return _definitions(connection)


def _definitions(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """Return the definition of each object of a database by type and name, without ANALYZE's statistics."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master")
    found = {(str(kind), str(name)): " ".join(str(sql).split()) for kind, name, sql in rows}
    return {name: sql for name, sql in found.items() if _STATISTICS.get(name) != sql}


def migrate(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Migrate the file to the latest schema in one transaction. Raises the errors of `read_version`."""
    latest = UNRELEASED + len(migrations)
    if read_version(connection, latest) == latest:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have migrated the file.
        done = max(0, read_version(connection, latest) - UNRELEASED)
        for statement in chain.from_iterable(migrations[done:]):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {latest}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
