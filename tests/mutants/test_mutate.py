"""The mutations themselves, and the code that they do not change."""

from __future__ import annotations

import ast

import pytest

from tests.mutants.mutate import mutations_of


def mutants_of(source: str) -> list[str]:
    raw = source.encode()
    return [mutation.apply(raw).decode() for mutation in mutations_of(raw)]


@pytest.mark.parametrize(
    ("source", "mutants"),
    [
        ("x = a < b", ["x = a <= b"]),
        ("x = a is not b", ["x = a is b"]),
        ("x = a in b", ["x = a not in b"]),
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
    ],
)
def test_each_mutation_is_one_small_change(source: str, mutants: list[str]) -> None:
    assert {ast.unparse(ast.parse(mutant)) for mutant in mutants_of(source)} == {
        ast.unparse(ast.parse(mutant)) for mutant in mutants
    }


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring."""',
        "from __future__ import annotations",
        "x: Literal['a']",
        "def f(x: 'a' = None) -> 'b': ...",
        "assert a == b",
        "__all__ = ['a']",
        "if TYPE_CHECKING:\n    from a import b",
        "x = f'{a == b}'",
        "@d('a', 1)\ndef f(): ...",
    ],
)
def test_code_without_effect_for_users_is_not_mutated(source: str) -> None:
    assert mutants_of(source) == []


def test_mutation_changes_only_its_own_place_after_non_ascii_text() -> None:
    assert mutants_of("x = é  # ü\nif a == b:  # ß\n    pass\n") == ["x = é  # ü\nif (a != b):  # ß\n    pass\n"]
