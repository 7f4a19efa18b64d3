"""The mutations, their order and their shares, and the replacement of code."""

from __future__ import annotations

import ast
from pathlib import Path
from types import FunctionType

import pytest

from tests.mutants.code import AtImportError, Functions, changes
from tests.mutants.mutant import BARS, Mutant, Verdict, in_turn, is_pure, share, table
from tests.mutants.mutate import mutations_of

pytestmark = pytest.mark.extended

PURE, REST = "port_hook_cli/signatures/signing.py", "port_hook_cli/kafka/source.py"
SOURCE = b"x = a < b\ny = 1 + c\nz = 1 + d\n"


def mutated(source: str) -> set[str]:
    raw = source.encode()
    return {ast.unparse(ast.parse(mutation.apply(raw))) for mutation in mutations_of(raw)}


def mutants(module: str, source: bytes = SOURCE) -> list[Mutant]:
    return [Mutant(module, each) for each in mutations_of(source)]


def test_each_mutation_is_one_small_change() -> None:
    rows = [
        ("x = a < b", ["x = a <= b"]),
        ("x = a is not b", ["x = a is b"]),
        ("x = a and b or c", ["x = (a and b) and c", "x = (a or b) or c"]),
        ("x = not a", ["x = a"]),
        ("x = a + b * c", ["x = a - b * c", "x = a + b // c"]),
        ("x = True", ["x = False"]),
        ("x = 0", ["x = 1"]),
        ("x = 4096", []),
        ("x = 'é' in y", ["x = 'é' not in y", "x = 'éX' in y"]),
        ("x = b'a'", ["x = b'aX'"]),
        ("x = 'two words'", []),
        ("x = f(a, b)", ["x = f(b, a)"]),
        ("x = f(*a, b)", []),
        ("x = max(a, b)", []),
        ("f()", ["pass"]),
        ("a.b = c", ["pass"]),
        ("a += c", ["pass"]),
        ("raise a", ["pass"]),
    ]
    for source, expected in rows:
        assert mutated(source) == {ast.unparse(ast.parse(each)) for each in expected}, source


def test_code_without_effect_for_users_is_not_mutated() -> None:
    rows = [
        '"""A docstring."""',
        "x: Literal['a']",
        "def f(x: 'a' = None) -> 'b': ...",
        "assert a == b",
        "__all__ = ['a']",
    ]
    rows += ["if TYPE_CHECKING:\n    from a import b", "x = f'{a == b}'", "@d('a', 1)\ndef f(): ..."]
    for source in rows:
        assert mutated(source) == set(), source


def test_order_depends_only_on_the_seed_and_alternates_between_the_parts() -> None:
    def order(source: bytes) -> list[tuple[str, str]]:
        ordered = in_turn([*mutants(PURE, source), *mutants(REST)], 17)
        assert [each.part for each in ordered] == ["pure", "rest"] * len(mutants(REST))
        return [(each.part, each.mutation.before) for each in ordered]

    assert order(SOURCE) == order(b"# New.\n\n" + SOURCE)
    assert len({tuple(in_turn(mutants(PURE), seed)) for seed in range(10)}) > 1
    assert (is_pure(PURE), is_pure(REST)) == (True, False)


def test_table_has_each_folder_and_the_share_of_each_part() -> None:
    one, other = mutants(PURE)[0], mutants(REST)[0]
    verdicts = [Verdict(one, "tests/test_x.py::test_x"), Verdict(one, ""), Verdict(other, "tests/test_x.py::test_x")]
    assert [line.split() for line in table(verdicts).splitlines()[:3]] == [
        ["folder", "tried", "caught"], ["kafka", "1", "1"], ["signatures", "2", "1"],
    ]  # fmt: skip
    assert (share(verdicts, "pure"), share([], "pure")) == (50.0, 100.0)
    assert table(verdicts).endswith(f"rest: 100.0 % caught (minimum {BARS['rest']} %)")
    assert str(verdicts[1]) == f"survived  {PURE}:1: a < b  →  (a <= b)"


MODULE = """\
import functools
LIMIT = 1
def outer(x=1):
    def inner(y):
        return y + x
    return inner
@functools.cache
def cached():
    return [each + 1 for each in range(2)]
class Box:
    width = 1
    def area(self):
        return self.width + 2
"""


def test_changed_functions_are_replaced_where_they_are_in_use(tmp_path: Path) -> None:
    namespace: dict[str, object] = {"__name__": "changed"}
    path = str(tmp_path / "changed.py")
    old = compile(MODULE, path, "exec", dont_inherit=True)
    exec(old, namespace)  # noqa: S102 - the module above
    box, outer, cached = namespace["Box"]().area, namespace["outer"], namespace["cached"]  # type: ignore[operator]
    assert isinstance(outer, FunctionType)
    inner = outer()
    assert (box(), inner(1), cached()) == (3, 2, [1, 2])  # type: ignore[operator]
    functions = Functions.below(tmp_path)
    for before, after in (("y + x", "y - x"), ("each + 1", "each - 1"), ("width + 2", "width - 2")):
        changed = list(changes(old, compile(MODULE.replace(before, after), path, "exec", dont_inherit=True)))
        assert functions.is_cached(changed[0][0]) is (before == "each + 1")
        for one, other in changed:
            functions.replace(one, other)
    assert (box(), inner(1), outer()(1), cached()) == (-1, 0, 0, [-1, 0])  # type: ignore[operator]


@pytest.mark.parametrize(("before", "after"), [("LIMIT = 1", "LIMIT = 2"), ("x=1", "x=2"), ("width = 1", "width = 2")])
def test_code_that_runs_at_import_is_not_replaced(before: str, after: str) -> None:
    old, new = (compile(source, "m.py", "exec") for source in (MODULE, MODULE.replace(before, after)))
    with pytest.raises(AtImportError):
        list(changes(old, new))
