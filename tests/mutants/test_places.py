"""The lines that belong to a mutation."""

from __future__ import annotations

import pytest

from tests.mutants.places import Place, function_lines, place_of

SOURCE = b"""\
SIZES = {"small": 1}

def size(name, other=0):
    if (name
            in SIZES):
        return max(
            SIZES[name],
            1,
        )
    try:
        return other
    except (KeyError,
            ValueError):
        return 0

@lru_cache(maxsize=1)
def cached():
    return 1

class Box:
    width = 1

    def area(self):
        return self.width * 2

def outer():
    a = 1
    def inner():
        b = 2
        return b
    return inner
"""


@pytest.mark.parametrize(
    ("line", "lines"), [(4, {4, 5}), (5, {4, 5}), (7, {6, 7, 8, 9}), (11, {11}), (13, {13}), (24, {24})]
)
def test_mutation_in_a_function_has_the_lines_of_its_statement(line: int, lines: set[int]) -> None:
    place = place_of(SOURCE, line)
    assert (place.lines, place.at_import) == (frozenset(lines), False)


def test_earlier_lines_are_in_the_same_function() -> None:
    assert list(place_of(SOURCE, 11).earlier) == list(range(4, 11))
    assert list(place_of(SOURCE, 24).earlier) == []
    assert list(place_of(SOURCE, 30).earlier) == [29]
    assert list(place_of(SOURCE, 31).earlier) == [27, 28, 29, 30]


def test_constant_is_used_by_the_functions_with_its_name() -> None:
    assert place_of(SOURCE, 1) == Place(frozenset({1}), at_import=True, users=frozenset(range(4, 15)))


def test_default_runs_at_import_and_is_used_by_its_function() -> None:
    assert place_of(SOURCE, 3) == Place(frozenset({3}), at_import=True, users=frozenset(range(4, 15)))


def test_attribute_of_a_class_is_used_by_its_methods() -> None:
    assert place_of(SOURCE, 21) == Place(frozenset({21}), at_import=True, users=frozenset({24}))


def test_cached_result_may_be_used_by_tests_without_its_line() -> None:
    assert place_of(SOURCE, 18) == Place(frozenset({18}), at_import=True, users=frozenset({18}))


def test_function_lines_exclude_import_lines() -> None:
    assert function_lines(SOURCE) == {*range(4, 15), 18, 24, *range(27, 32)}
