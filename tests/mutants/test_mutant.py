"""The order of the mutants for a seed, and the two parts of the package."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, in_turn, is_pure
from tests.mutants.mutate import mutations_of

PURE, REST = "port_hook_cli/signatures/signing.py", "port_hook_cli/kafka/source.py"
SOURCE = b"x = a < b\ny = 1 + c\nz = 1 + d\n"


def mutants(module: str, source: bytes = SOURCE) -> list[Mutant]:
    return [Mutant(module, each) for each in mutations_of(source)]


def changes(ordered: list[Mutant]) -> list[tuple[str, str, str]]:
    return [(each.module, each.mutation.before, each.mutation.after) for each in ordered]


def test_seed_gives_the_same_order_each_time_and_another_seed_another_order() -> None:
    every = mutants(PURE)
    assert in_turn(every, 17) == in_turn(every, 17)
    assert sorted(in_turn(every, 17), key=every.index) == every
    assert len({tuple(in_turn(every, seed)) for seed in range(10)}) > 1


def test_order_stays_the_same_when_lines_move_and_code_is_added() -> None:
    before = changes(in_turn(mutants(PURE), 17))
    after = changes(in_turn(mutants(PURE, b"# New.\n\nnew = e == f\n" + SOURCE), 17))
    assert [each for each in after if each[1] != "e == f"] == before


def test_order_alternates_between_the_parts() -> None:
    ordered = in_turn([*mutants(PURE), *mutants(REST)], 17)
    assert [each.part for each in ordered] == ["pure", "rest"] * len(mutants(PURE))


def test_pure_part_matches_the_contract() -> None:
    assert is_pure(PURE)
    assert is_pure("port_hook_cli/captures/view.py")
    assert not is_pure(REST)
    assert not is_pure("port_hook_cli/captures/store/__init__.py")
