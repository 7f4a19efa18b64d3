"""What jq 1.8 compiles and jq 1.6 does not: the agent contains jq 1.6, and such an expression is null there.

Found in the tokens of an expression: functions that were added, `if` without `else` (1.7), `.a.[0]` (1.7), `{$key: 1}`
(1.7), and expressions in objects without parentheses such as `{a: 1 + 2}` or `{a: if . then 1 else 2 end}` (1.7, 1.8).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from port_hook_cli.actions.jq_tokens import JqToken, TokenKind, jq_tokens

_NEWER = frozenset(
    {
        "abs", "have_decnum", "have_literal_numbers", "ltrim", "pick", "rtrim", "skip", "toarray", "toboolean", "trim",
        "trimstr", "@base32d", "@urid",
    }
)  # fmt: skip
_OPERATORS = frozenset(
    {
        "+", "-", "*", "/", "%", "//", "==", "!=", "<", "<=", ">", ">=", "=", "|=", "+=", "-=", "*=", "/=", "%=", "//=",
        "and", "or",
    }
)  # fmt: skip
_NOT_TERMS = frozenset({"if", "reduce", "foreach", "try", "def", "label"})
_ENDS = frozenset({TokenKind.FIELD, TokenKind.CLOSE, TokenKind.STRING_END, TokenKind.VARIABLE})
_NOTHING = JqToken(TokenKind.OPERATOR, "|")


def newer_than_agent(expression: str) -> str:
    """Return why jq 1.6 cannot compile an expression that jq 1.8 can, or ""."""
    tokens = tuple(jq_tokens(expression))
    found = next(iter((*_functions(tokens), *_missing_else(tokens), *_dots(tokens), *_in_objects(tokens))), "")
    return found and f"jq 1.6, which the agent uses, {found}"


def _functions(tokens: Sequence[JqToken]) -> Iterator[str]:
    own = {after.text for token, after in pairwise(tokens) if token.text == "def"}
    for token in tokens:
        if token.kind in {TokenKind.NAME, TokenKind.FORMAT} and token.text in _NEWER - own:
            yield f"has no `{token.text}`"


def _missing_else(tokens: Sequence[JqToken]) -> Iterator[str]:
    has_else: list[bool] = []
    for token in tokens:
        if token.kind is not TokenKind.NAME:
            continue
        if token.text == "if":
            has_else.append(False)
        elif token.text == "else" and has_else:
            has_else[-1] = True
        elif token.text == "end" and has_else and not has_else.pop():
            yield "requires an `else`"


def _dots(tokens: Sequence[JqToken]) -> Iterator[str]:
    for before, dot, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if (dot.text, after.text) == (".", "[") and (before.kind in _ENDS or before.text == "?"):
            yield "does not know `.[` after a value: write `[`"


@dataclass(slots=True)
class _Bracket:
    """An open bracket. `is_object` is false for a pattern, as in `. as {a: $x}`; `in_value` is true after a colon."""

    is_object: bool
    is_pattern: bool
    in_value: bool = False


def _in_objects(tokens: Sequence[JqToken]) -> Iterator[str]:
    """Yield what is wrong between the braces of an object."""
    brackets: list[_Bracket] = []
    for before, token in pairwise((_NOTHING, *tokens)):
        if token.kind in {TokenKind.OPEN, TokenKind.STRING_START}:
            is_pattern = before.text in {"as", "?//"} or bool(brackets and brackets[-1].is_pattern)
            brackets.append(_Bracket(token.text == "{" and not is_pattern, is_pattern))
        elif token.kind in {TokenKind.CLOSE, TokenKind.STRING_END}:
            del brackets[-1:]
        elif brackets and brackets[-1].is_object:
            yield from _in_object(brackets[-1], before, token)


def _in_object(bracket: _Bracket, before: JqToken, token: JqToken) -> Iterator[str]:
    if token.text == ":" and not bracket.in_value:
        bracket.in_value = True
        if before.kind is TokenKind.VARIABLE:
            yield f"needs parentheses around the key {before.text}"
    elif token.text == "," and token.kind is TokenKind.OPERATOR:
        bracket.in_value = False
    elif bracket.in_value and _needs_parentheses(before, token):
        yield f"needs parentheses around a value with `{token.text}` in an object"


def _needs_parentheses(before: JqToken, token: JqToken) -> bool:
    if token.kind is TokenKind.NAME:
        return token.text in _NOT_TERMS or token.text in {"and", "or"}
    is_negative = token.text == "-" and before.text in {":", "|", "-"}
    return token.kind is TokenKind.OPERATOR and token.text in _OPERATORS and not is_negative
