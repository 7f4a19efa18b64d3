"""A pytest plugin that fails a run of `make test` in CI if it takes more processor time than tests/budgets.toml allows.

Other machines are faster or slower, so the unit is the time of a loop of 10 million additions on the same machine.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Generator

import pytest

from tests.budgets import most

NAME = "processor_loops_of_make_test"


class ProcessorTime:
    """Measures this process and all processes that it has waited for: the workers, and what they started."""

    def __init__(self, config: pytest.Config) -> None:
        is_all = config.args_source is pytest.Config.ArgsSource.TESTPATHS
        self._is_make_test = is_all and config.option.markexpr == "not extended"
        self._line = ""

    @pytest.hookimpl(wrapper=True, trylast=True)  # after xdist has ended its workers, before the summary
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Compare the time, and fail a run that would pass otherwise."""
        yield
        if self._is_make_test and session.exitstatus == pytest.ExitCode.OK:
            seconds = _used(resource.RUSAGE_SELF) + _used(resource.RUSAGE_CHILDREN)
            loops, limit = round(seconds / min(_loop() for _ in range(3))), most(NAME)
            self._line = f"Processor time: {seconds:.0f} s, as {loops:,} loops of 10 million additions"
            if loops > limit:
                self._line += f". tests/budgets.toml allows {limit:,} ({NAME})."
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the time."""
        if self._line:
            terminalreporter.write_line(self._line, red="allows" in self._line)


def _used(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def _loop() -> float:
    began_s, total = time.process_time(), 0
    for _ in range(10_000_000):
        total += 1  # noqa: SIM113 - the addition is what is measured
    return time.process_time() - began_s
