"""The tests that `.ci/run` may skip. Any other skip fails it, because a test that never runs cannot fail."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

EXPECTED = {
    r"`tests/campaign kill` runs this: .*": "A campaign: `tests/campaign kill` runs it.",
    r"Port's OpenAPI document is not on this machine[;.] .*": "This repository doesn't include Port's document.",
    r"the workflow routes in OpenAPI are not on this machine[;.] .*": "This repository doesn't include it.",
    r"root can write to every file|needs a file that cannot be written": "Root can write to every file.",
    r"only root can give (a file|files) away": "Another user cannot.",
    r"changing an owner and mounting take root on Linux": "Another user cannot.",
    r"SQLite before 3\.43 reads a text to find its length": "Systems with an older SQLite are supported.",
    r"no right to mount a file system here": "Some containers lack the right.",
}
"""Pattern of each expected reason, and why CI accepts it."""

if not (Path(__file__).parents[1] / "port_hook_cli").is_dir():
    EXPECTED[r"the wheel's tests run without (it|the locks)"] = "The wheel is tested without the source folder."


class SkipGuard:
    """A pytest plugin that fails the run if a test was skipped for a reason that isn't in `EXPECTED`."""

    def __init__(self) -> None:
        self._unexpected: dict[str, set[str]] = defaultdict(set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Check a test, or a fixture that skips its test."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._look_at(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Check a module that skips all of its tests. Each worker reports it."""
        if report.skipped:
            self._look_at(report)

    def _look_at(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if not any(re.fullmatch(expected, reason) for expected in EXPECTED):
            self._unexpected[reason].add(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run that would pass otherwise."""
        if self._unexpected and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List the unexpected skips."""
        for reason, tests in sorted(self._unexpected.items()):
            first, *others = sorted(tests)
            more = f" and {len(others)} more" if others else ""
            terminalreporter.write_line(f"UNEXPECTED SKIP {reason!r}: {first}{more} (see tests/skips.py)", red=True)
