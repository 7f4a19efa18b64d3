"""The place of a mutation: the lines of its statement, and whether they run when the module is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Place:
    """The lines of a mutated statement.

    If `at_import`, they run when the module is imported, or once per process because the result is cached. Then
    tests that don't run them could also notice the mutation. `users` has the lines of functions that use the changed
    value. `earlier` has the lines of the function above the statement.
    """

    lines: frozenset[int]
    at_import: bool
    users: frozenset[int] = frozenset()
    earlier: range = range(0)


def place_of(source: bytes, line: int) -> Place:
    """Return the place of a mutation at a line of the module."""
    tree = ast.parse(source)
    outer = list(_statements_around(tree, line))
    if not outer:
        return Place(frozenset({line}), at_import=True)
    statement, around = outer[-1], outer[:-1]
    lines = _own_lines(statement, line)
    # A function's header, such as its defaults, runs where the function is defined.
    function = next((each for each in reversed(around) if isinstance(each, _FUNCTIONS)), None)
    if function is not None and not any(_is_cached(each) for each in around):
        return Place(lines, at_import=False, earlier=range(function.body[0].lineno, statement.lineno))
    return Place(lines, at_import=True, users=_users(tree, outer))


def function_lines(source: bytes) -> frozenset[int]:
    """Return the lines that run only when a function of the module is called."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _FUNCTIONS):
            found.update(_body(node))
    return frozenset(found)


def _statements_around(tree: ast.Module, line: int) -> Iterator[ast.stmt]:
    """Yield the statements that contain the line, from the outermost to the innermost."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
            yield node


def _own_lines(statement: ast.stmt, line: int) -> frozenset[int]:
    body = getattr(statement, "body", None)
    if isinstance(statement, ast.Match | ast.Try):
        return frozenset({line})
    last = body[0].lineno - 1 if body else statement.end_lineno or line
    return frozenset(range(statement.lineno, max(last, statement.lineno) + 1))


def _body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> range:
    return range(function.body[0].lineno, (function.end_lineno or function.lineno) + 1)


def _is_cached(node: ast.stmt) -> bool:
    return isinstance(node, _FUNCTIONS) and any("cache" in ast.unparse(each) for each in node.decorator_list)


def _users(tree: ast.Module, outer: list[ast.stmt]) -> frozenset[int]:
    """Return the lines of functions that use a name defined by the outermost statement, or that are inside it."""
    names = _defined(outer[0])
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS) and (_is_within(node, outer[0]) or _mentions(node, names)):
            lines.update(_body(node))
    return frozenset(lines)


def _is_within(node: ast.stmt, outer: ast.stmt) -> bool:
    return outer.lineno <= node.lineno <= (outer.end_lineno or 0)


def _mentions(function: ast.AST, names: set[str]) -> bool:
    return any(isinstance(node, ast.Name) and node.id in names for node in ast.walk(function))


def _defined(statement: ast.stmt) -> set[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case _:
            return set()
