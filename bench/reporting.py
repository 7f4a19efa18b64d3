"""What `report-run RUN -- COMMAND` costs a command that prints 100,000 lines, and whether Port gets all of them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from bench.measuring import PORT_HOOK, row

LINES = 100_000
RUN_ID = "r_QOz6WoOB1Q2lmhZZ"
# It prints a line every 50 µs of work, 5 s together: a build prints more slowly. It writes how long it took.
WORKING = f"""
import sys, time
started = time.perf_counter()
for number in range({LINES}):
    until = time.perf_counter() + 50e-6
    while time.perf_counter() < until:
        pass
    print('line', number, 'of a build that says what it does', flush=True)
open('seconds', 'w').write(str(time.perf_counter() - started))
"""
# No work at all, only output: the worst case.
RUSHING = f"""
import sys, time
started = time.perf_counter()
for number in range({LINES}):
    print('line', number, 'of a build that says what it does', flush=True)
open('seconds', 'w').write(str(time.perf_counter() - started))
"""


def report(rounds: int = 3) -> None:
    """Compare a command alone, with its output in a file, with the same command under `report-run`."""
    from tests.flaky_port import Fault, a_flaky_port, environ_of_flaky
    from tests.sandboxes import a_sandbox, environ_of

    for name, program, bar in (
        ("100,000 lines in 5 s", WORKING, "at most 1.05"),
        ("100,000 lines, no work", RUSHING, ""),
    ):
        with a_sandbox(runs=[RUN_ID]) as sandbox:
            alone, alone_whole, live, live_whole = [], [], [], []
            for _ in range(rounds):
                own, whole, _ = _timed([sys.executable, "-c", program], {})
                alone.append(own)
                alone_whole.append(whole)
                sandbox.add_run(RUN_ID)
                own, whole, shown = _timed(_reported(program), environ_of(sandbox))
                live.append(own)
                live_whole.append(whole)
                logged = "\n".join(log["message"] for log in sandbox.runs[RUN_ID].logs)
                assert logged.encode() + b"\n" == shown, "lines are missing or out of order"
        figures = f"{min(live):.2f} s / {min(alone):.2f} s"
        row(f"report-run, the command's time, {name}", figures, min(live) / min(alone), bar)
        figures = f"{min(live_whole):.2f} s / {min(alone_whole):.2f} s"
        row("  the same, with port-hook's start and the last report", figures, min(live_whole) / min(alone_whole))
    chance = random.Random(1)
    busy = Fault(status=429, headers={"retry-after": "1"})
    lost = [Fault(lose=True), Fault(lose=True, after=True)]
    faults = (None, None, *chance.choices([None, busy, *lost], [4, 2, 1, 1], k=40))
    with a_flaky_port(faults) as port:
        own, _, shown = _timed(_reported(WORKING), environ_of_flaky(port))
        assert "\n".join(port.logs).encode() + b"\n" == shown, "lines are missing, doubled or out of order"
    row("  through 429s and lost connections", f"{own:.2f} s / {min(alone):.2f} s without work", None, "no line lost")


def _reported(program: str) -> list[str]:
    return [*PORT_HOOK, "report-run", RUN_ID, "--", sys.executable, "-c", program]


def _timed(command: list[str], env: Mapping[str, str]) -> tuple[float, float, bytes]:
    """Return how long the command itself took, how long all of it took, in seconds, and what was shown."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        with out.open("wb") as file:
            started = time.perf_counter()
            subprocess.run(
                command,
                check=True,
                stdout=file,
                stderr=subprocess.PIPE,
                cwd=folder,
                env={**os.environ, "HOME": folder, **env},
            )
            whole = time.perf_counter() - started
        return float(Path(folder, "seconds").read_text()), whole, out.read_bytes()
