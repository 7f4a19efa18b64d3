"""A pytest plugin that records which lines of the package each test runs, and how long the test takes.

    pytest -p tests.mutants.recording --record-to FOLDER

A process that a test starts records its lines under the test's name. Killed processes don't record lines. Lines that a
module's fixture runs count for the first test that uses the fixture.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from coverage import Coverage

DATA = "lines"
"""The name of the coverage data in the folder, and the prefix of each process's data."""

DURATIONS = "durations"
"""The prefix of the files with the durations of passed tests in seconds."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-to", metavar="FOLDER")


def pytest_configure(config: pytest.Config) -> None:
    folder = config.getoption("--record-to")
    # The controller of pytest-xdist doesn't run tests.
    if folder is not None and (hasattr(config, "workerinput") or not config.getoption("numprocesses", 0)):
        config.pluginmanager.register(_Recorder(Path(folder), config.rootpath))


@dataclass(eq=False)
class _Recorder:
    folder: Path
    root: Path
    _durations: dict[str, float] = field(default_factory=dict)
    _not_passed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._coverage = Coverage(
            data_file=self.folder / DATA,
            data_suffix=True,
            config_file=False,
            branch=False,
            source=[str(self.root / "port_hook_cli")],
            messages=False,
        )
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._record_as(item.nodeid)
        try:
            return (yield)
        finally:
            self._record_as("")

    def _record_as(self, test: str) -> None:
        self._coverage.switch_context(test)
        config = copy.copy(self._coverage.config)
        config.parallel, config.context, config.sigterm = True, test, True
        os.environ["COVERAGE_PROCESS_CONFIG"] = config.serialize()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._durations[report.nodeid] = self._durations.get(report.nodeid, 0.0) + report.duration
        if not report.passed:
            self._not_passed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        self._coverage.save()
        passed = {test: round(took, 4) for test, took in self._durations.items() if test not in self._not_passed}
        (self.folder / f"{DURATIONS}.{os.getpid()}.json").write_text(json.dumps(passed), "utf-8")
