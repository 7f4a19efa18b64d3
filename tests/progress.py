"""A pytest plugin that shows how far the tests are: `python -m pytest -p tests.progress`, as `make test` does.

A terminal shows one line that changes. A log gets a line for each tenth of the tests. Each failure is shown in one line
when it happens and in full at the end. The last lines say how many tests were skipped, with each reason once.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Generator, Sequence
from typing import Any

import pytest

INTERRUPTED = 130
"""The exit code after Ctrl-C, as of a shell. pytest's own code for it, 2, can also mean that a file has an error."""

_BETWEEN_UPDATES_S = 0.1
_BETWEEN_LINES_S = 60
_TENTHS = 10


def pytest_load_initial_conftests() -> None:
    """Handle Ctrl-C while the plugins and tests/conftest.py are being imported."""
    if not _is_worker():
        signal.signal(signal.SIGINT, _stop_before_the_tests)


def _stop_before_the_tests(*_: object) -> None:
    os.write(sys.stdout.fileno(), b"\nInterrupted before the first test.\n")
    os._exit(INTERRUPTED)


@pytest.hookimpl(trylast=True)  # pytest's own reporter exists then
def pytest_configure(config: pytest.Config) -> None:
    """Show the progress, except in a worker."""
    if not _is_worker():
        config.pluginmanager.register(Progress(config))


def _is_worker() -> bool:
    return "PYTEST_XDIST_WORKER" in os.environ


class Progress:
    """Counts the tests that are done, and shows the count."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        terminal = config.pluginmanager.get_plugin("terminalreporter")
        assert isinstance(terminal, pytest.TerminalReporter)
        self._terminal = terminal
        self._is_terminal = bool(terminal.isatty)
        self._total = self._done = self._failed = self._tenth = 0
        self._began_s = self._shown_s = time.monotonic()
        self._has_live_line = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Say what is happening while xdist starts its workers and the workers import all tests."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if session := self._config.pluginmanager.get_plugin("dsession"):
            session.terminal = None  # xdist then prints nothing about its workers
            self._config.pluginmanager.unregister(name="terminaldistreporter")
        self._show("Collecting the tests")

    @pytest.hookimpl(optionalhook=True)  # a hook of xdist
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Show how many tests there are. All workers have the same."""
        self._begin(len(ids), int(self._config.getoption("numprocesses", 0) or 0))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Show how many tests there are in this process."""
        if not self._config.pluginmanager.has_plugin("dsession"):
            self._begin(len(session.items), 1)

    def _begin(self, total: int, processes: int) -> None:
        if not self._total and total:
            self._total = total
            self._began_s = self._shown_s = time.monotonic()
            self._print(f"Running {_count(total, 'test')} in {_count(processes, 'process', 'processes')}")

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self) -> Generator[None, tuple[str, str, Any], tuple[str, str, str]]:
        """Print no letter for a test."""
        category, _, _ = yield
        return category, "", ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Show a failure in one line."""
        if report.failed:
            self._failed += 1
            self._print(_failure(report, self._width if self._is_terminal else 0), red=True)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Show in one line that a file cannot be imported."""
        if report.failed:
            self._print(f"ERROR {report.nodeid}", red=True)

    def pytest_runtest_logfinish(self) -> None:
        """Count a test, and show the count now and then."""
        self._done += 1
        now_s = time.monotonic()
        if self._is_terminal:
            if now_s - self._shown_s > _BETWEEN_UPDATES_S or self._done == self._total:
                self._shown_s = now_s
                self._show(self._counts())
            return
        tenth = self._done * _TENTHS // max(self._total, 1)
        if tenth > self._tenth or now_s - self._shown_s > _BETWEEN_LINES_S:
            self._tenth, self._shown_s = tenth, now_s
            self._show(self._counts())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Replace the traceback of Ctrl-C with one line."""
        try:
            return (yield)
        except KeyboardInterrupt as error:
            if type(error) is not KeyboardInterrupt:  # xdist's own, after --maxfail
                raise
            raise self._interrupted() from None
        finally:
            self._end_line()

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Print the one line, and nothing after it."""
        if excinfo.type is KeyboardInterrupt:  # while xdist was starting its workers
            self._print(str(self._interrupted()))
        elif getattr(excinfo.value, "returncode", None) == INTERRUPTED:
            self._print(str(excinfo.value))
        else:
            return
        self._config.pluginmanager.unregister(self._terminal)

    def _interrupted(self) -> BaseException:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # xdist now stops its workers, which takes a moment
        counts = f"after {self._done:,} of {_count(self._total, 'test')}" if self._total else "before the first test"
        return pytest.exit.Exception(f"Interrupted {counts}.", INTERRUPTED)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self) -> None:
        """Say how many tests were skipped, with each reason once."""
        skipped = self._terminal.stats.get("skipped", [])
        if skipped:
            self._terminal.write_line(f"{_count(len(skipped), 'test was', 'tests were')} skipped:")
            for reason, count in Counter(map(_reason, skipped)).most_common():
                self._terminal.write_line(f"  {count:>5,}  {reason}")

    @property
    def _width(self) -> int:
        return shutil.get_terminal_size().columns - 1

    def _counts(self) -> str:
        percent = self._done * 100 // max(self._total, 1)
        failed = f", {self._failed:,} failed" if self._failed else ""
        seconds = int(time.monotonic() - self._began_s)
        done = f"{self._done:,}".rjust(len(f"{self._total:,}"))
        return f"{done} of {_count(self._total, 'test')} ({percent}%{failed}) after {seconds // 60}:{seconds % 60:02}"

    def _show(self, text: str) -> None:
        """Show a line that the next one replaces, if this is a terminal."""
        if self._is_terminal:
            self._terminal.write(f"\r\x1b[K{text[: self._width]}", flush=True)
            self._has_live_line = True
        else:
            self._print(text)

    def _print(self, text: str, **color: bool) -> None:
        """Print a line that stays."""
        if self._has_live_line:
            self._terminal.write("\r\x1b[K")
            self._has_live_line = False
        self._terminal.write_line(text, **color)
        self._terminal.flush()

    def _end_line(self) -> None:
        if self._has_live_line:
            self._terminal.write("\n", flush=True)
            self._has_live_line = False


def _count(number: int, word: str, plural: str = "") -> str:
    return f"{number:,} {word if number == 1 else plural or f'{word}s'}"


def _failure(report: pytest.TestReport, width: int) -> str:
    """Return the test and the first line of its error, cut to a width unless that is 0."""
    crash = getattr(report.longrepr, "reprcrash", None)
    message = crash.message if crash else str(report.longrepr)
    phase = "" if report.when == "call" else f" ({report.when})"
    line = f"FAILED {report.nodeid}{phase} - {message.strip().partition(chr(10))[0]}"
    return line[:width] if width else line


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")
