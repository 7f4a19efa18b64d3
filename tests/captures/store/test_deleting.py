"""Pruning works in steps, between which other programs can write, and then the file shrinks."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.deleting import PruneRule, delete_captures
from tests.conftest import Run
from tests.databases import edit
from tests.factories import NOW, a_capture
from tests.installed import needs
from tests.processes import python
from tests.stores import add_copies

MIB = 1024 * 1024

# This process stands for a listener. It saves every few milliseconds, and prints how many captures it saved.
SAVES = """
import sys, time
from pathlib import Path
from port_hook_cli.captures.store.capture_store import open_store
from tests.factories import a_capture, an_invocation
with open_store(Path(sys.argv[1]), Path(), create=True, max_captures=10**9) as store:
    count = 0
    sys.stdin.read(1)
    print("ready", flush=True)
    while not Path(sys.argv[2]).exists():
        store.add([a_capture(an_invocation(id=f"new{count:09}", received_at=4e9))])
        count += 1
        time.sleep(0.002)
print(count)
"""


def store_of(folder: Path, count: int) -> Path:
    with open_store(None, folder, create=True) as store:
        store.add([a_capture()])
    add_copies(store.path, count - 1)
    return store.path


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.glob("captures.db*") if file.suffix != ".db-shm")


@pytest.mark.parametrize("rule", [PruneRule(keep=10), PruneRule(before_s=NOW + 10**6)])
def test_another_program_can_write_between_two_steps(folder: Path, rule: PruneRule) -> None:
    path, left = store_of(folder, 3_000), []
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
        if rule.keep:
            other.execute("SELECT count(*) FROM captures").fetchone()

        def write(_: float) -> None:
            other.execute("INSERT INTO last_session VALUES ('here')")
            left.append(other.execute("SELECT count(*) FROM captures").fetchone()[0])

        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            count = delete_captures(connection, rule, pause=write)
    assert left[0] == 2_800
    assert rule.keep or left[1] == 2_600
    assert count.deleted + count.kept == 3_000
    assert count.kept == left[-1] == (rule.keep or 0)


@pytest.mark.parametrize(("beside_another", "expected"), [(True, [8, 6, 4, 2, 0]), (False, [0])])
def test_step_deletes_fewer_large_captures_beside_another_program(
    folder: Path, beside_another: bool, expected: list[int]
) -> None:
    path, left = store_of(folder, 1), []
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as connection,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        connection.execute("UPDATE captures SET body = zeroblob(?)", [3 * MIB])
        add_copies(path, 9)
        if beside_another:
            other.execute("SELECT count(*) FROM captures").fetchone()

        def count(_: float) -> None:
            left.append(connection.execute("SELECT count(*) FROM captures").fetchone()[0])

        delete_captures(connection, PruneRule(keep=0), pause=count)
    assert left == expected


def test_program_waiting_for_a_long_step_can_write_in_the_pause(folder: Path) -> None:
    path, pauses = store_of(folder, 40_000), list[float]()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        delete_captures(connection, PruneRule(keep=0), pause=pauses.append)
    assert max(pauses) > 0.1  # long enough for SQLite, which tries again every 100 ms


ON_SMALL_DISK = """
import shutil, subprocess, sys
from pathlib import Path
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.deleting import PruneRule
source, disk = map(Path, sys.argv[1:])
size = source.stat().st_size + 7 * 1024 * 1024
mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "port-hook-test", disk]
if subprocess.run(mount, capture_output=True).returncode:
    sys.exit("cannot mount a file system here")
disk.chmod(0o700)
shutil.copy(source, disk / "captures.db")
with open_store(disk / "captures.db", disk) as store:
    print(store.prune(PruneRule(keep=10)).deleted)
    print(store.shrink(), (disk / "captures.db").stat().st_size < size / 10)
"""


@pytest.mark.extended
@needs("unshare")
@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="changing an owner and mounting take root on Linux"
)
def test_large_steps_become_small_if_the_disk_has_no_space_for_their_log(folder: Path) -> None:
    path, disk = store_of(folder, 30_000), folder / "disk"
    disk.mkdir()
    process = python(ON_SMALL_DISK, path, disk, before=("unshare", "-m"))
    out, err = process.communicate(timeout=60)
    if "cannot mount" in err or "unshare" in err:
        pytest.skip("no right to mount a file system here")
    assert (out, err) == ("29990\nTrue True\n", "")


def test_process_saving_during_a_prune_does_not_lose_captures(folder: Path) -> None:
    path, stop = store_of(folder, 20_000), folder / "stop"
    command = [sys.executable, "-c", SAVES, str(path), str(stop)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as saver:
        assert saver.stdin is not None
        assert saver.stdout is not None
        saver.stdin.write("1")
        saver.stdin.close()
        assert saver.stdout.readline() == "ready\n"
        with open_store(None, folder) as store:
            count = store.prune(PruneRule(before_s=NOW + 10**6))
        stop.touch()
        saved = int(saver.stdout.readline())
    assert count.deleted == 20_000
    with open_store(None, folder) as store:
        assert store.number_of_captures() == saved


def test_pruned_store_is_smaller_and_still_private(run: Run, folder: Path) -> None:
    path = store_of(folder, 8_000)
    before = size_of(path)
    for keep in (2_000, 5):
        assert run("prune", "--keep", str(keep), "--yes").err == ""
        assert size_of(path) < before * (keep / 8_000) + MIB
        if os.name == "posix":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with open_store(None, folder) as store:
            assert store.number_of_captures() == keep
            assert store.get("last").invocation.id == f"{8_000:012x}"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_file_shrinks_while_another_program_uses_it_only_with_few_captures(run: Run, folder: Path) -> None:
    path = store_of(folder, 20_000)
    before = size_of(path)
    with open_store(None, folder) as other:
        run("prune", "--keep", "10000", "--dry-run")
        assert size_of(path) == before
        result = run("prune", "--keep", "5000", "--yes")
        assert result.out == "Deleted 15,000 captures, 5,000 left.\n"
        assert result.err.startswith("note: the file keeps its size, because another program uses it")
        assert size_of(path) > before * 0.9
        assert run("prune", "--keep", "100", "--yes").err == ""
        assert path.stat().st_size < before / 10
        other.add([a_capture()])
        assert (other.number_of_captures(), other.take_losses()) == (101, [])
    path.unlink()
    before = size_of(store_of(folder, 8_000))
    edit(path, "DELETE FROM captures WHERE seq > 2000")
    again = run("prune", "--keep", "99999")
    assert (again.out, again.err) == ("Deleted 0 captures, 2,000 left.\n", "")
    assert size_of(path) < before / 3
