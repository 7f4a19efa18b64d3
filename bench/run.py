"""Measure what the documentation claims. Both sides of a ratio are measured in turn in the same run.

    python bench/run.py [startup] [throughput] [latency] [costs] [replay] [memory] [hostile] [demo] [render] [trigger]
                         [workflow] [pytest] [inspector] [report] [search] [kafka]

Absolute numbers depend on the machine, so compare the ratios with the bars. HTTPie and Express are installed into
`.bench/` from their registries. If one cannot be installed, its comparison is left out, and a line says so.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # so that bench and tests can be imported


def main(wanted: list[str]) -> None:
    from bench import (
        costs,
        hostile,
        inspecting,
        kafka,
        making,
        processes,
        receiving,
        reporting,
        searching,
        sending,
        workflows,
    )
    from bench.measuring import SCRATCH

    SCRATCH.mkdir(exist_ok=True)
    parts = {
        "startup": processes.startup,
        "throughput": receiving.throughput,
        "latency": receiving.latency,
        "costs": costs.costs,
        "replay": sending.replay,
        "memory": receiving.memory,
        "hostile": hostile.hostile,
        "demo": processes.demo,
        "render": making.render,
        "trigger": making.trigger,
        "workflow": workflows.workflow,
        "pytest": processes.in_pytest,
        "inspector": inspecting.inspector,
        "report": reporting.report,
        "search": searching.search,
        "kafka": kafka.kafka,
    }
    for name, measure in parts.items():
        if not wanted or name in wanted:
            print(f"\n{name}")
            measure()


if __name__ == "__main__":
    main(sys.argv[1:])
