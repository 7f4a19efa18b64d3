from __future__ import annotations

import asyncio
import json
import os
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
from port_hook_cli.invocations.models import Capture, Response
from tests.factories import a_capture, an_invocation
from tests.installed import needs
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


async def test_save_returns_after_the_capture_is_readable_by_others(writer: StoreWriter, folder: Path) -> None:
    for number in range(5):
        await writer.save(numbered(number))
        assert f"{number:04}" in saved(folder)


async def test_concurrent_saves_share_a_commit(writer: StoreWriter, store: CountedStore, folder: Path) -> None:
    await asyncio.gather(*(writer.save(numbered(number)) for number in range(50)))
    assert store.commits == [(50, 0)]
    assert len(saved(folder)) == 50


async def test_captures_saved_together_share_a_commit_with_others(
    writer: StoreWriter, store: CountedStore, folder: Path
) -> None:
    alone = writer.save(numbered(0))
    together = writer.save_together([numbered(number) for number in range(1, 41)])
    await asyncio.gather(alone, together)
    assert store.commits == [(41, 0)]
    assert [*saved(folder)] == [f"{number:04}" for number in reversed(range(41))]


async def test_captures_saved_together_fail_together(writer: StoreWriter, store: CountedStore, folder: Path) -> None:
    store.failure = StoreError("No space is left.")
    with pytest.raises(StoreError, match="No space"):
        await writer.save_together([numbered(0), numbered(1)])
    assert (writer.failures, saved(folder)) == (2, {})
    await writer.close()
    with pytest.raises(StoreError, match="closed"):
        await writer.save_together([numbered(2)])


async def test_commit_of_several_waits_for_one_turn_only(writer: StoreWriter, store: CountedStore) -> None:
    saves = [writer.save(numbered(number)) for number in range(2)]
    for number in range(2, 5):
        await asyncio.sleep(0)
        saves.append(writer.save(numbered(number)))
    await asyncio.gather(*saves)
    assert store.commits[0] == (3, 0)


async def test_single_save_is_committed_without_waiting_for_others(writer: StoreWriter, store: CountedStore) -> None:
    first = writer.save(numbered(0))
    await asyncio.sleep(0)
    assert first.done()
    await writer.save(numbered(1))
    assert store.commits == [(1, 0), (1, 0)]


async def test_large_captures_do_not_wait_for_others(writer: StoreWriter, store: CountedStore) -> None:
    large = [a_capture(an_invocation(b"x" * 40_000, id=f"{number:04}")) for number in range(2)]
    saves = [writer.save(capture) for capture in large]
    await asyncio.sleep(0)
    assert all(save.done() for save in saves)
    assert store.commits == [(2, 0)]


async def test_several_outcomes_join_the_next_save(writer: StoreWriter, store: CountedStore, folder: Path) -> None:
    await asyncio.gather(*(writer.save(numbered(number)) for number in range(8)))
    for number in range(8):
        writer.complete(replace(numbered(number), response=OK))
    await writer.save(numbered(8))
    assert store.commits == [(8, 0), (1, 8)]
    assert saved(folder)["0001"].response == OK
    assert saved(folder)["0008"].response is None


async def test_save_does_not_wait_for_a_single_outcome(writer: StoreWriter, store: CountedStore, folder: Path) -> None:
    await writer.save(numbered(1))
    writer.complete(replace(numbered(1), response=OK))
    await writer.save(numbered(2))
    assert await asyncio.to_thread(store.has_outcomes.wait, 10)
    assert store.commits == [(1, 0), (1, 0), (0, 1)]
    assert saved(folder)["0001"].response == OK


async def test_outcomes_are_saved_without_another_save(writer: StoreWriter, store: CountedStore, folder: Path) -> None:
    await asyncio.gather(writer.save(numbered(1)), writer.save(numbered(2)))
    writer.complete(replace(numbered(1), response=OK))
    writer.complete(replace(numbered(2), response=OK))
    assert await asyncio.to_thread(store.has_outcomes.wait, 10)
    assert store.commits == [(2, 0), (0, 2)]
    assert {capture.response for capture in saved(folder).values()} == {OK}


async def test_close_writes_pending_saves_and_outcomes(writer: StoreWriter, folder: Path) -> None:
    await writer.save(numbered(0))
    saves = [asyncio.ensure_future(writer.save(numbered(number))) for number in range(1, 200)]
    await asyncio.sleep(0)
    writer.complete(replace(numbered(0), response=OK))
    await writer.close()
    await asyncio.gather(*saves)
    assert len(saved(folder)) == 200
    assert saved(folder)["0000"].response == OK


async def test_close_can_be_called_twice(writer: StoreWriter, folder: Path) -> None:
    await writer.save(numbered(0))
    await writer.close()
    await writer.close()
    assert list(saved(folder)) == ["0000"]


async def test_save_fails_after_close(writer: StoreWriter) -> None:
    await writer.close()
    writer.complete(numbered(1))
    with pytest.raises(StoreError, match="closed"):
        await writer.save(numbered(1))


async def test_canceled_save_does_not_affect_other_saves(writer: StoreWriter, folder: Path) -> None:
    given_up = asyncio.ensure_future(writer.save(numbered(1)))
    other = asyncio.ensure_future(writer.save(numbered(2)))
    await asyncio.sleep(0)
    given_up.cancel()
    await other
    await writer.save(numbered(3))
    assert {"0002", "0003"} <= saved(folder).keys()


async def test_save_canceled_while_another_program_locks_the_file_does_not_affect_other_saves(
    writer: StoreWriter, store: CountedStore, folder: Path
) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as locking:
        locking.execute("BEGIN IMMEDIATE")
        canceled, other = writer.save(numbered(1)), writer.save(numbered(2))
        await asyncio.sleep(0.05)
        assert not other.done()
        canceled.cancel()
        locking.execute("ROLLBACK")
    await asyncio.wait_for(other, 20)
    assert "0002" in saved(folder)


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


async def test_unsaved_outcome_is_counted_as_a_failure(writer: StoreWriter, store: CountedStore) -> None:
    await writer.save(numbered(1))
    store.failure = StoreError("No space is left.")
    writer.complete(replace(numbered(1), response=OK))
    await writer.close()
    assert writer.failures == 1
    assert writer.problem is not None


async def test_unexpected_exception_in_the_thread_fails_the_save_and_later_saves_succeed(
    writer: StoreWriter, store: CountedStore
) -> None:
    store.failure = RuntimeError("a bug")
    with pytest.raises(StoreError, match="a bug"):
        await writer.save(numbered(1))
    store.failure = None
    await writer.save(numbered(2))


async def test_event_loop_is_not_blocked_while_another_program_locks_the_file(
    writer: StoreWriter, store: CountedStore, folder: Path
) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ran_on = threading.Event()
        # SQLite would wait five seconds for the lock. A loop that is not blocked takes only milliseconds.
        watching = asyncio.create_task(asyncio.to_thread(ran_on.wait, 4))
        await asyncio.sleep(0.01)
        save = asyncio.ensure_future(writer.save(numbered(1)))
        for _ in range(20):
            await asyncio.sleep(0.005)
        ran_on.set()
        assert await watching
        assert not save.done()
        other.execute("ROLLBACK")
    await save
    assert "0001" in saved(folder)


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


# A separate disk of 1 MiB, mounted where nobody else sees it.
FULL_DISK = """
import asyncio, json, os, subprocess, sys
from pathlib import Path
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.trimming import Limits
from port_hook_cli.captures.store.writer import StoreWriter
from port_hook_cli.errors import StoreError
from tests.factories import a_capture, an_invocation

folder = Path(sys.argv[1])

def mount(*options):
    return subprocess.run(["mount", *options, str(folder)], capture_output=True).returncode == 0

async def attempt(writer, number):
    try:
        await writer.save(a_capture(an_invocation(id=f"{number:04}", body=bytes(3000))))
    except StoreError as problem:
        return problem.message
    return None

async def main():
    report = {"saved": [], "problems": []}
    writer = StoreWriter(open_store(None, folder, create=True), asyncio.get_running_loop())
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(500_000))

    async def save(number):
        problem = await attempt(writer, number)
        report["saved" if problem is None else "problems"].append(problem or number)
        return problem is None

    number = 0
    while await save(number):
        number += 1
    ballast.unlink()
    assert await save(1000)
    report["failures"] = writer.failures
    await writer.close()
    with open_store(None, folder) as store:
        report["found"] = sorted(int(capture.invocation.id) for capture in store.select())
    assert mount("-o", "remount,ro")
    try:
        open_store(None, folder, create=True)
    except StoreError as problem:
        report["read_only"] = problem.message
    print(json.dumps(report))

if not mount("-t", "tmpfs", "-o", "size=1m", "port-hook-test"):
    sys.exit("cannot mount a file system here")
asyncio.run(main())
"""


@needs("unshare")
@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="changing an owner and mounting take root on Linux"
)
def test_saves_fail_while_the_disk_is_full_and_a_read_only_disk_is_rejected(folder: Path) -> None:
    process = python(FULL_DISK, folder, before=("unshare", "-m"))
    out, err = process.communicate(timeout=50)
    if "cannot mount" in err or "unshare" in err:
        pytest.skip("no right to mount a file system here")
    assert process.returncode == 0, err
    report = json.loads(out)
    assert "No space is left for" in report["problems"][0]
    assert report["found"] == report["saved"]
    assert len(report["saved"]) > 20
    assert report["failures"] == len(report["problems"]) == 1
    assert "captures.db is read-only." in report["read_only"]


async def test_writer_thread_checkpoints_the_log_during_a_long_run(writer: StoreWriter, store: CountedStore) -> None:
    before = store.path.stat().st_size
    async with asyncio.timeout(50):
        for number in range(1_000):  # few enough that SQLite would not make a checkpoint by itself
            await writer.save(numbered(number))
        await asyncio.to_thread(store.has_checkpoint.wait, 10)
    assert store.path.stat().st_size > before + 100_000
    assert len(saved(store.path.parents[1])) == 1_000


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


async def test_log_restarts_during_a_steady_load(writer: StoreWriter, store: CountedStore) -> None:
    for _ in range(2):
        await save_until_restart(writer, store)


async def test_log_restarts_in_a_pause(writer: StoreWriter, store: CountedStore) -> None:
    await save_until_checkpoint(writer, store)
    before = log_salts(store.path)
    store.has_checkpoint.clear()
    # All captures are in one commit, so that the thread cannot find a pause after the first ones, while the log is
    # small.
    await asyncio.gather(*(writer.save(a_capture(an_invocation(b"x" * 5_000, id=f"{n:04}"))) for n in range(45)))
    assert await asyncio.to_thread(store.has_checkpoint.wait, 10)
    assert log_salts(store.path) != before  # the thread has also written the first commit of the restarted log


async def test_capture_takes_a_few_pages_of_the_log(writer: StoreWriter, store: CountedStore) -> None:
    log = beside(store.path, LOG)
    await writer.save(numbered(0))
    before, count = log.stat().st_size, 100
    for number in range(count):
        capture = a_capture(an_invocation(b"x" * 600, id=f"{number:012}"))
        await writer.save(capture)
        writer.complete(replace(capture, response=OK))
    await writer.flush()
    assert (log.stat().st_size - before) / count < 13_000


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
    for number in range(12):
        saves.append(writer.save(a_capture(an_invocation(bytes(5_000_000), id=f"{number:04}"))))
        await asyncio.sleep(0)
    await asyncio.gather(*saves)
    assert sum(rows for rows, _ in store.commits) == 12
    assert max(rows for rows, _ in store.commits) <= 3


MEMORY = """
import asyncio, os, sys, time
from pathlib import Path
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.trimming import Limits
from port_hook_cli.captures.store.writer import StoreWriter
from port_hook_cli.invocations.models import Delivery, Headers, Response
from dataclasses import replace
from tests.factories import a_capture, an_invocation

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_000_000

def unsigned(number, size, refused=True):
    invocation = an_invocation(os.urandom(1000) * (size // 1000), id=f"{number:012x}", headers=Headers())
    return a_capture(invocation, refused=refused)

async def main(size, batches, refused):
    writer = StoreWriter(open_store(None, Path.cwd(), create=True), asyncio.get_running_loop())
    await writer.save(a_capture())
    before = resident_mb()
    response = Delivery(url="u", status=200, body=bytes(65_000))
    for batch in batches:
        await asyncio.gather(*(writer.save(unsigned(number, size, refused)) for number in range(batch)))
        for number in range(batch):
            writer.complete(replace(unsigned(number, 1000), delivery=response, response=Response(status=502)))
    deadline = time.monotonic() + 30
    while resident_mb() - before > 64 and time.monotonic() < deadline:  # the heap is returned after a second
        await asyncio.sleep(0.1)
    print(resident_mb() - before)
    await writer.close()

asyncio.run(main(int(sys.argv[1]), range(1, int(sys.argv[2]) + 1), sys.argv[3] == "refused"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the memory")
@pytest.mark.parametrize(
    ("size", "largest_batch", "kind"),
    [
        pytest.param(10_000_000, 7, "refused", id="large-refused"),
        pytest.param(10_000_000, 7, "whole", id="large-whole"),
        pytest.param(200_000, 32, "whole", id="just-below-large", marks=pytest.mark.extended),
    ],
)
def test_memory_is_released_after_large_bodies_in_batches_of_many_sizes(
    folder: Path, size: int, largest_batch: int, kind: str
) -> None:
    out, err = python(MEMORY, size, largest_batch, kind, cwd=folder).communicate(timeout=120)
    assert int(out) <= 64, err
