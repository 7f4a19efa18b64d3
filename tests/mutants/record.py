"""Which lines each test runs, and how long it takes. Which tests could notice a mutation, the likely ones first."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from coverage import Coverage, CoverageData
from coverage.exceptions import CoverageWarning

from tests.coverage_data import remove_unreadable

PACKAGE = "port_hook_cli"
_SLOW_S, _FEW = 1.0, 2


def fingerprint(root: Path) -> str:
    """Return a hash of the package and its tests."""
    digest = hashlib.sha256()
    for path in sorted([*(root / PACKAGE).rglob("*.py"), *(root / "tests").rglob("*.py")]):
        digest.update(f"{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def run_recorded(root: Path, folder: Path, groups: Iterable[Sequence[pytest.Item]]) -> None:
    """Run groups of tests in this process, and write the lines and times of each test to files in the folder.

    Lines of processes that a test starts count for the test. Killed processes record no lines.
    """
    coverage = Coverage(folder / "lines", True, config_file=False, source=[str(root / PACKAGE)], messages=False)
    seconds: dict[str, float] = defaultdict(float)
    not_passed = set()

    class Times:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            seconds[report.nodeid] += report.duration
            if not report.passed:
                not_passed.add(report.nodeid)

    coverage.start()
    for items in groups:
        items[0].config.pluginmanager.register(times := Times())
        for item, following in zip(items, [*items[1:], None], strict=True):
            coverage.switch_context(item.nodeid)
            config = copy.copy(coverage.config)
            config.parallel, config.context, config.sigterm = True, item.nodeid, True
            os.environ["COVERAGE_PROCESS_CONFIG"] = config.serialize()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        items[0].config.pluginmanager.unregister(times)
    coverage.stop()
    with contextlib.suppress(CoverageWarning):  # there was no group left
        coverage.save()
    passed = {test: round(took, 4) for test, took in seconds.items() if test not in not_passed}
    (folder / f"seconds.{os.getpid()}.json").write_text(json.dumps(passed), "utf-8")


def combine(folder: Path) -> None:
    """Combine the files of all processes, which completes the record."""
    remove_unreadable(folder, "lines")
    coverage = Coverage(folder / "lines", config_file=False, messages=False)
    coverage.combine([str(folder)])
    coverage.save()
    (folder / "complete").touch()


class Record:
    """The record in a folder. `seconds` has the duration of each test that passed."""

    def __init__(self, root: Path, folder: Path, at_import: CoverageData) -> None:
        self.seconds: dict[str, float] = {}
        for path in folder.glob("seconds.*.json"):
            self.seconds.update(json.loads(path.read_text("utf-8")))
        self._root, self._file = root, folder / "lines"
        self._at_import = {path: frozenset(at_import.lines(path) or ()) for path in at_import.measured_files()}
        self._lines = cache(self._lines_of)

    def runs_at_import(self, module: str, line: int) -> bool:
        """Whether a line runs when all modules are imported."""
        return line in self._at_import.get(str(self._root / module), ())

    def tests_of_line(self, module: str, line: int, first: int) -> list[str]:
        """Return the tests that run a line, or else the nearest line above it, down to the first of the function.

        A line may have no event of its own: a constant in a call, or code that only killed processes run.
        """
        lines = self._lines(module)
        return next((self.in_order(lines[near], module) for near in range(line, first, -1) if lines.get(near)), [])

    def tests_of_module(self, module: str) -> list[str]:
        """Return the tests that run functions of a module, and then those of the modules that import it."""
        name = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        importing = re.compile(rf"^\s*(?:from {re.escape(name)} import|import {re.escape(name)}\b)", re.MULTILINE)
        paths = sorted((self._root / PACKAGE).rglob("*.py"))
        users = [path.relative_to(self._root).as_posix() for path in paths if importing.search(path.read_text("utf-8"))]
        found = [self.in_order(self._running(each), module) for each in (module, *users)]
        return list(dict.fromkeys(test for tests in found for test in tests))

    def process_tests(self) -> list[str]:
        """Return the tests whose processes may have been killed before they recorded their lines."""
        found = (test for test in self.seconds if test.startswith(("tests/process/", "tests/hostile/")))
        return sorted(found, key=self.seconds.__getitem__)

    def in_order(self, tests: Iterable[str], module: str) -> list[str]:
        """Return the tests: first quick tests near the module, then a few cases of each function, then the rest."""
        cases: Counter[str] = Counter()
        ranked: list[tuple[Any, ...]] = []
        topic = f"tests/{'/'.join(module.split('/')[1:-1])}"
        for test in sorted(tests, key=lambda each: (self.seconds[each], each)):
            cases[function := test.partition("[")[0]] += 1
            is_far, is_slow = not test.startswith(topic), self.seconds[test] > _SLOW_S
            ranked.append((is_far or is_slow, cases[function] > _FEW, is_slow, is_far, self.seconds[test], test))
        return [test for *_, test in sorted(ranked)]

    def _running(self, module: str) -> frozenset[str]:
        return frozenset().union(*(self._lines(module).values()))

    def _lines_of(self, module: str) -> dict[int, frozenset[str]]:
        data = CoverageData(str(self._file))  # a fork would empty data that it inherits
        data.read()
        found = data.contexts_by_lineno(str(self._root / module))
        return {line: frozenset(tests) & self.seconds.keys() for line, tests in found.items()}
