"""The tree of an expression of jq 1.5."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from port_hook_cli.agent.jq15_tokens import NotJq15

_FOLDED: dict[str, Callable[[float, float], float | bool]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b if b else math.nan if not a or math.isnan(a) else math.copysign(math.inf, a),
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


@dataclass(frozen=True, slots=True)
class JqNode:
    """A part of an expression. `kind` determines the meaning of `text`, `value` and `parts`, which module `jq15` reads.

    A part that is None is left out, such as the handler of a `try`.
    """

    kind: str
    text: str = ""
    parts: tuple[JqNode | None, ...] = ()
    value: Any = None
    optional: bool = False


def is_constant(node: JqNode | None) -> bool:
    """Whether jq 1.5 knows the value of a node at compile time."""
    node = bare(node)
    if node is None or node.kind == "array":
        return node is not None and node.parts[0] is None
    if node.kind == "object":
        return all(is_constant(part) for pair in node.parts if pair is not None for part in pair.parts)
    return node.kind in {"constant", "location"}


def bare(node: JqNode | None) -> JqNode | None:
    """Return a node without parentheses and without `| .`."""
    while node is not None:
        kinds = [part.kind for part in node.parts if part is not None]
        if node.kind == "group" or (node.kind == "|" and kinds[1] == "identity"):
            node = node.parts[0]
        elif node.kind == "|" and kinds[0] == "identity":
            node = node.parts[1]
        else:
            break
    return node


def field_of(term: JqNode, text: str) -> JqNode:
    """Return the member of a term that `.NAME` names."""
    return JqNode("index", parts=(term, JqNode("constant", value=text[1:])))


def operation(operator: str, left: JqNode, right: JqNode) -> JqNode:
    """Return an operation, or its result if jq 1.5 computes it at compile time. Raises NotJq15."""
    numbers = [_number(each) for each in (left, right)]
    if operator in _FOLDED and None not in numbers:
        a, b = numbers
        assert a is not None
        assert b is not None
        result = _FOLDED[operator](a, b)
        if operator == "/" and isinstance(result, float) and math.isinf(result):
            raise NotJq15("does not divide by zero")
        return JqNode("constant", value=result)
    return JqNode(operator, parts=(left, right))


def _number(node: JqNode) -> float | None:
    found = bare(node)
    is_number = found is not None and found.kind == "constant" and isinstance(found.value, float)
    return found.value if found is not None and is_number else None
