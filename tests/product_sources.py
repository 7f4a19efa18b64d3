"""The strings in the product's modules, for tests of its texts and size. A worker parses the modules once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import port_hook_cli

PACKAGE = Path(port_hook_cli.__file__).parent


class Text(NamedTuple):
    """A string, or `...` in place of a docstring, and its lines. `…` stands for each value of an f-string."""

    first: int
    last: int
    value: str
    is_docstring: bool


class Source(NamedTuple):
    path: Path
    code: str
    texts: tuple[Text, ...]


@cache
def sources() -> list[Source]:
    """Return the modules of the product, in the order of their paths."""
    return [
        Source(path, code, tuple(texts(code)))
        for path, code in ((path, path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py")))
    ]


def texts(code: str) -> Iterator[Text]:
    """Yield the strings of a module, each before the strings inside its values."""
    todo: list[ast.AST] = [ast.parse(code)]
    while todo:
        node = todo.pop()
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                yield Text(node.lineno, node.end_lineno or 0, node.value, is_docstring=False)
        elif isinstance(node, ast.JoinedStr):
            value = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            yield Text(node.lineno, node.end_lineno or 0, value, is_docstring=False)
            children = [part for part in children if not isinstance(part, ast.Constant)]
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                value = first.value.value if isinstance(first.value.value, str) else ""
                yield Text(first.lineno, first.end_lineno or 0, value, is_docstring=True)
                children.remove(first)
        todo += reversed(children)
