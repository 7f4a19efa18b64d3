"""A large store stays fast. The tests count SQLite's steps, which do not depend on the machine."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.captures.database.rows import CAPTURE_COLUMNS, capture_row, text_column
from port_hook_cli.captures.database.schema import MIGRATIONS, migrate
from port_hook_cli.captures.store import statements
from port_hook_cli.captures.store.capture_store import CaptureStore, open_store
from port_hook_cli.captures.store.deleting import PruneRule
from port_hook_cli.captures.store.name_blocks import BLOCK
from port_hook_cli.captures.store.reader import StoreReader, open_reader
from port_hook_cli.captures.store.statements import StoreFilter
from port_hook_cli.invocations.models import Capture, Status, Verdict
from tests.databases import edit
from tests.factories import NOW, a_capture, an_invocation
from tests.installed import needs
from tests.processes import python
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


@pytest.mark.parametrize("wanted", [StoreFilter(run_id=ABSENT), StoreFilter(replay_of="000000absent")])
def test_search_for_an_absent_name_reads_one_row_per_thousand_captures(folder: Path, wanted: StoreFilter) -> None:
    path = store_of(folder, 20_500)
    query = statements.search(wanted, limit=20)
    # SQLite reads only the 500 captures without a block.
    assert steps_of(path, *query) <= 5
    assert "TEMP B-TREE" not in plan_of(path, *query)


def test_listing_the_latest_captures_takes_the_same_steps_in_a_larger_store(folder: Path) -> None:
    query = statements.search(StoreFilter(), limit=20)
    path = store_of(folder, 100)
    few = steps_of(path, *query)
    add_copies(path, 20_000)
    assert steps_of(path, *query) == few
    assert "TEMP B-TREE" not in plan_of(path, *query)


def test_latest_number_is_found_without_reading_an_index(folder: Path) -> None:
    path = store_of(folder, 20_000)
    assert steps_of(path, statements.LATEST, []) == 0


def test_run_is_found_in_every_block_and_after_the_last_block(folder: Path) -> None:
    store_of(folder, 3 * BLOCK + 10)
    with open_store(None, folder) as store:
        for number in (2, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 1, 3 * BLOCK + 10):
            found = list(store.select(StoreFilter(run_id=f"r_{number:016}")))
            assert [capture.invocation.id for capture in found] == [f"{number:012x}"]


def test_captures_of_one_run_in_several_blocks_are_listed_latest_first(folder: Path) -> None:
    path = store_of(folder, 3 * BLOCK)
    edit(path, "UPDATE captures SET run_id = 'r_again' WHERE seq % ? = 5", values=[BLOCK])
    edit(path, "DELETE FROM name_blocks")
    tidy(folder)
    with open_store(None, folder) as store:
        latest = [capture.invocation.id for capture in store.select(StoreFilter(run_id="r_again"), limit=2)]
        oldest = [capture.invocation.id for capture in store.select(StoreFilter(run_id="r_again"), oldest=True)]
    assert latest == [f"{2 * BLOCK + 5:012x}", f"{BLOCK + 5:012x}"]
    assert oldest == [f"{5:012x}", *reversed(latest)]


@pytest.mark.parametrize("run_id", ["r", "", "r_\ud800\ud801", "r_\ud800\ud801x", "r_\0zero", "r_ünïcödé"])
def test_run_with_an_unusual_id_is_found_in_a_block(folder: Path, run_id: str) -> None:
    path = store_of(folder, BLOCK - 1)
    with open_store(None, folder) as store:
        invocation = an_invocation(id="unusual", received_at=NOW + BLOCK)
        capture = a_capture(invocation)
        row = list(store.row(capture))
        row[CAPTURE_COLUMNS.index("run_id")] = text_column(run_id)
        store.write([tuple(row)], [])
    add_copies(path, BLOCK)
    tidy(folder)
    with open_store(None, folder) as store:
        found = list(store.select(StoreFilter(run_id=run_id)))
        assert [capture.invocation.id for capture in found] == ["unusual"]


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
        found = [capture.invocation.body for capture in store.select(limit=3)]
    assert found == bodies[::-1]


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


def test_captures_with_reused_numbers_are_found(folder: Path) -> None:
    store_of(folder, 2 * BLOCK)
    with open_store(None, folder) as store:
        store.prune(PruneRule(keep=0))
        store.add([a_capture(an_invocation(id="later"))])
        found = list(store.select(StoreFilter(run_id=a_capture().payload.run_id)))
    assert [capture.invocation.id for capture in found] == ["later"]


def test_blocks_of_deleted_captures_are_deleted(folder: Path) -> None:
    path = store_of(folder, 5 * BLOCK)
    with open_store(None, folder) as store:
        store.prune(PruneRule(keep=BLOCK))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT since, upto FROM name_blocks").fetchall() == [(4 * BLOCK + 1, 5 * BLOCK)]


def test_blocks_of_deleted_unsigned_requests_do_not_fill_the_store(folder: Path) -> None:
    with open_store(None, folder, create=True) as store:
        store.add([a_capture(an_invocation(id="verified0000"))])
    with open_store(None, folder, create=True, max_captures=100) as store:
        for number in range(5 * BLOCK // 50):
            store.add([unsigned(50 * number + each) for each in range(50)])
        assert store.get("verified0000").invocation.id == "verified0000"
    with closing(sqlite3.connect(store.path)) as connection:
        blocks = connection.execute("SELECT upto FROM name_blocks ORDER BY upto").fetchall()
    assert len(blocks) <= 2


def unsigned(number: int) -> Capture:
    return a_capture(an_invocation(id=f"{number:012x}"), verdict=Verdict(status=Status.MISSING))


def test_listener_deletes_the_blocks_of_deleted_captures(folder: Path) -> None:
    path = store_of(folder, 5 * BLOCK)
    with open_store(None, folder, create=True, max_captures=2 * BLOCK) as store:
        store.add([a_capture()])
    add_copies(path, BLOCK)
    tidy(folder)
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT since, upto FROM name_blocks").fetchall()
    assert found == [(start * BLOCK + 1, (start + 1) * BLOCK) for start in (3, 4, 5)]


def older_store(folder: Path, count: int) -> Path:
    """Return the path of a store whose schema has no blocks yet."""
    path = folder / ".port-hook" / "captures.db"
    path.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection, MIGRATIONS[:1])
        for statement in statements.inserts([capture_row(a_capture(), keep_secrets=False)], small=True):
            connection.execute(*statement)
    path.chmod(0o600)
    add_copies(path, count - 1)
    return path


def test_older_store_is_upgraded_without_reading_its_captures(folder: Path) -> None:
    path = older_store(folder, 20_000)
    counted = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("SELECT * FROM captures LIMIT 1").fetchall()
        connection.set_progress_handler(lambda: counted.append(1), 1_000)
        migrate(connection)
    assert not counted


def test_listener_adds_blocks_to_an_older_store_a_thousand_captures_at_a_time(folder: Path) -> None:
    path = older_store(folder, 3 * BLOCK)
    with open_store(None, folder, create=True) as store:
        assert [capture.invocation.id for capture in store.select(StoreFilter(run_id=f"r_{7:016}"))] == [f"{7:012x}"]
        assert [store.tidy(), store.tidy(), store.tidy(), store.tidy()] == [True, True, False, False]
        assert [capture.invocation.id for capture in store.select(StoreFilter(run_id=f"r_{7:016}"))] == [f"{7:012x}"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM name_blocks").fetchone() == (3,)


def test_older_read_only_store_is_searched(folder: Path) -> None:
    path = older_store(folder, BLOCK)
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        with open_reader(None, folder, show_only=True) as store:
            assert first_of(store, f"r_{BLOCK:016}") == f"{BLOCK:012x}"
    finally:
        path.parent.chmod(0o700)


ON_READ_ONLY_DISK = """
import subprocess, sys
from pathlib import Path
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.deleting import PruneRule
from port_hook_cli.errors import StoreError
folder = sys.argv[1]
for options in (["--bind", folder], ["-o", "remount,ro,bind"]):
    if subprocess.run(["mount", *options, folder], capture_output=True).returncode:
        sys.exit("cannot mount a file system here")
with open_store(None, Path(folder)) as store:
    for do in (store.check_writable, lambda: store.prune(PruneRule(keep=10))):
        try:
            do()
        except StoreError as error:
            print(error.message)
    print(store.number_of_captures())
"""


@needs("unshare")
@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="changing an owner and mounting take root on Linux"
)
def test_older_read_only_store_is_not_pruned(folder: Path) -> None:
    path = older_store(folder, 100)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    process = python(ON_READ_ONLY_DISK, folder, before=("unshare", "-m"))
    out, err = process.communicate(timeout=60)
    if "cannot mount" in err or "unshare" in err:
        pytest.skip("no right to mount a file system here")
    assert err == ""
    assert out.splitlines() == [f"{path} is read-only.", f"{path} is read-only.", "100"]


def first_of(store: StoreReader, run_id: str) -> str:
    return next(store.select(StoreFilter(run_id=run_id))).invocation.id
