"""Mutate the package a little, again and again, and print each mutation that no test catches.

    python tests/mutants/run.py [--sample N] [--seed N] [--seconds S] [--limit S] [--map FOLDER] [--workers N]
                                [--verbose] [--tests PATH…] [MODULE…]

Changes nothing in the tree: pytest collects the tests once, and each mutation replaces the code of functions in a fork
of this process. A mutation of code that runs at import needs a new pytest. The same seed selects the same mutations in
the same order. MODULE limits the mutations to modules whose paths contain it.

First runs all tests once to record which lines each test runs. The record in build/mutants is used until the package or
the tests change. The quickest and nearest tests of the mutated line (or of lines above it in the same function, if the
record has none) run first, until one fails or `--limit` seconds have passed. A failure counts only if the test passes
without the mutation. Exits with 1 if a part is below its minimum.
"""

# ruff: noqa: T201 - printing is its job
from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import pickle
import pkgutil
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pytest
from coverage import Coverage

sys.path.append(str(Path(__file__).parents[2]))

from tests.mutants.code import Functions
from tests.mutants.mutant import BARS, ROOT, Mutant, Verdict, all_mutants, in_turn, share, table
from tests.mutants.record import PACKAGE, Record, combine, fingerprint, run_recorded
from tests.mutants.trial import PLUGINS, Trial


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, metavar="N", help="stop after N mutants")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311 - no secret
    parser.add_argument("--seconds", type=float, metavar="S", default=float("inf"), help="stop after S seconds")
    parser.add_argument(
        "--limit", type=float, metavar="S", default=60.0, help="stop a mutant's tests after S seconds (60)"
    )
    parser.add_argument("--map", type=Path, metavar="FOLDER", help="where the recorded lines are saved")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--verbose", action="store_true", help="print caught mutants too, each with the test")
    parser.add_argument("--tests", nargs="*", metavar="PATH", default=["tests"], help="use only these tests")
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    return parser.parse_args(arguments)


class Campaign:
    """A pytest plugin that tries mutants instead of running the collected tests."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.verdicts: list[Verdict] = []
        self._options, self._scratch = options, scratch
        self._imports = Coverage(None, config_file=False, source=[str(ROOT / PACKAGE)], messages=False)
        self._imports.start()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._import_all()
        self._imports.stop()
        folder = self._options.map or ROOT / "build/mutants" / fingerprint(ROOT)
        if not (folder / "complete").exists():
            print(f"recording which lines each test runs, in {folder}", flush=True)
            self._record(session, folder)
        record = Record(ROOT, folder, self._imports.get_data())
        possible = all_mutants(ROOT, self._options.modules)
        mutants = in_turn(possible, self._options.seed)[: self._options.sample]
        print(f"seed {self._options.seed}, {len(mutants)} of {len(possible)} possible mutations", flush=True)
        items = {item.nodeid: item for item in session.items}
        record.seconds = {test: took for test, took in record.seconds.items() if test in items}
        self._try(mutants, items, record)
        return True

    def _import_all(self) -> None:
        package = importlib.import_module(PACKAGE)
        for module in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."):
            if not module.name.endswith(".__main__"):
                with contextlib.suppress(ImportError):  # a module for an optional package or another system
                    importlib.import_module(module.name)

    def _record(self, session: pytest.Session, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        files = [list(items) for _, items in groupby(session.items, lambda item: item.path)]
        workers = self._options.workers * 3 // 2  # tests wait for half of the time
        for number in range(workers):
            self._fork(self._scratch / f"record{number}", lambda: run_recorded(ROOT, folder, self._claimed(files)))
        for _ in range(workers):
            os.wait()
        combine(folder)

    def _claimed(self, files: Sequence[Sequence[pytest.Item]]) -> Iterator[Sequence[pytest.Item]]:
        for number, items in enumerate(files):
            with contextlib.suppress(FileExistsError):
                (self._scratch / f"claimed{number}").mkdir()
                yield items

    def _fork(self, place: Path, work: Callable[[], None]) -> int:
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                os.environ["PYTEST_DEBUG_TEMPROOT"] = str(place)
                place.mkdir()
                work()
            os._exit(0)
        return child

    def _try(self, mutants: Sequence[Mutant], items: dict[str, pytest.Item], record: Record) -> None:
        functions, begun = Functions.below(ROOT / PACKAGE), time.monotonic()
        waiting, running = list(enumerate(mutants)), dict[int, Path]()
        while running or (waiting and time.monotonic() - begun < self._options.seconds):
            while waiting and len(running) < self._options.workers:
                number, mutant = waiting.pop(0)
                place = self._scratch / str(number)
                trial = Trial(ROOT, place, mutant, items, functions, record, self._options.limit)
                running[self._fork(place, lambda: _save(trial.verdict(), place))] = place  # noqa: B023 - forks now
            ended, _ = os.wait()
            place = running.pop(ended)
            self._done(pickle.loads((place / "verdict").read_bytes()))  # noqa: S301 - its own
            shutil.rmtree(place)
            if time.monotonic() - begun >= self._options.seconds:
                waiting.clear()

    def _done(self, verdict: Verdict) -> None:
        self.verdicts.append(verdict)
        if self._options.verbose or not verdict.caught_by:
            caught = sum(bool(each.caught_by) for each in self.verdicts)
            print(f"{caught}/{len(self.verdicts)}  {verdict}", flush=True)


def _save(verdict: Verdict, place: Path) -> None:
    (place / "verdict").write_bytes(pickle.dumps(verdict))


def main(arguments: Sequence[str]) -> int:
    """Run until the sample or the time ends. Return the exit code."""
    options = _parsed(arguments)
    memory = Path("/dev/shm")  # noqa: S108 - a private folder in it
    with tempfile.TemporaryDirectory(prefix="mutants-", dir=memory if memory.is_dir() else None) as scratch:
        campaign = Campaign(options, Path(scratch))
        os.chdir(ROOT)
        # Without "plain", pytest would compile the package in its own way, because a plugin of pytest is in it.
        quiet = ("-q", "-s", "--assert=plain", "--no-header", "--timeout=0", *PLUGINS)
        seeded = ("--hypothesis-seed=0", "--hypothesis-profile=mutants")
        code = pytest.main([*quiet, *seeded, *options.tests], plugins=[campaign])
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        return 2
    print(f"\n{table(campaign.verdicts)}")
    return 0 if all(share(campaign.verdicts, part) >= least for part, least in BARS.items()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
