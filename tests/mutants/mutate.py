"""Small mutations of a Python module: each one changes what the code does, and a test should fail because of it.

Left out is what no user can notice or what only changes wording: docstrings, annotations, assertions, decorators,
`__slots__`, strings with spaces, and f-strings (whose positions are incorrect before Python 3.12).
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv}
_NOT_MUTATED = (ast.JoinedStr, ast.Assert, ast.pattern, ast.Import, ast.ImportFrom)
_ANNOTATIONS = {"annotation", "returns", "decorator_list", "type_params"}


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change: `start` and `end` are byte offsets in the module's source."""

    line: int
    start: int
    end: int
    before: str
    after: str

    def apply(self, source: bytes) -> bytes:
        """Return the mutated source."""
        return source[: self.start] + self.after.encode() + source[self.end :]


def mutations_of(source: bytes) -> list[Mutation]:
    """Return all mutations of a module, in the order of its text."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node, mutated in _walk(ast.parse(source)):
        start, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[operator] # a parsed node has both
        text = ast.unparse(mutated)
        # Parentheses keep the precedence, and an expression may span lines.
        after = f"({text})" if isinstance(mutated, ast.expr) else text
        found.append(Mutation(node.lineno, start, end, ast.unparse(node), after))
    return sorted(found, key=lambda each: (each.start, each.end, each.after))


def _walk(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, ast.AST]]:
    if isinstance(node, ast.expr | ast.stmt):
        for mutated in (*_expressions(node), *_removals(node)):
            yield node, mutated
    for field, value in ast.iter_fields(node):
        if field in _ANNOTATIONS or (field == "slice" and _is_type(node)):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, _NOT_MUTATED) and not _is_ignored(child):
                yield from _walk(child)


def _is_ignored(node: ast.AST) -> bool:
    """Whether it is a docstring, `__slots__`, `__all__` or a block for the type checker."""
    match node:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(targets=[ast.Name(id="__slots__" | "__all__")]):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case _:
            return False


def _is_type(node: ast.AST) -> bool:
    """Whether it is a subscript of a type, such as `Callable[…]`."""
    return isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id[:1].isupper()


def _expressions(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=[operator]):
            yield _with(node, ops=[_COMPARISONS[type(operator)]()])
        case ast.BoolOp(op=operator):
            yield _with(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.BinOp(op=operator) if type(operator) in _ARITHMETIC:
            yield _with(node, op=_ARITHMETIC[type(operator)]())
        case ast.Constant(value=value):
            yield from (_with(node, value=other) for other in _other_values(value))
        case ast.Call(func=ast.Name(id="max" | "min")):  # the order of their arguments does not matter
            pass
        case ast.Call(args=[first, second, *rest]) if not isinstance(first, ast.Starred) and not isinstance(
            second, ast.Starred
        ):
            yield _with(node, args=[second, first, *rest])
        case _:
            pass


def _other_values(value: object) -> Iterator[object]:
    if isinstance(value, bool):
        yield not value
    # A larger number is a size or a time, and users do not notice one more.
    elif isinstance(value, int) and value in {0, 1}:
        yield value + 1
    elif isinstance(value, str) and value and not value.split()[1:]:
        yield f"{value}X"
    elif isinstance(value, bytes) and value and not value.split()[1:]:
        yield value + b"X"


def _removals(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Delete():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case _:
            pass


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
