"""Which tests could notice a mutation. The tests that are most likely to notice it soon come first."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, takewhile
from pathlib import Path

from tests.mutants.lines import LineMap
from tests.mutants.places import Place, function_lines, place_of
from tests.mutants.trees import PACKAGE

# The tests of each folder whose processes are killed, so that the map lacks lines that these tests run.
PROCESS_TESTS: Mapping[str, tuple[str, ...]] = {
    "agent": ("tests/cli/test_agent.py", "tests/cli/test_agent_poll.py", "tests/process/test_agent_streams.py"),
    "captures": ("tests/process/test_listen.py", "tests/process/test_listen_kills.py"),
    "cli": ("tests/process/test_listen.py", "tests/process/test_crash.py"),
    "engines": ("tests/engines/test_jq_worker.py", "tests/process/test_crash.py"),
    "http": ("tests/hostile/test_handlers.py", "tests/process/test_bad_input.py", "tests/process/test_listen.py"),
    "inspector": ("tests/cli/test_inspect.py", "tests/process/test_listen_keys.py", "tests/process/test_open_files.py"),
    "invocations": ("tests/process/test_bad_input.py",),
    "kafka": ("tests/process/test_listen_kafka.py", "tests/process/test_kafka_kills.py",
              "tests/process/test_agent_streams.py", "tests/process/test_sandbox_kafka.py"),
    "listener": ("tests/process/test_listen.py", "tests/process/test_bad_input.py", "tests/process/test_reach.py",
                 "tests/process/test_listen_terminal.py", "tests/hostile/test_fuzz_receiver.py"),
    "port_api": ("tests/process/test_examples.py", "tests/process/test_keyring.py"),
    "prediction": ("tests/process/test_agent_streams.py", "tests/process/test_sandbox_kafka.py",
                   "tests/cli/test_agent_poll.py"),
    "replay": ("tests/cli/test_replay_lambda.py", "tests/process/test_stopping_early.py"),
    "reporting": ("tests/cli/test_report_run.py", "tests/cli/test_report_command.py",
                  "tests/process/test_report_command_terminal.py"),
    "retarget": ("tests/process/test_retarget_kills.py", "tests/process/test_tunnel_cut.py"),
    "sandbox": ("tests/process/test_sandbox_kills.py", "tests/cli/test_sandbox.py", "tests/handlers/test_actions.py"),
    "terminal": ("tests/process/test_listen_terminal.py", "tests/process/test_typed_keys.py"),
    "trigger": ("tests/cli/test_trigger_workflow_in_port.py", "tests/process/test_crash.py"),
    "tunnels": ("tests/process/test_reach.py", "tests/process/test_tunnel_cut.py"),
}  # fmt: skip

_FEW = 2
"""Cases of a parametrized test that run before other tests."""

_SLOW_S = 1.0
_LONGEST_BATCH_S = 20.0


@dataclass(frozen=True, slots=True)
class Selection:
    """The tests to run.

    `covering` run the mutated line, or lines above it in the same function if the record has no test of the line. In
    the second case, `is_recorded` is false. `process` start processes whose lines are not known.
    """

    covering: tuple[str, ...]
    process: tuple[str, ...]
    is_recorded: bool = True


def select(tree: Path, lines: LineMap, module: str, line: int) -> Selection:
    """Return the tests for a mutation in the order to run them."""
    source = (tree / module).read_bytes()
    place = place_of(source, line)
    if lines.is_current(module, hashlib.sha256(source).hexdigest()):
        tiers = _by_lines(tree, lines, module, source, place)
    else:
        tiers = [frozenset[str]().union(*lines.tests(module).values())]
    ordered = list(dict.fromkeys(test for tier in tiers for test in in_order(tier, module, lines.seconds)))
    files = PROCESS_TESTS.get(module.split("/")[1], ())
    others = [test for file in files for test in lines.tests_in(file) if test not in set(ordered)]
    is_recorded = place.at_import or bool(_running(lines.tests(module), place.lines))
    return Selection(tuple(ordered), tuple(sorted(others, key=lines.seconds.__getitem__)), is_recorded)


def _by_lines(tree: Path, lines: LineMap, module: str, source: bytes, place: Place) -> list[frozenset[str]]:
    """Return the tests that run the place, or lines above it in the same function if the record has none.

    If the place runs at import, return the tests that could notice, the likely tests first.
    """
    by_line = lines.tests(module)
    if not place.at_import:
        # On Python 3.11, coverage misses the lines of a function after some calls of asyncio.run.
        return [_running(by_line, place.lines) or _running(by_line, place.earlier)]
    near = frozenset(test for test in lines.seconds if distance(test, module) <= _NEAR)
    contract = frozenset(test for test in lines.seconds if test.startswith("tests/contract/"))
    topic = frozenset(test for test in lines.seconds if distance(test, module) < _FAR)
    calling = _running(by_line, function_lines(source))
    for user in users_of(tree, module):
        calling |= _running(lines.tests(user), function_lines((tree / user).read_bytes()))
    return [_running(by_line, place.users), near, contract, topic | calling]


def _running(by_line: Mapping[int, frozenset[str]], lines: Iterable[int]) -> frozenset[str]:
    return frozenset[str]().union(*(by_line.get(line, frozenset()) for line in lines))


@cache
def users_of(tree: Path, module: str) -> tuple[str, ...]:
    """Return the modules that import from the module."""
    dotted = re.escape(module.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    importing = re.compile(rf"^\s*(?:from {dotted} import|import {dotted}\b)", re.MULTILINE)
    paths = sorted((tree / PACKAGE).rglob("*.py"))
    return tuple(path.relative_to(tree).as_posix() for path in paths if importing.search(path.read_text("utf-8")))


_NEAR, _FAR = 1, 3


def distance(test: str, module: str) -> int:
    """Return how far a test is from the module: 0 in its own file, 1 in its folder, 2 in its topic, 3 elsewhere."""
    _, *folders, name = Path(module).with_suffix("").parts
    file = Path(test.partition("::")[0])
    topic = folders[0] if folders else ""
    names = {f"test_{name}", *(f"test_{folder}" for folder in folders[1:])}
    if file.stem in names and file.is_relative_to(f"tests/{topic}"):
        return 0
    if not folders or not file.is_relative_to(f"tests/{topic}"):
        return _FAR
    return 1 if file.parent.as_posix() == f"tests/{'/'.join(folders)}" else 2


def in_order(tests: Iterable[str], module: str, seconds: Mapping[str, float]) -> list[str]:
    """Return the tests: first quick tests near the module, then a few cases of each test function, then the rest."""
    cases: Counter[str] = Counter()
    ranked = []
    for test in sorted(tests, key=lambda each: (seconds[each], each)):
        function = test.partition("[")[0]
        cases[function] += 1
        is_few, is_slow, away = cases[function] <= _FEW, seconds[test] > _SLOW_S, distance(test, module)
        is_first = away <= _NEAR and not is_slow
        ranked.append((not is_first, not is_few, is_slow, away, seconds[test], test))
    return [test for *_, test in sorted(ranked)]


def batches(tests: Sequence[str], seconds: Mapping[str, float], first_s: float = 2.0) -> Iterator[list[str]]:
    """Split the tests into runs of pytest, each three times as long as the run before, up to a limit."""
    rest, limit_s = list(tests), first_s
    while rest:
        total = accumulate(seconds[test] for test in rest)
        size = max(1, sum(1 for _ in takewhile(limit_s.__ge__, total)))
        yield _file_by_file(rest[:size])
        rest, limit_s = rest[size:], min(limit_s * 3, _LONGEST_BATCH_S)


def _file_by_file(tests: Sequence[str]) -> list[str]:
    """Return the tests of a file together, as they may share what takes long to set up."""
    places = {file: place for place, file in enumerate(dict.fromkeys(test.partition("::")[0] for test in tests))}
    return sorted(tests, key=lambda test: places[test.partition("::")[0]])
