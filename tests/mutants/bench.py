"""A copy of the tree in which the tests try one mutation at a time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.mutants.lines import LineMap
from tests.mutants.mutant import Mutant
from tests.mutants.report import Verdict
from tests.mutants.selection import batches, select
from tests.mutants.trees import files_of, start_pytest

_OPTIONS = ("-x", "-p", "tests.mutants.choosing", "--hypothesis-profile=mutants")
_NO_TESTS = 5
# A mutation may cause an endless loop, inside or outside a test, and the machine may be slower than when recording.
_START_S, _SLOWER = 60.0, 5
_SHORTEST_TIMEOUT_S = 20.0
_SHARE_OF_PROCESSES = 1 / 4
"""The share of the time limit for tests that may not run the line."""


class TimeIsUpError(Exception):
    """The time ended before it was known whether a test catches the mutation."""


@dataclass
class Bench:
    """A copy of the tree. `until` is a time of the monotonic clock. `limit_s` limits the tests of each mutant."""

    tree: Path
    lines: LineMap
    until: float
    limit_s: float
    _passing: dict[tuple[str, ...], bool] = field(default_factory=dict)

    def verdict(self, mutant: Mutant) -> Verdict:
        """Run the tests that could notice the mutant, until one fails. Raises TimeIsUpError."""
        selection = select(self.tree, self.lines, mutant.module, mutant.mutation.line)
        caught_by, left = self._first(mutant, selection.covering, self.limit_s)
        if not caught_by:
            caught_by, _ = self._first(mutant, selection.process, self.limit_s * _SHARE_OF_PROCESSES)
        if caught_by:
            return Verdict(mutant, caught_by)
        if left:
            return Verdict(mutant, "", f"stopped after {self.limit_s:g} s, {left} tests left")
        return Verdict(mutant, "", "" if selection.is_recorded else "the record has no test of this line")

    def _first(self, mutant: Mutant, tests: Sequence[str], limit_s: float) -> tuple[str, int]:
        """Return the first test that catches the mutant, or "", and how many tests are left at the limit."""
        left, end = len(tests), time.monotonic() + limit_s
        for batch in batches(tests, self.lines.seconds):
            if time.monotonic() >= end:
                break
            if caught_by := self._catcher(mutant, batch):
                return caught_by, left
            left -= len(batch)
        return "", left

    def _catcher(self, mutant: Mutant, tests: Sequence[str]) -> str:
        """Return the test that fails with the mutation and passes without it, or ""."""
        rest = list(tests)
        while rest:
            with self._mutated(mutant):
                failed = self._failed(rest)
            if not failed:
                return ""
            if self._passes(failed):
                return failed[0]
            rest = [test for test in rest if test not in failed]
        return ""

    @contextmanager
    def _mutated(self, mutant: Mutant) -> Iterator[None]:
        path = self.tree / mutant.module
        original = path.read_bytes()
        _write(path, mutant.mutation.apply(original))
        try:
            yield
        finally:
            _write(path, original)

    def _passes(self, tests: tuple[str, ...]) -> bool:
        if tests not in self._passing:
            self._passing[tests] = not self._failed(tests)
        return self._passing[tests]

    def _failed(self, tests: Sequence[str]) -> tuple[str, ...]:
        """Return the failed test, all tests of a file that cannot be imported, or all tests if pytest itself fails."""
        chosen, failed = self.tree / "build-chosen.json", self.tree / "build-failed.txt"
        chosen.write_text(json.dumps(tests), "utf-8")
        failed.unlink(missing_ok=True)
        # "--option=path": without "=", pytest takes the path for a test until a plugin has added the option.
        timeout = max(_SHORTEST_TIMEOUT_S, *(_SLOWER * self.lines.seconds[test] for test in tests))
        options = (*_OPTIONS, f"--timeout={timeout}", f"--chosen={chosen}", f"--failed-to={failed}")
        code = self._run([*options, *files_of(self.tree, tests)], _START_S + _SLOWER * self._seconds(tests))
        if code in {0, _NO_TESTS}:
            return ()
        name = failed.read_text("utf-8") if failed.exists() else ""
        return (name,) if name in tests else tuple(test for test in tests if test.startswith(f"{name}::")) or (*tests,)

    def _seconds(self, tests: Sequence[str]) -> float:
        return sum(self.lines.seconds[test] for test in tests)

    def _run(self, arguments: Sequence[str], longest_s: float) -> int:
        """Return pytest's exit code, or -1 if it takes too long. Raises TimeIsUpError."""
        with start_pytest(self.tree, *arguments) as process:
            try:
                return process.wait(min(longest_s, max(0.0, self.until - time.monotonic())))
            except subprocess.TimeoutExpired:
                if time.monotonic() >= self.until:
                    raise TimeIsUpError from None
                return -1
            finally:
                # Ends processes that the tests started, even if a mutation would let them run on.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def _write(path: Path, source: bytes) -> None:
    path.write_bytes(source)
    # Bytecode counts as current if size and second of the source are the same, which mutants often have in common.
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
