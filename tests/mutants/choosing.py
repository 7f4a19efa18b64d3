"""A pytest plugin that runs chosen tests in a given order, and writes the ID of the first that fails to a file.

    pytest -p tests.mutants.choosing --chosen FILE --failed-to FILE …

`--chosen` is a JSON array of the tests' IDs. A command line is too short for thousands of IDs.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chosen", metavar="FILE")
    parser.addoption("--failed-to", metavar="FILE")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--chosen") is not None:
        chosen = json.loads(Path(config.getoption("--chosen")).read_text("utf-8"))
        config.pluginmanager.register(_Choice(chosen, Path(config.getoption("--failed-to"))))


class _Choice:
    def __init__(self, chosen: list[str], failed: Path) -> None:
        self._places = {test: place for place, test in enumerate(chosen)}
        self._failed = failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._places), key=lambda item: self._places[item.nodeid]
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._write(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._write(report.nodeid)

    def _write(self, test: str) -> None:
        if not self._failed.exists():
            self._failed.write_text(test, "utf-8")
