"""Mutate the package a little, again and again, and print each mutation that no test catches.

    python tests/mutants/run.py [--sample N] [--seed N] [--seconds S] [--limit S] [--map FOLDER] [--workers N]
                                [--verbose] [MODULE…]

Works in copies of the tree, so the tree itself never changes. The same seed selects the same mutations in the same
order. MODULE limits the mutations to modules whose paths contain it.

First runs all tests once to record which lines each test runs. The record in build/mutants is used until the package or
the tests change. With `--map`, the record in FOLDER is used even after a change: all recorded tests of a changed module
then try its mutations, but new tests do not run.

The quickest and nearest tests of the mutated line (or of lines above it in the same function, if the record has none)
run first, until one fails or `--limit` seconds have passed. A failure counts only if the test passes without the
mutation. Exits with 1 if a part is below its minimum.
"""

# ruff: noqa: T201 - printing is its job
from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Lock

sys.path.append(str(Path(__file__).parents[2]))

from tests.mutants import lines
from tests.mutants.bench import Bench, TimeIsUpError
from tests.mutants.mutant import Mutant, all_mutants, in_turn
from tests.mutants.report import Verdict, bars, is_enough, table
from tests.mutants.trees import ROOT, copy_tree, fingerprint


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, metavar="N", help="stop after N mutants")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311 - no secret
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="stop after S seconds, without the time for recording"
    )
    parser.add_argument(
        "--limit", type=float, metavar="S", default=60.0, help="stop the tests of a mutant after S seconds"
    )
    parser.add_argument("--map", type=Path, metavar="FOLDER", help="where the recorded lines are saved")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--verbose", action="store_true", help="print caught mutants too, each with the test")
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run until the sample or the time ends. Return the exit code."""
    options = _parsed(arguments)
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        trees = [copy_tree(Path(scratch, str(number))) for number in range(options.workers)]
        folder = options.map or ROOT / "build/mutants" / fingerprint(trees[0])
        if not lines.exists(folder):
            print(f"recording which lines each test runs, in {folder}", flush=True)
            if not options.map:
                shutil.rmtree(folder.parent, ignore_errors=True)  # it was recorded for an older tree
            lines.record(trees[0], folder, options.workers * 3 // 2)  # tests wait for half of the time
        possible = all_mutants(trees[0], options.modules)
        mutants = list(islice(in_turn(possible, options.seed), options.sample))
        print(f"seed {options.seed}, {len(mutants)} of {len(possible)} possible mutations", flush=True)
        until = time.monotonic() + (options.seconds or float("inf"))
        recorded = lines.load(folder)
        benches = [Bench(tree, recorded, until, options.limit) for tree in trees]
        verdicts = _verdicts(benches, mutants, partial(_print, caught_too=options.verbose))
    print(f"\n{table(verdicts)}\n\n{bars(verdicts)}")
    return 0 if is_enough(verdicts) else 1


def _verdicts(
    benches: Sequence[Bench], mutants: Sequence[Mutant], done: Callable[[Sequence[Verdict]], None]
) -> list[Verdict]:
    """Return the verdict on each mutant tried in time. `done` gets the verdicts so far."""
    lock, waiting = Lock(), iter(mutants)
    verdicts: list[Verdict] = []

    def work(bench: Bench) -> None:
        while True:
            with lock:
                mutant = next(waiting, None)
            if mutant is None:
                return
            try:
                verdict = bench.verdict(mutant)
            except TimeIsUpError:
                return
            with lock:
                verdicts.append(verdict)
                done(verdicts)

    with ThreadPoolExecutor(len(benches)) as pool:
        list(pool.map(work, benches))
    return verdicts


def _print(verdicts: Sequence[Verdict], *, caught_too: bool) -> None:
    if caught_too or not verdicts[-1].caught_by:
        caught = sum(bool(each.caught_by) for each in verdicts)
        print(f"{caught}/{len(verdicts)}  {verdicts[-1]}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
