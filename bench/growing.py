"""What a larger store costs: commands with 1,000, 10,000 and 100,000 captures, and a listener's wait for `prune`.

The stores are made once, in `.bench/`. BENCH_CAPTURES, such as `1000,1000000`, selects them.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from bench.measuring import PORT_HOOK, SCRATCH, at_most, interleaved, ratio, row, seconds_of
from bench.processes import TAB
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.trimming import Limits, Trimmer
from port_hook_cli.invocations.models import Response
from tests.factories import a_capture
from tests.stores import add_copies

SIZES = tuple(map(int, os.environ.get("BENCH_CAPTURES", "1000,10000,100000").split(",")))

LIST = [*PORT_HOOK, "captures", "--limit", "50000"]

# Each command, and its longest time in the largest store as a ratio to the time of `captures` in the smallest.
COMMANDS: dict[str, tuple[list[str], float]] = {
    "captures": ([*PORT_HOOK, "captures"], 1.1),
    "show last": ([*PORT_HOOK, "show", "last"], 1.8),
    "captures RUN, absent": ([*PORT_HOOK, "captures", "r_0000000000absent"], 1.8),
    "captures TEXT, absent": ([*PORT_HOOK, "captures", "is not in any of them"], 4.0),
    "captures --limit 50000": (LIST, 16.0),
    "a Tab after `show`": ([*TAB, "port-hook show ", *PORT_HOOK], 1.5),
}

# A listener's store, in another process: it saves every 2 ms and prints the longest wait in milliseconds.
_SAVES = """
import sys, time
from pathlib import Path
from statistics import median
from port_hook_cli.captures.store.capture_store import open_store
from tests.factories import a_capture, an_invocation
with open_store(Path(sys.argv[1]), Path(), create=True, max_captures=10**9, max_size=10**12) as store:
    store.add([a_capture()])
    print("ready", flush=True)
    longest = count = 0
    while not Path(sys.argv[2]).exists():
        began = time.perf_counter()
        store.add([a_capture(an_invocation(id=f"{count:012x}", received_at=4e9))])
        longest, count = max(longest, time.perf_counter() - began), count + 1
        time.sleep(0.002)
print(longest * 1000)
"""


def growing(rounds: int = 3) -> None:
    stores = {size: a_store(size) for size in SIZES}
    _commands(stores, rounds)
    _trim(stores[max(SIZES)])
    _prune_alone(stores[max(SIZES)])
    _prune_beside_a_listener(stores[sorted(SIZES)[len(SIZES) // 2]])


def _commands(stores: dict[int, Path], rounds: int) -> None:
    for name, (command, most) in COMMANDS.items():
        _compare(name, most, {size: seconds_of(command, str(folder)) for size, folder in stores.items()}, rounds)
    first = {size: partial(_first_line_s, folder) for size, folder in stores.items()}
    _compare("its first line", 1.5, first, rounds)


def _compare(name: str, most: float, measures: Mapping[int, Callable[[], float]], rounds: int) -> None:
    of_few = seconds_of([*PORT_HOOK, "captures"], str(SCRATCH / f"captures-{min(SIZES)}"))
    named = {f"{size:,}": measure for size, measure in measures.items()}
    found = interleaved({"base": of_few, **named}, rounds=rounds)
    base = found.pop("base")
    times = " / ".join(f"{median(seconds) * 1000:.0f}" for seconds in found.values())
    row(f"{name}: {' / '.join(found)}", f"{times} ms", ratio(found[f"{max(SIZES):,}"], base), at_most(most))


def _first_line_s(folder: Path) -> float:
    began = time.perf_counter()
    with subprocess.Popen(LIST, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        seconds = time.perf_counter() - began
        process.kill()
    return seconds


def _trim(folder: Path) -> None:
    """Measure the steps that enforce a limit if the store has 5,000 captures too many."""
    with _copy(folder) as path, closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # a listener's thread does it
        count = connection.execute("SELECT count(*) FROM captures").fetchone()[0]
        trimmer, steps, has_more = Trimmer(Limits(max(100, count - 5_000), 10**12)), [], True
        while has_more:
            began = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            has_more = trimmer.step(connection)
            connection.execute("COMMIT")
            steps.append((time.perf_counter() - began) * 1000)
    figures = f"{len(steps)} steps, the first {steps[0]:.1f} ms"
    row(f"max_captures in {count:,}, the longest other step", figures, max(steps[1:], default=0), at_most(50, "ms"))


def _prune_alone(folder: Path) -> None:
    with _copy(folder) as path:
        before, began = path.stat().st_size, time.perf_counter()
        _prune(path)
        seconds, after = time.perf_counter() - began, path.stat().st_size
    figures = f"{before / 2**20:.0f} MiB / {after / 2**20:.0f} MiB in {seconds:.1f} s"
    row(f"prune of {max(SIZES):,}, the file", figures, after / before, at_most(0.02))


def _prune_beside_a_listener(folder: Path) -> None:
    """Compare the longest wait of a listener during `prune` with its longest wait without `prune`."""
    with _copy(folder) as path:
        undisturbed = _longest_wait_ms(path, lambda: time.sleep(2))
        disturbed = _longest_wait_ms(path, lambda: _prune(path))
    figures = f"without prune {undisturbed:.0f} ms"
    row("a listener's longest wait during prune", figures, disturbed, at_most(50, "ms"))


def _longest_wait_ms(path: Path, do: Callable[[], object]) -> float:
    stop = path.with_name("stop")
    stop.unlink(missing_ok=True)
    command = [sys.executable, "-c", _SAVES, str(path), str(stop)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=SCRATCH.parent) as saver:
        assert saver.stdout is not None
        assert saver.stdout.readline() == "ready\n"
        do()
        stop.touch()
        return float(saver.stdout.readline())


def _prune(path: Path) -> None:
    command = [*PORT_HOOK, "prune", "--keep", "1000", "--yes", "--store", str(path)]
    subprocess.run(command, check=True, capture_output=True)


def a_store(count: int) -> Path:
    """Return a folder with a store of `count` captures of 600 bytes, and make it if it is missing."""
    folder = SCRATCH / f"captures-{count}"
    path = folder / ".port-hook" / "captures.db"
    if path.exists():
        return folder
    making = SCRATCH / f"captures-{count}.new"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    with open_store(None, making, create=True, max_captures=10**9, max_size=10**12) as store:
        store.add([a_capture(response=Response(status=200, body=b"ok"))])
        for start in range(1, count, 100_000):
            add_copies(store.path, min(100_000, count - start))
        while store.tidy():
            pass
    making.rename(folder)
    return folder


@contextmanager
def _copy(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=SCRATCH) as copy:
        path = Path(copy, "captures.db")
        shutil.copyfile(folder / ".port-hook" / "captures.db", path)
        path.chmod(0o600)
        yield path
