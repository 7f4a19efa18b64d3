"""Mutate the package a little, again and again, and print each mutation that no test catches.

    python tests/mutants/run.py [--seed N] [--seconds S] [--workers N] [MODULE…]

Works in copies of the tree, so the tree itself never changes. A seed gives the same mutations in the same order; how
many of them fit into the time depends on the machine. MODULE limits the mutations to paths that contain it.

The tests that could notice run until one fails: the module's own, its folder's, those of the modules that import it,
and the process tests of the folder. A test counts only if it passes without the mutation. Exits with 1 below the bars.
"""

# ruff: noqa: T201 - printing is its job
from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

sys.path.append(str(Path(__file__).parents[2]))

from tests.mutants.mutate import Mutation, mutations_of

ROOT = Path(__file__).parents[2]
PACKAGE = "port_hook_cli"
BARS = {"pure": 92, "rest": 88}
"""The share of the mutations that must be caught, in percent."""

_COPIED = ("port_hook_cli", "tests", "docs", "examples", "README.md", "CHANGELOG.md", "Makefile", "pyproject.toml")
_PYTEST = (
    "-m",
    "pytest",
    "-x",
    "-q",
    "-p",
    "no:randomly",
    "--hypothesis-seed=0",
    "--hypothesis-profile=thorough",
    "--timeout=30",
    "--no-header",
)
# A mutation may make a loop endless: this long for one run of pytest, in seconds.
_LONGEST_RUN_S = 240.0
# Of each folder, the tests of real processes that use it, and those of the folders above that use it without an import.
_PROCESS = {
    "agent_view": ("tests/cli/test_agent.py", "tests/cli/test_agent_poll.py", "tests/process/test_agent_streams.py"),
    "captures": ("tests/process/test_listen.py", "tests/process/test_listen_kills.py"),
    "cli": ("tests/contract", "tests/process/test_listen.py", "tests/process/test_crash.py"),
    "engines": ("tests/process/test_crash.py", "tests/pytest_plugin/test_fixtures.py"),
    "http": ("tests/hostile/test_handlers.py", "tests/process/test_bad_input.py", "tests/process/test_listen.py"),
    "invocations": ("tests/hostile", "tests/process/test_bad_input.py"),
    "listener": ("tests/process/test_listen.py", "tests/process/test_bad_input.py", "tests/process/test_reach.py",
                 "tests/process/test_listen_terminal.py", "tests/hostile/test_fuzz_receiver.py"),
    "port_api": ("tests/hostile/test_apis.py", "tests/process/test_examples.py", "tests/process/test_keyring.py"),
    "pytest_plugin": ("tests/process/test_example_suites.py",),
    "retarget": ("tests/process/test_retarget_kills.py", "tests/process/test_tunnel_cut.py"),
    "sandbox": ("tests/process/test_sandbox_kills.py", "tests/process/test_backends.py", "tests/pytest_plugin"),
    "signatures": ("tests/hostile/test_fuzz_verification.py", "tests/process/test_listen.py"),
    "terminal": ("tests/process/test_listen_terminal.py", "tests/process/test_typed_keys.py"),
    "text": ("tests/hostile/test_terminal_text.py",),
    "trigger": ("tests/process/test_crash.py", "tests/pytest_plugin/test_fixtures.py"),
    "tunnels": ("tests/process/test_reach.py", "tests/process/test_tunnel_cut.py"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mutation of a module; `module` is its path in the tree."""

    module: str
    mutation: Mutation

    @property
    def part(self) -> str:
        return "pure" if is_pure(self.module) else "rest"

    def __str__(self) -> str:
        before, after = (" ".join(text.split())[:90] for text in (self.mutation.before, self.mutation.after))
        return f"{self.module}:{self.mutation.line}: {before}  →  {after}"


def _pure_modules() -> tuple[str, ...]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    return tuple(next(each for each in contracts if each["name"] == "The pure part is pure")["source_modules"])


_PURE = _pure_modules()


def _dotted(module: str) -> str:
    return module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def is_pure(module: str) -> bool:
    """Whether the contract in pyproject.toml lists the module or its folder."""
    return any(_dotted(module) == each or _dotted(module).startswith(f"{each}.") for each in _PURE)


def all_mutants(wanted: Sequence[str]) -> list[Mutant]:
    """Return every mutation of the package, or of the modules whose paths contain one of `wanted`."""
    paths = (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / PACKAGE).rglob("*.py")))
    modules = [path for path in paths if not wanted or any(each in path for each in wanted)]
    return [Mutant(module, each) for module in modules for each in mutations_of((ROOT / module).read_bytes())]


def stages(tree: Path, module: str) -> Iterator[tuple[str, ...]]:
    """Return the tests that could notice a mutation of `module`, the nearest first."""
    _, *folders, name = Path(module).with_suffix("").parts
    topic = folders[0] if folders else ""
    folder = "/".join(folders)
    own = [f"tests/{place}/test_{name}.py" for place in (folder, topic)]
    own += [f"tests/{topic}/test_{part}.py" for part in folders[1:]]
    importing = re.compile(rf"from {re.escape(_dotted(module))} import|import {re.escape(_dotted(module))}\b")
    users = {
        f"tests/{path.relative_to(tree / PACKAGE).parts[0]}"
        for path in (tree / PACKAGE).rglob("*.py")
        if importing.search(path.read_text("utf-8")) and path.parent != tree / PACKAGE
    }
    naming = {
        path.relative_to(tree).as_posix()
        for path in (tree / "tests").rglob("test_*.py")
        if importing.search(path.read_text("utf-8"))
    }
    wide = ["tests/contract", "tests/cli", *_PROCESS.get(topic, ())]
    seen: set[str] = set()
    for stage in (own, [f"tests/{folder}"], [f"tests/{topic}"], [*sorted(users), *sorted(naming)], wide):
        new = [each for each in dict.fromkeys(stage) if (tree / each).exists() and not _covered(each, seen)]
        seen.update(new)
        if new := [each for each in new if not _covered(each, set(new) - {each})]:
            yield tuple(new)


def _covered(test: str, by: set[str]) -> bool:
    """Whether `by` has the test, or a folder that it is in."""
    return test == "tests/" or test in by or any(str(folder) in by for folder in Path(test).parents)


class TimeIsUpError(Exception):
    """The time ended before it was known whether a test catches the mutation."""


@dataclass
class Bench:
    """A copy of the tree, in which one mutation at a time is tested. `until` is a moment of the monotonic clock."""

    tree: Path
    until: float
    _passing: dict[str, bool] = field(default_factory=dict)

    def catcher(self, mutant: Mutant) -> str:
        """Return the test that fails because of the mutation, or "" if none does; raises TimeIsUpError."""
        path = self.tree / mutant.module
        original = path.read_bytes()
        for tests in stages(self.tree, mutant.module):
            self._write(path, mutant.mutation.apply(original))
            try:
                failed = self._failing(tests)
            finally:
                self._write(path, original)
            if failed and self._passes(failed):
                return failed
        return ""

    def _passes(self, test: str) -> bool:
        if test not in self._passing:
            self._passing[test] = not self._failing((test,))
        return self._passing[test]

    @staticmethod
    def _write(path: Path, source: bytes) -> None:
        path.write_bytes(source)
        # Bytecode counts as current if size and second of the source are the same, which mutants often have in common.
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()

    def _failing(self, tests: tuple[str, ...]) -> str:
        """Return the first test that fails, or the first path if pytest itself fails; "" if all pass."""
        environ = {**os.environ, "PYTHONPATH": str(self.tree), "HOME": str(self.tree)}
        with subprocess.Popen(
            [sys.executable, *_PYTEST, *tests],
            cwd=self.tree, env=environ, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                out, _ = process.communicate(timeout=min(_LONGEST_RUN_S, max(0.0, self.until - time.monotonic())))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                if time.monotonic() >= self.until:
                    raise TimeIsUpError from None
                return tests[0]
        if process.returncode == 0 or (process.returncode == 5 and "no tests ran" in out):
            return ""
        # Without its parameters, which may have spaces.
        found = re.search(r"^(?:FAILED|ERROR) ([^\s\[]+)", out, re.MULTILINE)
        return found[1] if found else tests[0]


def copy_tree(to: Path) -> Path:
    """Copy what the tests need."""
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, to / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"), symlinks=True
            )
        else:
            shutil.copy2(source, to / name)
    return to


def in_turn(mutants: Sequence[Mutant], seed: int) -> list[Mutant]:
    """Return the mutants in the seed's order, those of the two parts alternating so that both are measured."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    shuffled = chance.sample(mutants, len(mutants))
    parts = [[each for each in shuffled if each.part == part] for part in BARS]
    return [each for pair in zip(*parts, strict=False) for each in pair] if all(parts) else shuffled


def main(arguments: Sequence[str]) -> int:
    """Run until the time is over; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311 - no secret
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    options = parser.parse_args(arguments)
    mutants = in_turn(all_mutants(options.modules), options.seed)
    until = time.monotonic() + options.seconds
    print(f"seed {options.seed}, {len(mutants)} mutations possible", flush=True)
    caught: dict[str, list[bool]] = {part: [] for part in BARS}
    lock, waiting = Lock(), iter(mutants)

    def work(bench: Bench) -> None:
        while True:
            with lock:
                mutant = next(waiting, None)
            if mutant is None:
                return
            try:
                by = bench.catcher(mutant)
            except TimeIsUpError:
                return
            with lock:
                done = caught[mutant.part]
                done.append(bool(by))
                if not by:
                    print(f"{mutant.part} {sum(done)}/{len(done)}  survived  {mutant}", flush=True)

    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch, ThreadPoolExecutor(options.workers) as pool:
        benches = [Bench(copy_tree(Path(scratch, str(number))), until) for number in range(options.workers)]
        list(pool.map(work, benches))
    return 0 if sum(_is_enough(part, caught[part]) for part in BARS) == len(BARS) else 1


def _is_enough(part: str, caught: Sequence[bool]) -> bool:
    share = 100 * sum(caught) / len(caught) if caught else 100.0
    print(f"{part}: {sum(caught)} of {len(caught)} caught ({share:.1f} %; at least {BARS[part]} % must be)")
    return share >= BARS[part]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
