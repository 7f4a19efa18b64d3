from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.writer import StoreWriter
from port_hook_cli.cli.app import main
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.runtime import Runtime
from tests.conftest import Run
from tests.factories import NOW, a_capture, an_invocation
from tests.terminal_streams import Keyboard, Screen

DAY = 86_400


@pytest.fixture(autouse=True)
def _kept(folder: Path) -> None:
    fill(folder, 10)


def fill(folder: Path, count: int) -> None:
    with open_store(None, folder, create=True) as store:
        store.add(
            [a_capture(an_invocation(id=f"{number:012x}", received_at=NOW + number * DAY)) for number in range(count)]
        )


def left(folder: Path) -> list[int]:
    with open_store(None, folder) as store:
        return [int(capture.invocation.id, 16) for capture in store.select()]


@pytest.mark.parametrize(("keep", "expected"), [(3, [9, 8, 7]), (0, []), (99, [*range(9, -1, -1)])])
def test_prune_retains_the_latest_captures(run: Run, folder: Path, keep: int, expected: list[int]) -> None:
    result = run("prune", "--keep", str(keep), "--yes")
    deleted = 10 - len(expected)
    assert (result.code, result.out) == (0, f"Deleted {deleted} captures, {len(expected)} left.\n")
    assert left(folder) == expected


def test_prune_deletes_older_captures(runtime: Callable[..., Runtime], folder: Path) -> None:
    world = replace(runtime(), now=lambda: NOW + 9 * DAY + 60)
    assert main(["prune", "--older-than", "2d", "--yes"], world) == 0
    assert left(folder) == [9, 8]


def test_prune_prints_one_record_and_a_dry_run_deletes_nothing(run: Run, folder: Path) -> None:
    (record,) = run("prune", "--keep", "4", "--yes", "--json").records
    assert record == {"schema": "port-hook/prune/1", "deleted": 6, "kept": 4, "dry_run": False}
    (record,) = run("prune", "--keep", "1", "--dry-run", "--json").records
    assert (record["deleted"], record["kept"], record["dry_run"]) == (3, 1, True)
    assert run("prune", "--keep", "3", "--dry-run").out == "Would delete 1 capture, 3 left.\n"
    assert len(left(folder)) == 4


def test_prune_needs_a_rule(run: Run, folder: Path) -> None:
    for options in ((), ("--keep", "1", "--older-than", "1d"), ("--keep", "-1"), ("--older-than", "soon")):
        assert run("prune", *options, "--yes").code == ExitCode.USAGE
        assert len(left(folder)) == 10


def test_prune_needs_yes_without_a_terminal(run: Run, folder: Path) -> None:
    result = run("prune", "--keep", "1")
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    assert "This would delete 9 captures" in result.err
    assert len(left(folder)) == 10


@pytest.mark.parametrize(("typed", "code", "count"), [(b"y\n", 0, 2), (b"\n", 1, 10)])
def test_prune_asks_on_a_terminal(
    runtime: Callable[..., Runtime], folder: Path, typed: bytes, code: int, count: int
) -> None:
    stderr = Screen()
    world = replace(runtime(), stdin=Keyboard(typed), stderr=stderr)
    assert main(["prune", "--keep", "2"], world) == code
    assert "Delete 8 captures and retain 2? [y/N] " in stderr.getvalue()
    assert len(left(folder)) == count


def test_prune_works_while_a_listener_saves(run: Run, folder: Path) -> None:
    fill(folder, 3000)
    saved = threading.Event()
    stop = threading.Event()

    async def listen() -> int:
        writer = StoreWriter(open_store(None, folder, create=True), asyncio.get_running_loop())
        count = 0
        while not stop.is_set():
            await writer.save(a_capture(an_invocation(id=f"{count:012x}", received_at=NOW + 9999 * DAY)))
            count += 1
            saved.set()
        await writer.close()
        assert writer.failures == 0
        return count

    counts: list[int] = []
    listener = threading.Thread(target=lambda: counts.append(asyncio.run(listen())))
    listener.start()
    try:
        assert saved.wait(30)
        result = run("prune", "--older-than", "2040-01-01", "--yes")
    finally:
        stop.set()
        listener.join(30)
    assert result.code == 0
    assert result.out.startswith("Deleted 3,010 captures, ")
    assert len(left(folder)) == counts[0]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a file that cannot be written")
def test_prune_of_an_unwritable_store_is_an_error(run: Run, folder: Path) -> None:
    (folder / ".port-hook" / "captures.db").chmod(0o400)
    assert run("prune", "--keep", "1", "--yes").code == ExitCode.STORE
