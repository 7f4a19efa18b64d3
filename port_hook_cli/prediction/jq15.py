"""Features of port-hook's jq that jq 1.5 (in the agent's pyjq 2.6) lacks. An expression with one is null in the agent.

Most differences in results are not predicted. docs/reference/agent-mapping.md lists those that matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from port_hook_cli.actions.jq_differences import JqToken, TokenKind, jq_tokens, newer_object_operator

_LACKING = frozenset(
    {
        "IN", "INDEX", "JOIN", "abs", "builtins", "ceil", "copysign", "drem", "erf", "erfc", "exp10", "expm1", "fabs",
        "fdim", "fma", "fmax", "fmin", "fmod", "frexp", "gamma", "halt", "halt_error", "have_decnum",
        "have_literal_numbers", "isempty", "jn", "ldexp", "lgamma", "lgamma_r", "localtime", "log1p", "logb", "ltrim",
        "modf", "nearbyint", "nextafter", "nexttoward", "pick", "rint", "round", "rtrim", "scalb", "scalbln",
        "significand", "skip", "strflocaltime", "toboolean", "trim", "trimstr", "trunc", "utf8bytelength", "walk", "yn",
        "@base32", "@base32d", "@base64d", "@urid",
    }
)  # fmt: skip
_WITHOUT_ARGUMENTS = frozenset({"add", "debug"})
"""Functions that take an argument only in newer versions of jq."""
_CRASHING = frozenset({"debug", "input", "inputs"})
"""Functions that read memory that pyjq has not set."""

DEFINITIONS = (
    "def recurse(f): def r: ., (f | select(. != null) | r); r; def recurse: recurse(.[]?); "
    "def leaf_paths: paths(scalars); def recurse_down: recurse; def __ph_join(text): join(text); "
    'def join(text): if any(.[]; type | . == "number" or . == "boolean") '
    'then error("jq 1.5 does not join numbers or booleans") else __ph_join(text) end; '
)
"""Functions that newer versions of jq removed, extended or changed: `recurse` yields nulls there."""

_EXPONENT = re.compile(r"\.[eE][0-9]+")
_ENDS_OF_VALUES = frozenset({TokenKind.FIELD, TokenKind.VARIABLE, TokenKind.CLOSE, TokenKind.STRING_END})
_PRIVATE = "__ph_"  # the names that port-hook puts before an expression
_NOTHING = JqToken(TokenKind.OPERATOR, "")


def jq15_fault(expression: str) -> str:
    """Return why jq 1.5 cannot compile an expression, as a phrase such as "has no `walk`", or "" if none is known."""
    if "\r" in expression:
        return "does not accept a carriage return"
    return next(_faults(tuple(jq_tokens(as_newer_jq(expression)))), "")


def as_newer_jq(expression: str) -> str:
    """Return an expression in the form in which port-hook's jq parses it like jq 1.5."""
    tokens = tuple(jq_tokens(expression))
    if not tokens and expression.lstrip(" \t\n")[:1] in {"", "#"}:
        return "."
    is_in_text = any(token.kind is TokenKind.PIECE and "?//" in token.text for token in tokens)
    return expression if is_in_text else expression.replace("?//", "? //")  # jq 1.5 has no operator `?//`


def _faults(tokens: Sequence[JqToken]) -> Iterator[str]:
    names = [token.text for token in tokens if token.kind is TokenKind.NAME]
    own = {after.text for token, after in pairwise(tokens) if token.text == "def"}
    if names.count("if") > names.count("else"):
        yield "requires an `else`"
    if operator := newer_object_operator(tokens):
        yield f"needs parentheses around a value with `{operator}` in an object"
    if "scan" in set(_called_with_two(tokens)) - own:
        yield "has no `scan` with 2 arguments"
    padded = (_NOTHING, _NOTHING, *tokens, _NOTHING)
    for window in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        if window[2].text not in own:
            yield from _faults_at(*window)


def _faults_at(value: JqToken, before: JqToken, token: JqToken, after: JqToken) -> Iterator[str]:
    """Yield the faults of a token. `value` and `before` are the tokens before it."""
    match token.kind:
        case TokenKind.NAME | TokenKind.FORMAT:
            yield from _faults_of_name(token.text, has_arguments=after.text == "(")
        case TokenKind.VARIABLE:
            yield from _faults_of_variable(token.text, is_key=before.text in {"{", ","} and after.text == ":")
        case TokenKind.FIELD if _EXPONENT.fullmatch(token.text):
            dot = "" if before.kind in _ENDS_OF_VALUES else "."
            yield f'reads `{token.text}` as an invalid number: write `{dot}["{token.text[1:]}"]` for a field'
        case TokenKind.OPEN if token.text == "[" and before.text == ".":
            if value.kind in _ENDS_OF_VALUES or value.text == "?":
                yield "does not accept `.[` after a value: write `[`"


def _called_with_two(tokens: Sequence[JqToken]) -> Iterator[str]:
    """Yield the names of functions that are called with two or more arguments."""
    called: dict[int, str] = {}  # by the depth of the arguments
    for before, token in pairwise(tokens):
        if token.kind is TokenKind.OPEN:
            called[token.depth + 1] = before.text if token.text == "(" else ""
        elif token.kind is TokenKind.OPERATOR and token.text == ";":
            yield called.get(token.depth, "")


def _faults_of_name(name: str, *, has_arguments: bool) -> Iterator[str]:
    if name in _LACKING or name.startswith(_PRIVATE):
        yield f"has no `{name}`"
    if has_arguments and name in _WITHOUT_ARGUMENTS:
        yield f"has no `{name}` with 1 argument"
    if not has_arguments and name in _CRASHING:
        yield f"may crash on `{name}`"


def _faults_of_variable(name: str, *, is_key: bool) -> Iterator[str]:
    if name == "$ENV":
        yield "has no `$ENV`: write `env`"
    if name[1:].startswith(_PRIVATE):
        yield f"has no `{name}`"
    if is_key:
        yield f"needs parentheses around the key `{name}`"
