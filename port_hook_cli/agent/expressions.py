"""The results of the agent's jq expressions, as pyjq 2.6 returns them; it contains jq 1.6.

Two differences from jq itself: the agent uses only the first result, but an error after it also makes the result null;
and the results are Python values (`Script.first` and `jv_to_pyobj` in pyjq).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from port_hook_cli.actions.jq_tokens import JqToken, TokenKind, jq_tokens

# As in jq's `jv_is_integer`.
_EPSILON = 2.0**-52
_ENVIRONMENT = frozenset({"env", "$ENV"})
_NOTHING = JqToken(TokenKind.OPERATOR, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """An expression's result. If it failed, the value is None, and `error` says why. `is_empty` means no result.

    A compile error names the line and column in the expression.
    """

    expression: str
    value: Any = None
    error: str = ""
    is_empty: bool = False


Evaluate = Callable[[Sequence[str], Any], Sequence[Evaluated]]
"""Evaluates expressions over a document."""


def as_python(value: Any) -> Any:
    """Return a jq value as pyjq converts it: whole numbers are ints, and a string ends before a null character.

    Raises OverflowError for infinity, as pyjq does.
    """
    if isinstance(value, str):
        return value.partition("\0")[0]
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list):
        return [as_python(element) for element in value]
    if isinstance(value, dict):
        return {as_python(key): as_python(element) for key, element in value.items()}
    return value


def _number(value: float) -> float | int:
    return int(value) if abs(math.modf(value)[0]) < _EPSILON else value


def is_blank(expression: str) -> bool:
    """Return whether an expression has no code; jq treats it as `.`."""
    return not expression.partition("#")[0].strip() and not tuple(jq_tokens(expression))


@dataclass(frozen=True, slots=True)
class EnvironmentUse:
    """The variables of the environment that an expression names, and whether it computes or lists others."""

    names: tuple[str, ...] = ()
    is_open: bool = False


def environment_use(expressions: Sequence[str]) -> EnvironmentUse:
    """Return the variables of the environment that expressions read."""
    found = [name for expression in expressions for name in _names_read(tuple(jq_tokens(expression)))]
    return EnvironmentUse(tuple(dict.fromkeys(name for name in found if name)), "" in found)


def _names_read(tokens: Sequence[JqToken]) -> Iterator[str]:
    """Yield the name of each variable that is read, "" for a name that is computed."""
    for index, token in enumerate(tokens):
        if token.text in _ENVIRONMENT and token.kind in {TokenKind.NAME, TokenKind.VARIABLE}:
            yield _name_after([*tokens[index + 1 : index + 6], *(_NOTHING,) * 5])


def _name_after(tokens: Sequence[JqToken]) -> str:
    """Return the name in `.NAME` or `["NAME"]`, "" for anything else."""
    if tokens[0].kind is TokenKind.FIELD:
        return tokens[0].text[1:]
    kinds = [token.kind for token in tokens[:5]]
    written = [TokenKind.OPEN, TokenKind.STRING_START, TokenKind.PIECE, TokenKind.STRING_END, TokenKind.CLOSE]
    return tokens[2].text if kinds == written and tokens[0].text == "[" else ""
