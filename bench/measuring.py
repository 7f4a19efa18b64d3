"""Functions that the benchmarks share: run measurements in turn, put load on a server, print a row."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SCRATCH = HERE.parent / ".bench"
PORT_HOOK = [str(Path(sys.executable).parent / "port-hook")]
SECRET = "bench-secret"


def row(what: str, figures: str, ratio: float | None = None, bar: str = "") -> None:
    shown = "" if ratio is None else f"{ratio:6.2f} x"
    print(f"{what:<52} {figures:<42} {shown:<10} {bar}", flush=True)


def compare(what: str, ours_s: float, theirs_s: float, bar: str) -> None:
    row(what, f"{ours_s * 1000:.0f} ms / {theirs_s * 1000:.0f} ms", ours_s / theirs_s, bar)


def interleaved(measures: dict[str, Callable[[], float]], *, rounds: int) -> dict[str, float]:
    """Run the measurements in turn, once to warm up and then `rounds` times; return the median of each."""
    results: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds + 1):
        for name, measure in measures.items():
            value = measure()
            if number:
                results[name].append(value)
    return {name: statistics.median(values) for name, values in results.items()}


def seconds_of(command: list[str], folder: str) -> Callable[[], float]:
    environment = {**os.environ, "PORT_CLIENT_SECRET": SECRET, "HOME": folder}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode

    def once() -> float:
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=folder, env=environment)
        return time.perf_counter() - started

    return once


def load(url: str, requests: int, connections: int = 32) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "load.py"), url, "--secret", SECRET]
    command += ["--requests", str(requests), "--connections", str(connections)]
    done = subprocess.run(command, check=True, capture_output=True, cwd=HERE.parent)
    result: dict[str, Any] = json.loads(done.stdout)
    assert set(result["statuses"]) == {"200"}, result
    return result
