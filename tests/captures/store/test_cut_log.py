"""Another program truncates, empties or overwrites SQLite's log while a store is open."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from port_hook_cli.captures.database.files import LOG, beside
from port_hook_cli.captures.database.opening import StoreLocked
from port_hook_cli.captures.store.capture_store import CaptureStore, open_store
from port_hook_cli.captures.store.deleting import PruneRule
from port_hook_cli.errors import StoreError
from tests.factories import a_capture, an_invocation

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows does not let another program cut the log")


@pytest.fixture
def store(folder: Path) -> Iterator[CaptureStore]:
    with closing(open_store(None, folder, create=True)) as store:
        yield store


def log_of(store: CaptureStore) -> Path:
    return beside(store.path, LOG)


def add(store: CaptureStore, *ids: str, size: int = 300) -> None:
    for name in ids:
        store.add([a_capture(an_invocation(id=name, body=b"x" * size))])


def found(folder: Path) -> list[str]:
    with open_store(None, folder) as reader:
        return [capture.invocation.id for capture in reader.select(limit=None)][::-1]


def ids(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number:03}" for number in range(count)]


def is_sound(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as database:
        return bool(database.execute("PRAGMA integrity_check").fetchall() == [("ok",)])


@pytest.mark.parametrize("share", [0.03, 0.98])
def test_cut_log_is_reported_with_the_lost_captures_and_saving_continues(
    store: CaptureStore, folder: Path, share: float
) -> None:
    before = ids("before", 100)
    add(store, *before)
    os.truncate(log_of(store), int(log_of(store).stat().st_size * share))
    with pytest.raises(StoreError, match=r"has truncated SQLite's log .* \d+ saved captures? (are|is) lost"):
        add(store, "noticed")
    lost = store.take_losses()
    add(store, *ids("after", 50))
    left = [name for name in found(folder) if name.startswith("before")]
    assert left == before[: len(left)]  # only the latest captures are lost
    assert len(left) < 100
    assert f"{100 - len(left)} saved capture" in lost[0]
    assert found(folder) == [*left, *ids("after", 50)]
    store.close()
    assert found(folder) == [*left, *ids("after", 50)]
    assert is_sound(store.path)


@pytest.mark.parametrize("is_damaged", [False, True])
def test_store_with_a_cut_log_is_used_after_a_checkpoint_only_if_undamaged(folder: Path, is_damaged: bool) -> None:
    with open_store(None, folder, create=True) as earlier:
        add(earlier, *ids("earlier", 60), size=3_000)
    store = open_store(None, folder, create=True)
    with closing(sqlite3.connect(store.path)) as reader:
        add(store, *ids("first", 60), size=3_000)
        reader.execute("BEGIN").execute("SELECT count(*) FROM captures").fetchone()
        add(store, *ids("second", 10), size=3_000)
        store.checkpoint()  # copies only what the reader sees, which is more than the truncated log contains
        os.truncate(log_of(store), log_of(store).stat().st_size // 2)
    if is_damaged:
        with store.path.open("r+b") as file:
            file.seek(4_096)
            file.write(b"\xff" * 200_000)
    with pytest.raises(StoreError, match="is damaged because another" if is_damaged else "has truncated SQLite's log"):
        add(store, "noticed")
    for name in ids("after", 5):
        if is_damaged:
            with pytest.raises(StoreError, match="is damaged because another program has truncated SQLite's log"):
                add(store, name)
        else:
            add(store, name)
    if not is_damaged:
        assert found(folder)[-5:] == ids("after", 5)
    store.close()
    assert is_damaged or is_sound(store.path)


@pytest.mark.parametrize("has_reader", [False, True])
def test_emptied_or_cut_log_is_reported(store: CaptureStore, folder: Path, has_reader: bool) -> None:
    add(store, *ids("before", 20))
    with closing(sqlite3.connect(store.path)) as reader:
        if has_reader:
            reader.execute("SELECT count(*) FROM captures").fetchone()
        os.truncate(log_of(store), 0)
        add(store, "after")
        assert "20 saved captures are lost" in store.take_losses()[0]
    add(store, *ids("later", 20))
    os.truncate(log_of(store), log_of(store).stat().st_size // 2)
    store.close()
    assert "saved captures are lost" in store.take_losses()[0]
    assert is_sound(store.path)
    assert found(folder)[0] == "after"


def test_checkpoint_of_another_program_is_not_reported_as_a_loss(store: CaptureStore, folder: Path) -> None:
    expected = []
    for number in range(30):
        add(store, f"one{number:03}", f"two{number:03}", size=20_000)
        expected += [f"one{number:03}", f"two{number:03}"]
        with closing(sqlite3.connect(store.path)) as other:
            other.execute(f"PRAGMA wal_checkpoint({['PASSIVE', 'RESTART', 'TRUNCATE'][number // 10]})")
    assert store.take_losses() == []
    assert found(folder) == expected


@pytest.mark.parametrize("is_filled", [False, True])
def test_prune_of_all_captures_is_not_reported_as_a_loss(store: CaptureStore, folder: Path, is_filled: bool) -> None:
    add(store, *ids("before", 20), size=20_000)
    with open_store(None, folder) as other:
        other.prune(PruneRule(keep=0))
        if is_filled:
            other.add([a_capture(an_invocation(id="replay", received_at=time.time() + 60))])
        with closing(sqlite3.connect(store.path)) as checkpointer:
            checkpointer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if is_filled:
            other.add([a_capture(an_invocation(id="replay2", received_at=time.time() + 60))])
    add(store, "after")
    assert store.take_losses() == []
    assert found(folder)[-1] == "after"


def test_write_after_a_checkpoint_waits_for_the_lock_of_a_third_program(store: CaptureStore, folder: Path) -> None:
    add(store, *ids("before", 20))
    row = store.row(a_capture(an_invocation(id="after")))
    store.write([store.row(a_capture(an_invocation(id="quick")))], [], patient=False)
    with closing(sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLocked):
            store.write([row], [], patient=False)
        later = threading.Timer(0.2, other.rollback)
        later.start()
        store.write([row], [])
        later.join()
    assert store.take_losses() == []
    assert found(folder)[-2:] == ["quick", "after"]


def test_commits_of_two_listeners_are_not_reported_as_losses(store: CaptureStore, folder: Path) -> None:
    with open_store(None, folder, create=True) as second:
        for number in range(150):
            add(store, f"one{number:03}", size=60_000)  # SQLite restarts the log several times
            add(second, f"two{number:03}")
            if number % 50 == 0:
                store.checkpoint()
        assert store.take_losses() + second.take_losses() == []
        assert len(found(folder)) == 300
    store.close()
