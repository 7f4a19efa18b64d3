"""A large store stays fast. The tests count SQLite's steps, which do not depend on the machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.captures.database.rows import CAPTURE_COLUMNS, text_column
from port_hook_cli.captures.database.schema import UNRELEASED, migrate
from port_hook_cli.captures.store import statements
from port_hook_cli.captures.store.capture_store import CaptureStore, open_store
from port_hook_cli.captures.store.deleting import PruneRule
from port_hook_cli.captures.store.name_blocks import BLOCK
from port_hook_cli.captures.store.reader import StoreReader, open_reader
from port_hook_cli.captures.store.statements import StoreFilter
from port_hook_cli.invocations.models import Capture, Simulated, Status, Verdict
from tests.databases import edit
from tests.factories import NOW, RUN_ID, a_capture, an_invocation
from tests.stores import add_copies

ABSENT = "r_0000000000absent"


def store_of(folder: Path, count: int) -> Path:
    """Return the path of a store with `count` captures, each with its own run, and with a listener's blocks."""
    with open_store(None, folder, create=True) as store:
        store.add([a_capture()])
    add_copies(store.path, count - 1)
    tidy(folder)
    return store.path


def tidy(folder: Path) -> None:
    with open_store(None, folder, create=True, max_captures=10**9) as store:
        while store.tidy():
            pass


def steps_of(path: Path, sql: str, values: Sequence[Any]) -> int:
    """Return how many thousand steps SQLite takes for a statement."""
    counted = []
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT * FROM captures LIMIT 1").fetchall()
        connection.set_progress_handler(lambda: counted.append(1), 1_000)
        connection.execute(sql, values).fetchall()
    return len(counted)


def plan_of(path: Path, sql: str, values: Sequence[Any]) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return "; ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values))


def test_large_store_is_searched_in_few_steps(folder: Path) -> None:
    latest = statements.search(StoreFilter(), limit=20)
    path = store_of(folder, 100)
    few = steps_of(path, *latest)
    add_copies(path, 20_400)
    tidy(folder)
    assert steps_of(path, *latest) == few
    assert steps_of(path, statements.LATEST, []) == 0  # without reading an index
    for absent in (StoreFilter(run_id=ABSENT), StoreFilter(replay_of="000000absent")):
        query = statements.search(absent, limit=20)
        assert steps_of(path, *query) <= 5  # SQLite reads only the 500 captures without a block
        assert "TEMP B-TREE" not in plan_of(path, *query)
    assert "TEMP B-TREE" not in plan_of(path, *latest)


def test_run_is_found_in_every_block_and_after_the_last_block(folder: Path) -> None:
    path = store_of(folder, 3 * BLOCK + 10)
    with open_store(None, folder) as store:
        for number in (2, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 1, 3 * BLOCK + 10):
            assert first_of(store, f"r_{number:016}") == f"{number:012x}"
    edit(path, "UPDATE captures SET run_id = 'r_again' WHERE seq % ? = 5", values=[BLOCK])
    edit(path, "DELETE FROM name_blocks")
    tidy(folder)
    with open_store(None, folder) as store:
        latest = [capture.invocation.id for capture in store.select(StoreFilter(run_id="r_again"), limit=3)]
        oldest = [capture.invocation.id for capture in store.select(StoreFilter(run_id="r_again"), oldest=True)]
    assert latest == [f"{number * BLOCK + 5:012x}" for number in (3, 2, 1)]
    assert oldest == [f"{5:012x}", *reversed(latest)]


@pytest.mark.parametrize("run_id", ["", "r_\ud800\ud801", "r_\0zero"])
def test_run_with_an_unusual_id_is_found_in_a_block(folder: Path, run_id: str) -> None:
    path = store_of(folder, BLOCK - 1)
    with open_store(None, folder) as store:
        row = list(store.row(a_capture(an_invocation(id="unusual", received_at=NOW + BLOCK))))
        row[CAPTURE_COLUMNS.index("run_id")] = text_column(run_id)
        store.write([tuple(row)], [])
    add_copies(path, BLOCK)
    tidy(folder)
    with open_store(None, folder) as store:
        assert first_of(store, run_id) == "unusual"


@pytest.mark.parametrize("listed", [CaptureStore.select, CaptureStore.listed])
def test_log_can_restart_while_a_reader_pauses_in_a_list(folder: Path, listed: Any) -> None:
    path = store_of(folder, BLOCK)
    with open_store(None, folder) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        found = listed(store, StoreFilter())
        next(found)
        store.add([a_capture()])
        is_busy = other.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0]
        assert not is_busy
        assert len(list(found)) == BLOCK - 1


def test_large_captures_are_read_one_at_a_time(folder: Path) -> None:
    bodies = [b'{"filler": "%s"}' % (b"x" * 3_000_000), b"{}", b'{"filler": "%s"}' % (b"y" * 5_000_000)]
    with open_store(None, folder, create=True) as store:
        store.add([a_capture(an_invocation(body, id=f"{number:012x}")) for number, body in enumerate(bodies)])
        assert [capture.invocation.body for capture in store.select(limit=3)] == bodies[::-1]


def test_request_marked_as_a_replay_later_is_found_in_its_block(folder: Path) -> None:
    path = store_of(folder, BLOCK - 1)
    received = an_invocation(id="received", received_at=NOW + 10**6)
    with open_store(None, folder) as store:
        store.add([a_capture(received)])
    add_copies(path, BLOCK)
    tidy(folder)
    with open_store(None, folder) as store:
        assert store.mark_replay(an_invocation(id="sent", received_at=NOW + 10**6, replay_of="0123456789ab"))
        found = list(store.select(StoreFilter(replay_of="0123456789ab")))
    assert "received" in {capture.invocation.id for capture in found}


def blocks_of(path: Path) -> list[tuple[int, int]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT since, upto FROM name_blocks ORDER BY upto").fetchall()


def test_blocks_of_deleted_captures_are_deleted(folder: Path) -> None:
    path = store_of(folder, 5 * BLOCK)
    with open_store(None, folder, create=True, max_captures=3 * BLOCK) as store:
        store.add([a_capture()])
    add_copies(path, BLOCK)
    tidy(folder)
    assert blocks_of(path) == [(start * BLOCK + 1, (start + 1) * BLOCK) for start in (2, 3, 4, 5)]
    with open_store(None, folder) as store:
        store.prune(PruneRule(keep=BLOCK))
        assert blocks_of(path) == [(5 * BLOCK + 1, 6 * BLOCK)]
        store.prune(PruneRule(keep=0))
        store.add([a_capture(an_invocation(id="later"))])  # reuses a number
        assert first_of(store, RUN_ID) == "later"


def test_blocks_of_deleted_unsigned_requests_do_not_fill_the_store(folder: Path) -> None:
    with open_store(None, folder, create=True) as store:
        store.add([a_capture(an_invocation(id="verified0000"))])
    with open_store(None, folder, create=True, max_captures=100) as store:
        for number in range(5 * BLOCK // 50):
            store.add([unsigned(50 * number + each) for each in range(50)])
        assert store.get("verified0000").invocation.id == "verified0000"
    assert len(blocks_of(store.path)) <= 2


def unsigned(number: int) -> Capture:
    return a_capture(an_invocation(id=f"{number:012x}"), verdict=Verdict(status=Status.MISSING))


def older_store(folder: Path, count: int, capture: Capture | None = None) -> Path:
    """Return the path of a store with the first schema: without blocks, and with the old names."""
    path = folder / ".port-hook" / "captures.db"
    with open_store(None, folder, create=True) as store:
        store.add([capture or a_capture()])
    add_copies(path, count - 1)
    edit(
        path,
        "DROP TABLE name_blocks",
        "DROP TABLE addresses",
        "DROP TABLE deletions",
        "ALTER TABLE captures RENAME COLUMN signed_form TO reading",
        """UPDATE captures SET simulated = replace(simulated, '"manual"', '"by_hand"')""",
        f"PRAGMA user_version = {UNRELEASED + 1}",
    )
    return path


def test_older_store_is_upgraded_without_reading_its_captures(folder: Path) -> None:
    path = older_store(folder, 20_000)
    counted = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("SELECT * FROM captures LIMIT 1").fetchall()
        connection.set_progress_handler(lambda: counted.append(1), 1_000)
        migrate(connection)
    assert not counted


def test_capture_in_an_older_store_keeps_the_values_of_renamed_fields(folder: Path) -> None:
    verdict = Verdict(status=Status.REENCODED, signed_form="js")
    capture = a_capture(verdict=verdict, simulated=Simulated(manual=True))
    older_store(folder, 1, capture)
    with open_reader(None, folder) as store:
        assert store.get("last") == capture


def test_listener_adds_blocks_to_an_older_store_a_thousand_captures_at_a_time(folder: Path) -> None:
    path = older_store(folder, 3 * BLOCK)
    with open_store(None, folder, create=True) as store:
        assert first_of(store, f"r_{7:016}") == f"{7:012x}"
        assert [store.tidy(), store.tidy(), store.tidy(), store.tidy()] == [True, True, False, False]
        assert first_of(store, f"r_{7:016}") == f"{7:012x}"
    assert len(blocks_of(path)) == 3


def test_older_read_only_store_is_searched(folder: Path) -> None:
    path = older_store(folder, BLOCK)
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        with open_reader(None, folder, show_only=True) as store:
            assert first_of(store, f"r_{BLOCK:016}") == f"{BLOCK:012x}"
    finally:
        path.parent.chmod(0o700)


def first_of(store: StoreReader, run_id: str) -> str:
    return next(store.select(StoreFilter(run_id=run_id))).invocation.id
