"""What `report-run RUN -- COMMAND` costs a command that prints 100,000 lines, and whether Port gets all of them."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.measuring import PORT_HOOK, Bound, at_most, row

LINES = 100_000
ROUNDS = 3
RUN_ID = "r_QOz6WoOB1Q2lmhZZ"


class Timed(NamedTuple):
    """How long a command itself took, how long all of it took, its CPU time, all in seconds, and what was shown."""

    own_s: float
    whole_s: float
    cpu_s: float
    shown: bytes


_PRINTING = """
import time
started = time.perf_counter()
for number in range({lines}):
    print('line', number, 'of a build that says what it does', flush=True)
    if {pauses} and number % 100 == 0:
        time.sleep(0.005)
with open('seconds', 'w') as file:
    file.write(str(time.perf_counter() - started))
"""
WORKING = _PRINTING.format(lines=LINES, pauses=True)
"""It pauses for 5 s altogether, as a build that compiles: most print more slowly."""

RUSHING = _PRINTING.format(lines=LINES, pauses=False)
"""No work at all: the worst case."""


def report() -> None:
    """Compare a command whose output a program reads with the same command under `report-run`."""
    from tests.flaky_port import Fault, a_flaky_port, environ_of_flaky

    _compare("100,000 lines in 5 s", WORKING, at_most(1.05))
    _compare("100,000 lines, no work", RUSHING)
    chance = random.Random(1)  # noqa: S311 - guards nothing
    busy = Fault(status=429, headers={"retry-after": "1"})
    lost = [Fault(lose=True), Fault(lose=True, after=True)]
    faults = (None, None, *chance.choices([None, busy, *lost], [4, 2, 1, 1], k=40))

    def troubled() -> Timed:
        with a_flaky_port(faults) as port:
            timed = _time(_reported(WORKING), environ_of_flaky(port))
            assert "\n".join(port.logs).encode() + b"\n" == timed.shown, "lines are missing, doubled or out of order"
        return timed

    _print_rows(
        "100,000 lines in 5 s, 429s, lost responses", lambda: _time(_alone(WORKING), {}), troubled, at_most(1.05)
    )


def _compare(name: str, program: str, bound: Bound | None = None) -> None:
    from tests.sandboxes import a_sandbox, environ_of

    def live() -> Timed:
        with a_sandbox(runs=[RUN_ID]) as sandbox:
            timed = _time(_reported(program), environ_of(sandbox))
            logged = "\n".join(log["message"] for log in sandbox.runs[RUN_ID].logs)
        assert logged.encode() + b"\n" == timed.shown, "lines are missing or out of order"
        return timed

    _print_rows(name, lambda: _time(_alone(program), {}), live, bound)


def _print_rows(name: str, alone: Callable[[], Timed], live: Callable[[], Timed], bound: Bound | None) -> None:
    pairs = [(alone(), live()) for _ in range(ROUNDS)]

    def show(what: str, read: Callable[[Timed], float], bound: Bound | None = None) -> None:
        theirs, ours = median(read(pair[0]) for pair in pairs), median(read(pair[1]) for pair in pairs)
        row(what, f"{ours:.2f} s / {theirs:.2f} s", ours / theirs, bound)

    show(f"report-run: {name}", lambda timed: timed.own_s, bound)
    show("  with port-hook's start and its last report", lambda timed: timed.whole_s)
    show("  CPU time of all processes", lambda timed: timed.cpu_s)


def _alone(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def _reported(program: str) -> list[str]:
    return [*PORT_HOOK, "report-run", RUN_ID, "--", sys.executable, "-c", program]


def _time(command: list[str], env: Mapping[str, str]) -> Timed:
    with tempfile.TemporaryDirectory() as folder:
        before, started = _cpu_s(), time.perf_counter()
        world = {**os.environ, "HOME": folder, **env}
        done = subprocess.run(command, check=True, capture_output=True, cwd=folder, env=world)
        whole_s, cpu_s = time.perf_counter() - started, _cpu_s() - before
        return Timed(float(Path(folder, "seconds").read_text()), whole_s, cpu_s, done.stdout)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
