"""Try one mutant: run the tests that could notice it in forks of this process, or in a new pytest."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

import pytest

from tests.mutants import hook
from tests.mutants.code import AtImportError, Functions, changes
from tests.mutants.mutant import Mutant, Verdict
from tests.mutants.record import Record

# A mutation may cause an endless loop, inside or outside a test, and the machine may be slower than when recording.
_SHORTEST_S, _SLOWER, _START_S = 20.0, 5, 60.0
_SHARE_OF_PROCESSES = 1 / 4
"""The share of the time limit for tests that may not run the line."""
_IN_A_BATCH = 40
PLUGINS = ("-p", "no:randomly", "-p", "no:cacheprovider")


@dataclass
class Trial:
    """A mutant to try in this process, which has collected the tests but has run none."""

    root: Path
    scratch: Path
    mutant: Mutant
    items: Mapping[str, pytest.Item]
    functions: Functions
    record: Record
    limit_s: float

    def verdict(self) -> Verdict:
        """Run the tests until one fails that passes without the mutation."""
        path = self.root / self.mutant.module
        old, new = (compile(source, str(path), "exec", dont_inherit=True) for source in self._write(path.read_bytes()))
        try:
            return self._verdict(list(changes(old, new)))
        except AtImportError:
            return Verdict(self.mutant, self._fresh(self.record.tests_of_module(self.mutant.module)))

    def _verdict(self, changed: Sequence[tuple[CodeType, CodeType]]) -> Verdict:
        if not changed:
            return Verdict(self.mutant, "", "it compiles to the same code")
        module, line = self.mutant.module, self.mutant.mutation.line
        tests = self.record.tests_of_line(module, line, changed[0][0].co_firstlineno)
        if any(self.functions.is_cached(code) for code, _ in changed):
            tests = list(dict.fromkeys([*tests, *self.record.tests_of_module(module)]))
        if caught_by := self._forked(tests, changed, self.limit_s):
            return Verdict(self.mutant, caught_by)
        if self.record.runs_at_import(module, line):
            return Verdict(self.mutant, self._fresh(self.record.tests_of_module(module)))
        if tests:
            return Verdict(self.mutant, "")
        caught_by = self._forked(self.record.process_tests(), changed, self.limit_s * _SHARE_OF_PROCESSES)
        return Verdict(self.mutant, caught_by, "" if caught_by else "the record has no test of this line")

    def _write(self, source: bytes) -> tuple[bytes, bytes]:
        """Write the folders for PYTHONPATH, with and without the mutation. Return both sources."""
        mutated = self.mutant.mutation.apply(source)
        for folder in (self.scratch / "plain", self.scratch / "mutated"):
            folder.mkdir()
            shutil.copy(hook.__file__, folder / "sitecustomize.py")
        hook.save(self.scratch / "mutated", self.root / self.mutant.module, mutated)
        return source, mutated

    def _forked(self, tests: Sequence[str], changed: Sequence[tuple[CodeType, CodeType]], limit_s: float) -> str:
        """Return the first test that fails in a fork with the changed code and passes in one without, or ""."""
        rest, end = list(tests), time.monotonic() + limit_s
        while rest and time.monotonic() < end:
            failed = self._failed(rest, "mutated", changed, end)
            if not failed or not self._failed([failed], "plain", (), float("inf")):
                return failed
            rest = rest[rest.index(failed) + 1 :]
        return ""

    def _failed(
        self, tests: Sequence[str], folder: str, changed: Sequence[tuple[CodeType, CodeType]], end: float
    ) -> str:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                os.setsid()
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                try:
                    self._become(folder, changed)
                except ValueError:
                    os.write(writing, b"import\n")
                    os._exit(0)
                run_items([self.items[test] for test in tests], lambda line: os.write(writing, line), end)
            os._exit(0)
        os.close(writing)
        try:
            return _watch(reading, tests, self.record.seconds)
        finally:
            os.close(reading)
            end_group(child)
            os.waitpid(child, 0)

    def _become(self, folder: str, changed: Sequence[tuple[CodeType, CodeType]]) -> None:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(self.scratch / folder), str(self.root)])
        hook.install(self.scratch / folder)
        for old, new in changed:
            self.functions.replace(old, new)

    def _fresh(self, tests: Sequence[str]) -> str:
        """Return the first test that fails in a pytest that imports the mutated module, and passes otherwise.

        All tests of a batch fail if pytest itself does.
        """
        end = time.monotonic() + self.limit_s
        for first in range(0, len(tests), _IN_A_BATCH):
            if time.monotonic() > end:
                break
            batch = tests[first : first + _IN_A_BATCH]
            if self._fails(batch, "mutated"):
                failed = next((test for test in batch if self._fails([test], "mutated")), batch[0])
                if not self._fails([failed], "plain"):
                    return failed
        return ""

    def _fails(self, tests: Sequence[str], folder: str) -> bool:
        paths = os.pathsep.join([str(self.scratch / folder), str(self.root)])
        (self.scratch / "tests.txt").write_text("\n".join(tests), "utf-8")
        command = [sys.executable, "-m", "pytest", "-qx", "--assert=plain", *PLUGINS]
        command += [f"--timeout={_SHORTEST_S * 3}", "--hypothesis-profile=mutants", f"@{self.scratch / 'tests.txt'}"]
        limit = _START_S + _SLOWER * sum(self.record.seconds[test] for test in tests)
        with subprocess.Popen(
            command, cwd=self.root, env={**os.environ, "PYTHONPATH": paths}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                return process.wait(limit) != 0
            except subprocess.TimeoutExpired:
                return True
            finally:
                end_group(process.pid)


def run_items(items: Sequence[pytest.Item], say: Callable[[bytes], object], end: float) -> None:
    """Run tests. Say the number of each before it begins, and "." when all have passed or the time is over."""
    failed = []

    class Reports:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            failed.extend([report.nodeid] if report.failed else [])

    items[0].config.pluginmanager.register(Reports())
    for number, (item, following) in enumerate(zip(items, [*items[1:], None], strict=True)):
        if time.monotonic() > end:
            break
        say(b"%d\n" % number)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if failed:
            return
    say(b".\n")


def _watch(reading: int, tests: Sequence[str], seconds: Mapping[str, float]) -> str:
    """Return the test that fails, takes too long or ends its process, or "". Raises AtImportError."""
    text, limit = b"", _START_S
    while select.select([reading], [], [], limit)[0] and (data := os.read(reading, 65536)):
        text += data
        last = text.split()[-1]
        if last == b"import":
            raise AtImportError
        if last == b".":
            return ""
        limit = _SHORTEST_S + _SLOWER * seconds[tests[int(last)]]
    return tests[int((text.split() or [b"0"])[-1])]


def end_group(leader: int) -> None:
    """Kill a process and those that it started, which a mutation might let run on."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
