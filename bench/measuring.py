"""Shared by the benchmarks: run measurements in turn on separate cores, and print rows with verdicts."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.pinning import CORES, pinned

HERE = Path(__file__).parent
SCRATCH = HERE.parent / ".bench"
PORT_HOOK = [str(Path(sys.executable).parent / "port-hook")]
SECRET = "bench-secret"


class Bound(NamedTuple):
    """The limit for a row's number. `unit` is the unit of the number, `x` for a ratio."""

    limit: float
    is_least: bool = False
    unit: str = "x"

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.is_least else value <= self.limit

    def __str__(self) -> str:
        return f"at {'least' if self.is_least else 'most'} {self.limit:g}{'' if self.unit == 'x' else f' {self.unit}'}"


def at_most(limit: float, unit: str = "x") -> Bound:
    return Bound(limit, unit=unit)


def at_least(limit: float, unit: str = "x") -> Bound:
    return Bound(limit, is_least=True, unit=unit)


VERDICTS: dict[str, bool] = {}
"""Whether the bound of each printed row holds, by the row's text."""


HEADER = f"{'row':<64} {'figures':<34} {'value':<13} {'bound':<15} verdict"
"""The columns of a row. The verdict is `ok`, or `OVER` if the value passes the bound."""


def row(what: str, figures: str, value: float | None = None, bound: Bound | None = None, note: str = "") -> None:
    """Print a row: what was measured, the figures, the number, its bound and the verdict."""
    shown = verdict = ""
    if value is not None:
        shown = f"{value:8.2f} {'x' if bound is None else bound.unit}"
    if value is not None and bound is not None:
        VERDICTS[what] = bound.holds(value)
        verdict = "ok  " if VERDICTS[what] else "OVER"
    limit = "" if bound is None else str(bound)
    print(f"{what:<64} {figures:<34} {shown:<13} {limit:<15} {verdict} {note}".rstrip(), flush=True)


def compare(what: str, ours_s: Sequence[float], theirs_s: Sequence[float], bound: Bound | None = None) -> None:
    """Print a row for two measurements in seconds, made in turn."""
    figures = f"{statistics.median(ours_s) * 1000:.0f} ms / {statistics.median(theirs_s) * 1000:.0f} ms"
    row(what, figures, ratio(ours_s, theirs_s), bound)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the rounds' ratios. The speed of a machine drifts, but little within a round."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def machine() -> str:
    """Return a line about the machine and its load, so that a reader can judge the figures."""
    started = time.perf_counter()
    for _ in range(10_000_000):
        pass
    loop_s = time.perf_counter() - started
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    pinned = "processes are pinned to cores" if CORES else "processes are not pinned to cores"
    return (
        f"Python {platform.python_version()} on {platform.system()}, {os.cpu_count()} cores, {load}, {pinned}. "
        f"An empty loop of 10 million rounds takes {loop_s:.2f} s."
    )


def interleaved(measures: Mapping[str, Callable[[], float]], *, rounds: int) -> dict[str, list[float]]:
    """Run the measurements in turn, once to warm up and then `rounds` times. Return the results of each."""
    results: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds + 1):
        for name, measure in measures.items():
            value = measure()
            if number:
                results[name].append(value)
    return results


def seconds_of(command: list[str], folder: str, *, one_core: bool = False) -> Callable[[], float]:
    environment = {**os.environ, "PORT_CLIENT_SECRET": SECRET, "HOME": folder}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has cached bytecode

    given = pinned(command) if one_core else command

    def once() -> float:
        started = time.perf_counter()
        subprocess.run(given, check=True, capture_output=True, cwd=folder, env=environment)
        return time.perf_counter() - started

    return once


def load(url: str, requests: int, connections: int = 32) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "load.py"), url, "--secret", SECRET]
    command += ["--requests", str(requests), "--connections", str(connections)]
    done = subprocess.run(command, check=True, capture_output=True, cwd=HERE.parent)
    result: dict[str, Any] = json.loads(done.stdout)
    assert set(result["statuses"]) == {"200"}, result
    return result
