from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from port_hook_cli.captures.database.files import LOG, beside
from port_hook_cli.captures.database.opening import Access
from port_hook_cli.captures.database.rows import Row
from port_hook_cli.captures.store.capture_store import CaptureStore, open_store
from port_hook_cli.captures.store.trimming import Limits
from port_hook_cli.captures.store.writer import StoreWriter
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.models import Capture, Delivery, Response
from tests.factories import a_capture, an_invocation
from tests.processes import python

OK = Response(status=200)


class CountedStore(CaptureStore):
    """A store that records the rows and outcomes of each commit, and fails on request."""

    def __init__(self, path: Path, *, max_captures: int = 10_000) -> None:
        super().__init__(path, access=Access.CREATE, limits=Limits(max_captures, 2**30), keep_secrets=False)
        self.commits: list[tuple[int, int]] = []
        self.failure: Exception | None = None
        self.has_outcomes = threading.Event()
        self.has_checkpoint = threading.Event()
        self.is_closed = threading.Event()

    def write(
        self, rows: Sequence[Row], outcomes: Sequence[Row], *, size: int | None = None, patient: bool = True
    ) -> None:
        if self.failure is not None:
            raise self.failure
        super().write(rows, outcomes, size=size, patient=patient)
        if rows or outcomes:
            self.commits.append((len(rows), len(outcomes)))
        if outcomes:
            self.has_outcomes.set()

    def checkpoint(self) -> None:
        super().checkpoint()
        self.has_checkpoint.set()

    def close(self) -> None:
        super().close()
        self.is_closed.set()


@pytest.fixture
async def store(folder: Path) -> CountedStore:
    return CountedStore(folder / ".port-hook" / "captures.db")


@pytest.fixture
async def writer(store: CountedStore) -> AsyncIterator[StoreWriter]:
    writer = StoreWriter(store, asyncio.get_running_loop())
    yield writer
    await writer.close()


def numbered(number: int) -> Capture:
    return a_capture(an_invocation(id=f"{number:04}"))


def saved(folder: Path) -> dict[str, Capture]:
    with open_store(None, folder) as reader:
        return {capture.invocation.id: capture for capture in reader.select()}


async def test_concurrent_saves_share_a_commit_and_are_readable_by_others_afterward(
    writer: StoreWriter, store: CountedStore, folder: Path
) -> None:
    await asyncio.gather(*(writer.save(numbered(number)) for number in range(50)))
    assert (store.commits, len(saved(folder))) == ([(50, 0)], 50)
    alone = writer.save(numbered(50))
    together = writer.save_together([numbered(number) for number in range(51, 91)])
    await asyncio.gather(alone, together)
    assert store.commits[1:] == [(41, 0)]
    assert [*saved(folder)] == [f"{number:04}" for number in reversed(range(91))]


async def test_captures_saved_together_fail_together(writer: StoreWriter, store: CountedStore, folder: Path) -> None:
    store.failure = StoreError("No space is left.")
    with pytest.raises(StoreError, match="No space"):
        await writer.save_together([numbered(0), numbered(1)])
    assert (writer.failures, saved(folder)) == (2, {})
    await writer.close()
    writer.complete(numbered(1))
    for late in (writer.save_together([numbered(2)]), writer.save(numbered(2))):
        with pytest.raises(StoreError, match="closed"):
            await late


async def test_commit_waits_one_turn_for_others_unless_it_is_single_or_large(
    writer: StoreWriter, store: CountedStore
) -> None:
    saves = [writer.save(numbered(number)) for number in range(2)]
    for number in range(2, 5):
        await asyncio.sleep(0)
        saves.append(writer.save(numbered(number)))
    await asyncio.gather(*saves)
    assert store.commits[0] == (3, 0)
    store.commits.clear()
    single = writer.save(numbered(5))
    await asyncio.sleep(0)
    assert single.done()
    large = [writer.save(a_capture(an_invocation(b"x" * 40_000, id=f"{number:04}"))) for number in (6, 7)]
    await asyncio.sleep(0)
    assert all(save.done() for save in large)
    assert store.commits == [(1, 0), (2, 0)]


async def test_several_outcomes_join_the_next_save(writer: StoreWriter, store: CountedStore, folder: Path) -> None:
    await asyncio.gather(*(writer.save(numbered(number)) for number in range(8)))
    for number in range(8):
        writer.complete(replace(numbered(number), response=OK))
    await writer.save(numbered(8))
    assert store.commits == [(8, 0), (1, 8)]
    assert saved(folder)["0001"].response == OK
    assert saved(folder)["0008"].response is None


async def test_save_does_not_wait_for_a_single_outcome_which_is_saved_later(
    writer: StoreWriter, store: CountedStore, folder: Path
) -> None:
    await writer.save(numbered(1))
    writer.complete(replace(numbered(1), response=OK))
    await writer.save(numbered(2))
    assert await asyncio.to_thread(store.has_outcomes.wait, 10)
    assert store.commits == [(1, 0), (1, 0), (0, 1)]
    assert saved(folder)["0001"].response == OK


async def test_close_writes_pending_saves_and_outcomes(writer: StoreWriter, folder: Path) -> None:
    await writer.save(numbered(0))
    saves = [asyncio.ensure_future(writer.save(numbered(number))) for number in range(1, 200)]
    await asyncio.sleep(0)
    writer.complete(replace(numbered(0), response=OK))
    for _ in range(2):
        await writer.close()
    await asyncio.gather(*saves)
    assert len(saved(folder)) == 200
    assert saved(folder)["0000"].response == OK


async def test_event_loop_runs_and_saves_can_be_canceled_while_another_program_locks_the_file(
    writer: StoreWriter, store: CountedStore, folder: Path
) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as locking:
        locking.execute("BEGIN IMMEDIATE")
        ran_on = threading.Event()
        # SQLite would wait five seconds for the lock. A loop that is not blocked takes only milliseconds.
        watching = asyncio.create_task(asyncio.to_thread(ran_on.wait, 4))
        canceled, other = writer.save(numbered(1)), writer.save(numbered(2))
        for _ in range(20):
            await asyncio.sleep(0.005)
        ran_on.set()
        assert await watching
        assert not other.done()
        canceled.cancel()
        locking.execute("ROLLBACK")
    await asyncio.wait_for(other, 20)
    await writer.save(numbered(3))
    assert {"0002", "0003"} <= saved(folder).keys()


async def test_failed_commit_fails_all_its_saves_and_later_saves_succeed(
    writer: StoreWriter, store: CountedStore, folder: Path
) -> None:
    store.failure = StoreError("No space is left.", hint="Free some.")
    outcomes = await asyncio.gather(*(writer.save(numbered(number)) for number in range(3)), return_exceptions=True)
    for outcome in outcomes:
        assert isinstance(outcome, StoreError)
        assert (outcome.message, outcome.hint) == ("No space is left.", "Free some.")
    assert writer.failures == 3
    store.failure = None
    await writer.save(numbered(9))
    assert saved(folder).keys() == {"0009"}
    assert writer.problem is not None
    assert writer.problem.message == "No space is left."
    store.failure = RuntimeError("a bug")
    with pytest.raises(StoreError, match="a bug"):
        await writer.save(numbered(1))
    store.failure = None
    await writer.save(numbered(2))


async def test_unsaved_outcome_is_counted_as_a_failure(writer: StoreWriter, store: CountedStore) -> None:
    await writer.save(numbered(1))
    store.failure = StoreError("No space is left.")
    writer.complete(replace(numbered(1), response=OK))
    await writer.close()
    assert writer.failures == 1
    assert writer.problem is not None


def test_store_is_closed_when_the_event_loop_ends_without_close(folder: Path) -> None:
    loop = asyncio.new_event_loop()
    store = CountedStore(folder / ".port-hook" / "captures.db")

    async def leave() -> None:
        writer = StoreWriter(store, loop)
        save = asyncio.ensure_future(writer.save(numbered(1)))
        await asyncio.sleep(0)
        end = asyncio.ensure_future(writer.close())
        await asyncio.sleep(0)
        save.cancel()
        end.cancel()

    loop.run_until_complete(leave())
    loop.close()
    assert store.is_closed.wait(30)
    assert saved(folder).keys() == {"0001"}


def log_salts(path: Path) -> bytes:
    """Return the part of the log's header that changes whenever the log restarts."""
    with beside(path, LOG).open("rb") as log:
        return log.read(24)[16:]


async def save_until_checkpoint(
    writer: StoreWriter, store: CountedStore, *, most: int = 5_000, wait_s: float = 0.0
) -> None:
    """Save captures one at a time until the writer's thread has made a checkpoint.

    After each, wait up to `wait_s` seconds for the thread, so that few are saved while a busy machine delays it.
    """
    store.has_checkpoint.clear()
    for number in range(most):
        await writer.save(a_capture(an_invocation(b"x" * 5_000, id=f"{number:04}")))
        if store.has_checkpoint.is_set() or (wait_s and await asyncio.to_thread(store.has_checkpoint.wait, wait_s)):
            return
    raise AssertionError("no checkpoint")


async def save_until_restart(writer: StoreWriter, store: CountedStore, *, most: int = 5_000) -> None:
    """Save captures one at a time until the log has restarted.

    One checkpoint may not be enough: on a busy machine, the thread may mistake a delay for a pause.
    """
    await writer.save(numbered(0))
    before = log_salts(store.path)
    for number in range(most):
        await writer.save(a_capture(an_invocation(b"x" * 5_000, id=f"{number:04}")))
        if log_salts(store.path) != before:
            return
    raise AssertionError("the log did not restart")


async def test_log_restarts_in_a_pause(writer: StoreWriter, store: CountedStore) -> None:
    await save_until_checkpoint(writer, store)
    before = log_salts(store.path)
    store.has_checkpoint.clear()
    # All captures are in one commit, so that the thread cannot find a pause after the first ones, while the log is
    # small.
    await asyncio.gather(*(writer.save(a_capture(an_invocation(b"x" * 5_000, id=f"{n:04}"))) for n in range(45)))
    assert await asyncio.to_thread(store.has_checkpoint.wait, 10)
    assert log_salts(store.path) != before  # the thread has also written the first commit of the restarted log


async def test_log_stays_short_while_captures_are_deleted(folder: Path) -> None:
    store = CountedStore(folder / ".port-hook" / "captures.db", max_captures=100)
    writer = StoreWriter(store, asyncio.get_running_loop())
    for _ in range(2):
        await save_until_checkpoint(writer, store, wait_s=0.001)
    await writer.flush()
    assert beside(store.path, LOG).stat().st_size < 9.5 * 1024 * 1024  # 8 MiB, and the captures saved in the meantime
    await writer.close()


async def test_log_read_by_another_program_stays_and_is_reused_later(writer: StoreWriter, store: CountedStore) -> None:
    await writer.save(numbered(0))
    before = log_salts(store.path)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN").execute("SELECT count(*) FROM captures").fetchone()
        await save_until_checkpoint(writer, store)
        assert log_salts(store.path) == before
    await save_until_restart(writer, store)
    assert beside(store.path, LOG).stat().st_size < 15 * 1024 * 1024  # earlier than after another 8 MiB
    assert writer.problem is None


async def test_pending_large_bodies_are_committed_in_several_batches(writer: StoreWriter, store: CountedStore) -> None:
    saves = []
    for number in range(8):
        saves.append(writer.save(a_capture(an_invocation(bytes(5_000_000), id=f"{number:04}"))))
        await asyncio.sleep(0)
    await asyncio.gather(*saves)
    assert sum(rows for rows, _ in store.commits) == 8
    assert max(rows for rows, _ in store.commits) <= 3


async def test_large_responses_are_saved_in_one_commit(writer: StoreWriter, store: CountedStore, folder: Path) -> None:
    delivery = Delivery(url="http://a", status=200, body=bytes(65_000))
    for number in range(3):
        await writer.save(numbered(number))
    for number in range(3):
        writer.complete(replace(numbered(number), delivery=delivery))
    await writer.close()
    assert store.commits[3:] == [(0, 3)]
    assert [capture.delivery for capture in saved(folder).values()] == [delivery] * 3


MEMORY = """
import asyncio, os, time
from pathlib import Path
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.writer import StoreWriter
from port_hook_cli.invocations.models import Delivery, Headers, Response
from dataclasses import replace
from tests.factories import a_capture, an_invocation

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_000_000

def unsigned(number, size):
    return a_capture(an_invocation(os.urandom(1000) * (size // 1000), id=f"{number:012x}", headers=Headers()))

async def main():
    writer = StoreWriter(open_store(None, Path.cwd(), create=True), asyncio.get_running_loop())
    await writer.save(a_capture())
    before = resident_mb()
    response = Delivery(url="u", status=200, body=bytes(65_000))
    for batch in range(1, 8):
        await asyncio.gather(*(writer.save(unsigned(number, 10_000_000)) for number in range(batch)))
        for number in range(batch):
            writer.complete(replace(unsigned(number, 1000), delivery=response, response=Response(status=502)))
    deadline = time.monotonic() + 30
    while resident_mb() - before > 64 and time.monotonic() < deadline:  # the heap is returned after a second
        await asyncio.sleep(0.1)
    print(resident_mb() - before)
    await writer.close()

asyncio.run(main())
"""


@pytest.mark.extended
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the memory")
def test_memory_is_released_after_large_bodies_in_batches_of_many_sizes(folder: Path) -> None:
    out, err = python(MEMORY, cwd=folder).communicate(timeout=120)
    assert int(out) <= 64, err
