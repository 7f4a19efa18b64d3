"""Which tests run for a mutation, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.mutants.lines import LineMap, load
from tests.mutants.recorded import write_map
from tests.mutants.selection import PROCESS_TESTS, batches, distance, in_order, select
from tests.mutants.trees import ROOT

MODULE = "port_hook_cli/captures/store/writer.py"
SOURCE = "LIMIT = 1\n\ndef write(x):\n    if x > LIMIT:\n        return 0\n    return 1\n"
NEAR, FAR = "tests/captures/test_writer.py::test_near", "tests/cli/test_show.py::test_far"
KILLED = "tests/process/test_listen_kills.py::test_killed"
SECONDS = {NEAR: 0.1, FAR: 0.1, KILLED: 5.0}


def recorded(tree: Path, by_test: Mapping[str, set[int]]) -> LineMap:
    """Write the module, and return a map of a run in which each test ran these lines."""
    (tree / MODULE).parent.mkdir(parents=True)
    (tree / MODULE).write_text(SOURCE, "utf-8")
    write_map(tree, tree / "map", {test: {MODULE: lines} for test, lines in by_test.items()}, SECONDS)
    return load(tree / "map")


def test_only_tests_of_the_line_are_selected(tmp_path: Path) -> None:
    lines = recorded(tmp_path, {NEAR: {4, 5}, FAR: {4, 6}})
    assert select(tmp_path, lines, MODULE, 5).covering == (NEAR,)
    assert select(tmp_path, lines, MODULE, 6).covering == (FAR,)
    assert select(tmp_path, lines, MODULE, 4).covering == (NEAR, FAR)


def test_tests_of_the_lines_above_are_selected_when_no_test_runs_the_line(tmp_path: Path) -> None:
    lines = recorded(tmp_path, {NEAR: {4, 5}, FAR: {4}})
    selection = select(tmp_path, lines, MODULE, 6)
    assert (selection.covering, selection.is_recorded) == ((NEAR, FAR), False)
    assert select(tmp_path, lines, MODULE, 5).is_recorded


def test_failed_test_is_not_selected(tmp_path: Path) -> None:
    lines = recorded(tmp_path, {"tests/captures/test_writer.py::test_failed": {4}})
    assert select(tmp_path, lines, MODULE, 4).covering == ()


def test_tests_of_killed_processes_are_selected_when_no_test_runs_the_line(tmp_path: Path) -> None:
    selection = select(tmp_path, recorded(tmp_path, {}), MODULE, 5)
    assert (selection.covering, selection.process) == ((), (KILLED,))


def test_tests_with_a_constant_come_before_nearby_tests(tmp_path: Path) -> None:
    assert select(tmp_path, recorded(tmp_path, {FAR: {4}}), MODULE, 1).covering == (FAR, NEAR)


def test_all_tests_of_a_changed_module_are_selected(tmp_path: Path) -> None:
    lines = recorded(tmp_path, {NEAR: {5}, FAR: {6}})
    (tmp_path / MODULE).write_text(f"# New.\n{SOURCE}", "utf-8")
    assert select(tmp_path, lines, MODULE, 6).covering == (NEAR, FAR)


def test_quick_tests_near_the_module_come_first_then_a_few_cases_of_each_test_function() -> None:
    near, far = "tests/captures/test_writer.py::test_cases", "tests/cli/test_show.py::test_far"
    seconds = {f"{near}[1]": 0.1, f"{near}[2 3]": 0.2, f"{near}_slowly": 3.0}
    seconds |= {f"{far}[1]": 0.1, f"{far}[2]": 0.1, f"{far}[3]": 0.1}
    assert in_order(reversed(seconds), MODULE, seconds) == [
        f"{near}[1]", f"{near}[2 3]", f"{far}[1]", f"{far}[2]", f"{near}_slowly", f"{far}[3]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("test", "away"),
    [
        ("tests/captures/test_writer.py::test_x", 0),
        ("tests/captures/test_store.py::test_x", 0),
        ("tests/captures/store/test_other.py::test_x", 1),
        ("tests/captures/test_other.py::test_x", 2),
        ("tests/cli/test_writer.py::test_x", 3),
    ],
)
def test_distance_is_the_number_of_folders_between_test_and_module(test: str, away: int) -> None:
    assert distance(test, MODULE) == away


def test_batches_become_longer_and_keep_the_tests_of_a_file_together() -> None:
    seconds = {"a::1": 1.0, "b::1": 0.5, "a::2": 0.5, "c::1": 9.0, "d::1": 1.0}
    assert list(batches(list(seconds), seconds, first_s=2.0)) == [["a::1", "a::2", "b::1"], ["c::1"], ["d::1"]]


def test_process_tests_exist() -> None:
    assert [file for files in PROCESS_TESTS.values() for file in files if not (ROOT / file).exists()] == []
    assert [folder for folder in PROCESS_TESTS if not (ROOT / "port_hook_cli" / folder).is_dir()] == []
