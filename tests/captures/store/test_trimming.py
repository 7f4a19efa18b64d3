"""The limits are enforced in small steps, without counting the captures again for each step."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.trimming import STEP, Limits, Trimmer
from port_hook_cli.captures.store.writer import StoreWriter
from tests.databases import edit
from tests.factories import NOW, a_capture, an_invocation
from tests.stores import add_copies

NO_BYTES = 10**12


def store_of(folder: Path, count: int) -> Path:
    with open_store(None, folder, create=True) as store:
        store.add([a_capture()])
    add_copies(store.path, count - 1)
    return store.path


def steps_of(trimmer: Trimmer, path: Path) -> list[int]:
    """Trim, and return how many captures were left after each step."""
    left = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        has_more = True
        while has_more:
            has_more = trimmer.step(connection)
            left.append(connection.execute("SELECT count(*) FROM captures").fetchone()[0])
    return left


def test_lowered_limits_are_enforced_in_steps(folder: Path) -> None:
    path = store_of(folder, 3_000)
    assert steps_of(Trimmer(Limits(1_000, NO_BYTES)), path) == [3_000 - STEP, 3_000 - 2 * STEP, 3_000 - 3 * STEP, 1_000]
    add_copies(path, 2_000)
    left = steps_of(Trimmer(Limits(10_000, 2**20)), path)
    assert left[:2] == [3_000 - STEP, 3_000 - 2 * STEP]
    assert 100 < left[-1] < 1_500


def test_captures_are_counted_once_unless_another_program_changes_them(folder: Path) -> None:
    path = store_of(folder, 2_000)
    trimmer = Trimmer(Limits(1_900, NO_BYTES))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        columns = ", ".join(row[1] for row in connection.execute("PRAGMA table_info(captures)"))
        rest = columns.removeprefix("seq, ")
        seen: list[str] = []
        connection.set_trace_callback(seen.append)
        for _ in range(3):
            connection.execute(f"INSERT INTO captures ({rest}) SELECT {rest} FROM captures ORDER BY seq DESC LIMIT 9")  # noqa: S608
            trimmer.step(connection)
            assert number_of_captures(folder) == 1_900
        assert sum("count(*)" in statement for statement in seen) == 1
        add_copies(path, 9)
        trimmer.step(connection)
        assert number_of_captures(folder) == 1_900
        assert sum("count(*)" in statement for statement in seen) == 2
        edit(path, "DELETE FROM captures WHERE seq BETWEEN 500 AND 1500")
        add_copies(path, 50)
        trimmer.step(connection)
        assert number_of_captures(folder) == 949


def test_writer_enforces_a_lowered_limit_between_requests(folder: Path) -> None:
    store_of(folder, 3_000)

    async def save() -> int:
        store = open_store(None, folder, create=True, max_captures=1_000)
        writer = StoreWriter(store, asyncio.get_running_loop())
        await writer.save(a_capture(an_invocation(id="new", received_at=NOW + 10**6)))
        at_first = number_of_captures(folder)
        while number_of_captures(folder) > 1_000:  # noqa: ASYNC110 - the writer's timer does it
            await asyncio.sleep(0.01)
        assert not writer.failures
        await writer.close()
        return at_first

    assert asyncio.run(asyncio.wait_for(save(), 30)) >= 3_001 - STEP
    assert number_of_captures(folder) == 1_000


def number_of_captures(folder: Path) -> int:
    with closing(sqlite3.connect(folder / ".port-hook" / "captures.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM captures").fetchone()[0])


def test_closing_a_store_enforces_the_limits_completely(folder: Path) -> None:
    store_of(folder, 3_000)
    store = open_store(None, folder, create=True, max_captures=1_000)
    store.tidies = False
    store.add([a_capture(an_invocation(id="new"))])
    store.close()
    assert number_of_captures(folder) == 1_000
