"""What jq 1.5, which the agent's pyjq 2.6 contains, lacks, but port-hook's jq has. The agent's result is null.

Differences that depend on the data are not predicted. docs/reference/agent-mapping.md lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise, takewhile

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
_LACKING_WITH = {"add": 1, "debug": 1, "scan": 2}
"""The numbers of arguments with which jq 1.5 lacks functions that it otherwise has."""
_CRASHING = frozenset({"debug", "input", "inputs"})
"""Functions that read memory that pyjq has not set."""

DEFINITIONS = (
    "def leaf_paths: paths(scalars); def recurse_down: recurse; def __ph_join(text): join(text); "
    'def join(text): if any(.[]; type | . == "number" or . == "boolean") '
    'then error("jq 1.5 does not join numbers or booleans") else __ph_join(text) end; '
)
"""Functions that newer versions of jq removed or extended."""

_EXPONENT = re.compile(r"\.[eE][0-9]+")
_ENDS_OF_VALUES = frozenset({TokenKind.FIELD, TokenKind.VARIABLE, TokenKind.CLOSE, TokenKind.STRING_END})
_PRIVATE = "__ph_"  # the names that port-hook puts before an expression
_NOTHING = JqToken(TokenKind.OPERATOR, "")


def jq15_fault(expression: str) -> str:
    """Return why jq 1.5 cannot compile an expression, as a phrase such as "has no `walk`", or "" if none is known."""
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
    if names.count("if") > names.count("else"):
        yield "requires an `else`"
    if operator := newer_object_operator(tokens):
        yield f"needs parentheses around a value with `{operator}` in an object"
    own = {after.text for token, after in pairwise(tokens) if token.text == "def"}
    padded = (_NOTHING, _NOTHING, *tokens, _NOTHING)
    for index, token in enumerate(tokens):
        earlier, following = padded[index : index + 2], padded[index + 3 :]
        if token.kind in {TokenKind.NAME, TokenKind.FORMAT} and token.text not in own:
            yield from _faults_of_name(token, following)
        elif token.kind is TokenKind.VARIABLE:
            yield from _faults_of_variable(token, is_key=earlier[1].text in {"{", ","} and following[0].text == ":")
        elif token.kind is TokenKind.FIELD and _EXPONENT.fullmatch(token.text):
            yield f'reads `{token.text}` as a number, which it is not: write `["{token.text[1:]}"]` for a field'
        elif token.text == "[" and earlier[1].text == "." and _ends_a_value(earlier[0]):
            yield "does not know `.[` after a value: write `[`"


def _faults_of_name(token: JqToken, following: Sequence[JqToken]) -> Iterator[str]:
    count = _argument_count(token, following)
    if token.text in _LACKING or token.text.startswith(_PRIVATE):
        yield f"has no `{token.text}`"
    if count and count == _LACKING_WITH.get(token.text):
        yield f"has no `{token.text}` with {count} argument{'' if count == 1 else 's'}"
    if not count and token.text in _CRASHING:
        yield f"may crash on `{token.text}`"


def _argument_count(token: JqToken, following: Sequence[JqToken]) -> int:
    if following[0].text != "(":
        return 0
    inside = takewhile(lambda each: each.depth > token.depth, following[1:])
    return 1 + sum(each.text == ";" and each.depth == token.depth + 1 for each in inside)


def _faults_of_variable(token: JqToken, *, is_key: bool) -> Iterator[str]:
    if token.text == "$ENV":
        yield "has no `$ENV`: write `env`"
    if token.text[1:].startswith(_PRIVATE):
        yield f"has no `{token.text}`"
    if is_key:
        yield f"needs parentheses around the key {token.text}"


def _ends_a_value(token: JqToken) -> bool:
    return token.kind in _ENDS_OF_VALUES or token.text == "?"
