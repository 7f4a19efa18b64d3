"""The table of a run, and the shares of the two parts."""

from __future__ import annotations

import pytest

from tests.mutants.mutant import Mutant
from tests.mutants.mutate import Mutation
from tests.mutants.report import Verdict, bars, is_enough, table


def verdicts(module: str, caught: int, survived: int) -> list[Verdict]:
    mutant = Mutant(f"port_hook_cli/{module}", Mutation(7, 0, 1, "a < b", "a <= b"))
    return [Verdict(mutant, "tests/test_x.py::test_x")] * caught + [Verdict(mutant, "")] * survived


def test_table_has_a_row_for_each_folder_and_for_modules_without_a_folder() -> None:
    mixed = [
        *verdicts("signatures/signing.py", 2, 1),
        *verdicts("kafka/source.py", 1, 0),
        *verdicts("errors.py", 0, 1),
        *verdicts("kafka/messages.py", 1, 0),
    ]
    assert table(mixed).splitlines() == [
        "folder      tried  caught       %",
        "errors.py       1       0     0.0",
        "kafka           2       2   100.0",
        "signatures      3       2    66.7",
    ]


def test_bars_show_the_share_and_the_minimum_of_each_part() -> None:
    assert bars([*verdicts("signatures/signing.py", 23, 2), *verdicts("kafka/source.py", 7, 1)]).splitlines() == [
        "pure: 23 of 25 caught (92.0 %; at least 92 % must be)",
        "rest: 7 of 8 caught (87.5 %; at least 88 % must be)",
    ]


@pytest.mark.parametrize(
    ("pure", "rest", "enough"),
    [((92, 8), (88, 12), True), ((91, 9), (88, 12), False), ((92, 8), (87, 13), False), ((0, 0), (0, 0), True)],
)
def test_both_parts_must_reach_their_minimum(pure: tuple[int, int], rest: tuple[int, int], enough: bool) -> None:
    assert is_enough([*verdicts("signatures/signing.py", *pure), *verdicts("kafka/source.py", *rest)]) is enough


def test_survivor_is_printed_with_its_place_its_change_and_its_note() -> None:
    (survivor,) = verdicts("kafka/source.py", 0, 1)
    assert str(survivor) == "survived  port_hook_cli/kafka/source.py:7: a < b  →  a <= b"
    noted = Verdict(survivor.mutant, "", "the record has no test of this line")
    assert str(noted) == f"{survivor}  (the record has no test of this line)"


def test_caught_mutant_is_printed_with_the_test() -> None:
    (caught,) = verdicts("kafka/source.py", 1, 0)
    assert str(caught) == "caught  port_hook_cli/kafka/source.py:7: a < b  →  a <= b  (by tests/test_x.py::test_x)"
