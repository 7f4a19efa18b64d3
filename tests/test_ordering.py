"""Parallel workers get every test, browser tests all in one worker, and slow tests first."""

from __future__ import annotations

from collections import Counter

from tests.ordering import for_workers

FOLDERS = ["browser"] * 10 + ["process"] * 31 + ["cli"] * 62


def parts_of(folders: list[str], workers: int) -> list[list[str]]:
    """Divide the ordered tests as xdist does."""
    pending, parts = for_workers(folders, str, {"cli"}, workers), []
    for left in range(workers, 0, -1):
        size = len(pending) // left
        parts.append(pending[:size])
        del pending[:size]
    return parts


def test_one_worker_gets_all_browser_tests_and_the_others_begin_with_slow_tests() -> None:
    first, *others = parts_of(FOLDERS, 4)
    assert first == ["browser"] * 10 + ["cli"] * 15
    assert [Counter(part) for part in others] == [{"process": 10, "cli": 16}] * 2 + [{"process": 11, "cli": 15}]
    assert all(part == sorted(part, reverse=True) for part in others)


def test_slow_tests_are_divided_evenly_without_browser_tests() -> None:
    parts = parts_of(FOLDERS[10:], 2)
    assert [Counter(part)["process"] for part in parts] == [15, 16]


def test_tests_of_the_same_kind_stay_in_order() -> None:
    numbers = list(range(50))
    ordered = for_workers(numbers, lambda number: "process" if number % 2 else "text", {"text"}, 1)
    assert ordered == [*range(1, 50, 2), *range(0, 50, 2)]


def test_all_tests_run_when_one_kind_exceeds_its_part() -> None:
    for folders in (["browser"] * 9 + ["cli"], ["process"] * 9, ["cli"] * 9, []):
        for workers in (1, 2, 4):
            assert Counter(for_workers(folders, str, {"cli"}, workers)) == Counter(folders)
