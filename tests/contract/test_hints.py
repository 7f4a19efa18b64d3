"""Hints and fixes fit one glance, and make sense to users who installed only the package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

import pytest

from tests.product_sources import PACKAGE, sources

pytestmark = pytest.mark.once

_MOST_WORDS = 25
_FILE_OF_THE_REPOSITORY = re.compile(r"(?<![\w./])(docs|examples|tests)/|\.md\b")


def test_hints_and_fixes_are_short_and_do_not_mention_files_of_the_repository() -> None:
    found = [f"{place}: {len(hint.split())} words: {hint}" for place, hint in hints() if is_bad(hint)]
    assert not found, "\n".join(["", *found])


def is_bad(hint: str) -> bool:
    return len(hint.split()) > _MOST_WORDS or bool(_FILE_OF_THE_REPOSITORY.search(hint))


def hints() -> Iterator[tuple[str, str]]:
    """Yield each literal hint and fix, with its place. `…` stands for each computed part."""
    count = 0
    for source in sources():
        tree = ast.parse(source.code)
        assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
        constants = {each.targets[0].id: each.value for each in assigned if isinstance(each.targets[0], ast.Name)}
        for text in source.texts:
            if text.value.startswith("hint: "):
                yield f"{source.path.relative_to(PACKAGE)}:{text.first}", text.value.removeprefix("hint: ")
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg in ("hint", "fix"):
                for hint in values(node.value, constants):
                    count += 1
                    yield f"{source.path.relative_to(PACKAGE)}:{node.value.lineno}", hint
    assert count > 500


def values(node: ast.expr, constants: Mapping[str, ast.expr]) -> list[str]:
    """Return the possible values of an expression."""
    match node:
        case ast.IfExp():
            return [*values(node.body, constants), *values(node.orelse, constants)]
        case ast.BoolOp():
            return [text for part in node.values for text in values(part, constants)]
        case ast.Constant():
            return [str(node.value)]
        case ast.Name(id=name) if name in constants:
            return values(constants[name], constants)
        case ast.JoinedStr():
            texts = [""]
            for part in node.values:
                ends = values(part.value if isinstance(part, ast.FormattedValue) else part, constants)
                texts = [start + end for start in texts for end in ends]
            return texts
        case _:
            return ["…"]
