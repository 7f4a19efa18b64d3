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
from port_hook_cli.captures.store.reader import StoreReader, open_reader
from port_hook_cli.captures.store.statements import StoreFilter
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.models import Capture, Simulated, Status, Verdict
from tests.databases import edit
from tests.factories import NOW, RUN_ID, a_capture, an_invocation
from tests.stores import add_copies

ABSENT = "r_0000000000absent"
NEEDLE = StoreFilter(text="a Needle")
COUNT = 600


def store_of(folder: Path, count: int) -> Path:
    """Return the path of a store with `count` captures, each with its own run."""
    with open_store(None, folder, create=True) as store:
        store.add([a_capture()])
    add_copies(store.path, count - 1)
    return store.path


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
    assert steps_of(path, *latest) == few
    assert steps_of(path, statements.LATEST, []) == 0  # without reading an index
    for absent in (StoreFilter(run_id=ABSENT), StoreFilter(replay_of="000000absent")):
        assert "TEMP B-TREE" not in plan_of(path, *statements.search(absent, limit=20))
    assert "TEMP B-TREE" not in plan_of(path, *latest)


@pytest.mark.parametrize("run_id", ["", "r_\ud800\ud801", "r_\0zero"])
def test_run_with_an_unusual_id_is_found(folder: Path, run_id: str) -> None:
    store_of(folder, 3)
    with open_store(None, folder) as store:
        row = list(store.row(a_capture(an_invocation(id="unusual", received_at=NOW + 10))))
        row[CAPTURE_COLUMNS.index("run_id")] = text_column(run_id)
        store.write([tuple(row)], [])
        assert first_of(store, run_id) == "unusual"


@pytest.mark.parametrize("listed", [CaptureStore.select, CaptureStore.listed])
def test_log_can_restart_while_a_reader_pauses_in_a_list(folder: Path, listed: Any) -> None:
    path = store_of(folder, COUNT)
    with open_store(None, folder) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        found = listed(store, StoreFilter())
        next(found)
        store.add([a_capture()])
        is_busy = other.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0]
        assert not is_busy
        assert len(list(found)) == COUNT - 1


def test_large_captures_are_read_one_at_a_time(folder: Path) -> None:
    bodies = [b'{"filler": "%s"}' % (b"x" * 3_000_000), b"{}", b'{"filler": "%s"}' % (b"y" * 5_000_000)]
    with open_store(None, folder, create=True) as store:
        store.add([a_capture(an_invocation(body, id=f"{number:012x}")) for number, body in enumerate(bodies)])
        assert [capture.invocation.body for capture in store.select(limit=3)] == bodies[::-1]


def with_needles(folder: Path, *numbers: int) -> Path:
    path = store_of(folder, COUNT)
    for number in numbers:
        edit(path, "UPDATE captures SET body = ? WHERE seq = ?", values=[b'{"note": "a NEEDLE"}', number])
    return path


def ids(*numbers: int) -> list[str]:
    return [f"{number:012x}" for number in numbers]


def test_store_replaced_during_a_search_is_searched_completely(folder: Path) -> None:
    path = with_needles(folder, COUNT, 300, 2)
    with open_reader(None, folder, show_only=True) as store:
        listed = store.listed(NEEDLE)
        assert next(listed).id == ids(COUNT)[0]
        path.parent.rename(folder / "moved")
        with open_store(None, folder, create=True) as another:
            another.add([a_capture()])
        assert [capture.id for capture in listed] == ids(300, 2)


def test_damaged_oldest_capture_does_not_matter_if_newer_captures_are_enough(folder: Path) -> None:
    path = with_needles(folder, COUNT, 300)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'captures'").fetchone()
    overwrite_first_leaf(path, root)
    with open_reader(None, folder, show_only=True) as store:
        assert [capture.id for capture in store.listed(NEEDLE, limit=2)] == ids(COUNT, 300)
        with pytest.raises(StoreError, match="damaged"):
            list(store.listed(NEEDLE))


def overwrite_first_leaf(path: Path, page: int) -> None:
    """Overwrite the page with the first rows of the table that begins at `page`."""
    with path.open("r+b") as file:
        while True:  # https://www.sqlite.org/fileformat2.html#b_tree_pages
            file.seek((page - 1) * 4096)
            content = file.read(4096)
            if content[0] == 13:
                break
            cell = int.from_bytes(content[12:14])
            page = int.from_bytes(content[cell : cell + 4])
        file.seek((page - 1) * 4096)
        file.write(b"\x07" * 4096)


def test_request_marked_as_a_replay_later_is_found(folder: Path) -> None:
    received = an_invocation(id="received", received_at=NOW + 10**6)
    with open_store(None, folder, create=True) as store:
        store.add([a_capture(received)])
        assert store.mark_replay(an_invocation(id="sent", received_at=NOW + 10**6, replay_of="0123456789ab"))
        found = list(store.select(StoreFilter(replay_of="0123456789ab")))
    assert "received" in {capture.invocation.id for capture in found}


def test_later_capture_with_the_number_of_a_deleted_one_is_found(folder: Path) -> None:
    store_of(folder, 5)
    with open_store(None, folder) as store:
        store.prune(PruneRule(keep=0))
        store.add([a_capture(an_invocation(id="later"))])  # reuses a number
        assert first_of(store, RUN_ID) == "later"


def older_store(folder: Path, count: int, capture: Capture | None = None) -> Path:
    """Return the path of a store with the first schema, with the old names."""
    path = folder / ".port-hook" / "captures.db"
    with open_store(None, folder, create=True) as store:
        store.add([capture or a_capture()])
    add_copies(path, count - 1)
    edit(
        path,
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


def test_older_read_only_store_is_searched(folder: Path) -> None:
    path = older_store(folder, COUNT)
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        with open_reader(None, folder, show_only=True) as store:
            assert first_of(store, f"r_{COUNT:016}") == f"{COUNT:012x}"
    finally:
        path.parent.chmod(0o700)


def first_of(store: StoreReader, run_id: str) -> str:
    return next(store.select(StoreFilter(run_id=run_id))).invocation.id
