"""The results of the agent's jq expressions in pyjq 2.6, which contains jq 1.5.

The agent uses only the first result, as a Python value (`Script.first` and `jv_to_pyobj` in pyjq).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from port_hook_cli.actions.jq_differences import JqToken, TokenKind, jq_tokens
from port_hook_cli.frozen import frozen

# jq 1.5 (`jv_is_integer`) treats a number as an integer only if the number fits in a C int.
_LEAST, _MOST = -(2**31), 2**31 - 1
_EXACT = 10**15
_NOTHING = JqToken(TokenKind.OPERATOR, "")


@frozen(kw_only=True)
class Evaluated:
    """The result of an expression. If it failed, the value is None, and `error` explains why.

    `is_empty` means no result. A compile error contains the line and column in the expression.
    """

    expression: str
    value: Any = None
    error: str = ""
    is_empty: bool = False


def correction(expression: str) -> str:
    """Return how to correct an expression that does not compile, if it looks like text or a template.

    Otherwise return "".
    """
    if "{{" in expression:
        return "Port's templates do not work in mappings: write the jq expression without {{ }}"
    is_word = expression.replace("-", "").replace("_", "").isalnum()
    if not is_word and not expression.startswith(("http://", "https://")):
        return ""
    return f'for literal text, use jq\'s quotes: "\\"{expression}\\""'


Evaluate = Callable[[Sequence[str], Any], Sequence[Evaluated]]
"""Evaluates expressions over a document."""


def as_python(value: Any) -> Any:
    """Return a jq value as pyjq converts it. A string ends before its first null character.

    Integers of 32 bits become ints. All other numbers become floats, which can be infinite.
    """
    if isinstance(value, str):
        return value.partition("\0")[0]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value) if _LEAST <= value <= _MOST and value == int(value) else float(value)
    if isinstance(value, list):
        return [as_python(element) for element in value]
    if isinstance(value, dict):
        return {as_python(key): as_python(element) for key, element in value.items()}
    return value


def fits_in_a_double(document: Any) -> bool:
    """Return whether port-hook's jq reads all numbers in a document like jq 1.5, without rounding.

    Raises OverflowError for an integer that is larger than any float, as pyjq does.
    """
    if isinstance(document, dict):
        return all(map(fits_in_a_double, document.values()))
    if isinstance(document, list):
        return all(map(fits_in_a_double, document))
    if isinstance(document, int) and not isinstance(document, bool):
        return abs(float(document)) < _EXACT
    return not isinstance(document, float) or "e" not in repr(document)


@frozen
class EnvironmentUse:
    """The environment variables that an expression reads by name.

    This value also shows whether the expression computes or lists names.
    """

    names: tuple[str, ...] = ()
    is_open: bool = False


def environment_use(expressions: Sequence[str]) -> EnvironmentUse:
    """Return which environment variables the expressions read."""
    found = [name for expression in expressions for name in _names_read(tuple(jq_tokens(expression)))]
    return EnvironmentUse(tuple(dict.fromkeys(name for name in found if name)), "" in found)


def _names_read(tokens: Sequence[JqToken]) -> Iterator[str]:
    """Yield the name of each environment variable in use, or "" for a computed name."""
    for index, token in enumerate(tokens):
        if token.text == "env" and token.kind is TokenKind.NAME:
            yield _name_after([*tokens[index + 1 : index + 6], *(_NOTHING,) * 5])


def _name_after(tokens: Sequence[JqToken]) -> str:
    """Return the name in `.NAME` or `["NAME"]`, or "" for any other tokens."""
    if tokens[0].kind is TokenKind.FIELD:
        return tokens[0].text[1:]
    kinds = [token.kind for token in tokens[:5]]
    written = [TokenKind.OPEN, TokenKind.STRING_START, TokenKind.PIECE, TokenKind.STRING_END, TokenKind.CLOSE]
    return tokens[2].text if kinds == written and tokens[0].text == "[" else ""
