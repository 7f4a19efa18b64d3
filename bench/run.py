"""Measure what port-hook promises, each pair side by side in one run, and print ratios.

    python bench/run.py [startup] [throughput] [latency] [replay] [memory] [hostile] [demo] [render] [trigger] [pytest]

Absolute numbers are this machine's; the ratios are what is promised. HTTPie and Express are installed into
`.bench/` from their registries; where that is not possible the comparison is left out, and it says so.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # for bench and tests.conformance


def main(wanted: list[str]) -> None:
    from bench import hostile, making, processes, receiving, sending
    from bench.measuring import SCRATCH

    SCRATCH.mkdir(exist_ok=True)
    parts = {
        "startup": processes.startup,
        "throughput": receiving.throughput,
        "latency": receiving.latency,
        "replay": sending.replay,
        "memory": receiving.memory,
        "hostile": hostile.hostile,
        "demo": processes.demo,
        "render": making.render,
        "trigger": making.trigger,
        "pytest": processes.in_pytest,
    }
    for name, measure in parts.items():
        if not wanted or name in wanted:
            print(f"\n{name}")
            measure()


if __name__ == "__main__":
    main(sys.argv[1:])
