"""Measure what the documentation claims. Both sides of a ratio are measured in turn in the same run.

    python bench/run.py [--times 3] [PART ...]

The parts are the keys of `parts`. Without any, all are measured. Absolute numbers depend on the machine, so bounds are
for ratios and counts where possible. The exit code is 1 if a bound does not hold. `--times` repeats the measurements,
and lists the rows whose verdict changed. HTTPie and Express are installed into `.bench/` from their registries. If one
cannot be installed, its comparison is skipped with a message.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # so that bench and tests can be imported


def parts() -> Mapping[str, Callable[[], None]]:
    """Return what can be measured, by name, in the order of the output."""
    from bench import (
        costs,
        growing,
        hostile,
        inspecting,
        kafka,
        making,
        processes,
        receiving,
        reporting,
        searching,
        sending,
        starting,
        workflows,
    )

    return {
        "startup": processes.startup,
        "ready": starting.ready,
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
        "page": inspecting.page,
        "report": reporting.report,
        "search": searching.search,
        "growing": growing.growing,
        "kafka": kafka.kafka,
    }


def main(words: list[str]) -> int:
    from bench.measuring import HEADER, SCRATCH, machine

    measures = parts()
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--times", type=int, default=1, metavar="N", help="measure N times")
    arguments.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(measures)}")
    given = arguments.parse_args(words)
    if unknown := set(given.parts) - measures.keys():
        arguments.error(f"unknown: {', '.join(unknown)}")
    SCRATCH.mkdir(exist_ok=True)
    print(machine(), HEADER, sep="\n\n")
    runs = [_verdicts({name: measures[name] for name in given.parts or measures}) for _ in range(given.times)]
    over = [what for what, holds in runs[-1].items() if not holds]
    _list(f"{len(over)} of {len(runs[-1])} bounds do not hold", over)
    if len(runs) > 1:
        changed = [what for what in runs[0] if len({run.get(what) for run in runs}) > 1]
        _list(f"{len(changed)} verdicts changed between runs", changed)
    return 1 if over else 0


def _verdicts(measures: Mapping[str, Callable[[], None]]) -> dict[str, bool]:
    from bench.measuring import VERDICTS

    VERDICTS.clear()
    for name, measure in measures.items():
        print(f"\n{name}")
        measure()
    return dict(VERDICTS)


def _list(title: str, rows: list[str]) -> None:
    print("", title + (":" if rows else "."), *rows, sep="\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
