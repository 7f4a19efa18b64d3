"""What jq 1.8 does here and Port's engine may not do: found in expressions without running them.

Port's engine is built on a jq between 1.7.1 and 1.8; docs/reference/templates.md lists the differences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from port_hook_cli.actions.jq_tokens import JqToken, TokenKind, jq_tokens
from port_hook_cli.actions.template_braces import BadTemplate, requote
from port_hook_cli.actions.templates import prepare

_MISSING = "Port's jq may not have it; the expression is null in Port then"
_TRIMSTR = ("trimstr", _MISSING)
_TOBOOLEAN = ("toboolean", _MISSING)
_TIMES = ("*", "text times 0 is null in Port, and an empty string here")
_ZONE = ('strftime("%Z")', "Port's jq may write another name of the time zone")
_ANY_OF_THEM = re.compile(r"trimstr|toboolean|strftime|\*")
_ZONE_NAME = re.compile(r"(?<!%)(?:%%)*%Z")
_NOTHING = JqToken(TokenKind.OPERATOR, "")


@dataclass(frozen=True, slots=True)
class JqDifference:
    """A function or operator of an `expression` whose result may differ in Port. `effect` says what Port does."""

    expression: str
    function: str
    effect: str

    @property
    def message(self) -> str:
        """The difference as a phrase."""
        return f"{{{{ {self.expression.strip()} }}}} uses {self.function}: {self.effect}"


def template_differences(template: Any) -> tuple[JqDifference, ...]:
    """Return the differences in the expressions of a template, each once; none for one that is nested too deep."""
    try:
        expressions = prepare(template).expressions
    except BadTemplate:
        return ()
    return jq_differences(expressions)


def jq_differences(expressions: Iterable[str]) -> tuple[JqDifference, ...]:
    """Return the differences in expressions, each once.

    Strings and comments do not count, nor does a function that the expression defines itself. A value that is only
    known at run time, such as the format of `strftime($format)`, is not found.
    """
    return tuple(
        JqDifference(expression, function, effect)
        for expression in dict.fromkeys(expressions)
        if _ANY_OF_THEM.search(expression)
        for function, effect in dict.fromkeys(_found(tuple(jq_tokens(requote(expression)))))
    )


def _found(tokens: Sequence[JqToken]) -> Iterator[tuple[str, str]]:
    own = {after.text for token, after in pairwise(tokens) if token.text == "def"}
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else _NOTHING
        after = tokens[index + 1] if index + 1 < len(tokens) else _NOTHING
        if token.kind is TokenKind.OPERATOR and token.text in {"*", "*="} and _may_be_text_times_0(before, after):
            yield _TIMES
        if token.kind is not TokenKind.NAME or token.text in own:
            continue
        if token.text == "trimstr" and after.text == "(":
            yield _TRIMSTR
        elif token.text == "toboolean" and after.text != "(":
            yield _TOBOOLEAN
        elif token.text == "strftime" and after.text == "(" and _has_zone(tokens[index + 2 :], after.depth):
            yield _ZONE


def _may_be_text_times_0(left: JqToken, right: JqToken) -> bool:
    """Whether a literal text is multiplied by 0 or an unknown number, or something unknown by a literal 0."""
    texts = (left.kind is TokenKind.STRING_END, right.kind is TokenKind.STRING_START)
    numbers = [float(each.text) for each in (left, right) if each.kind is TokenKind.NUMBER]
    if len(numbers) == 1:
        return not numbers[0]
    is_negative = right.text == "-"  # null in both
    return any(texts) and not all(texts) and not is_negative


def _has_zone(tokens: Iterable[JqToken], depth: int) -> bool:
    """Whether the text of an argument, up to its closing bracket at `depth`, has a `%Z`."""
    for token in tokens:
        if token.kind is TokenKind.CLOSE and token.depth == depth:
            return False
        if token.kind is TokenKind.PIECE and _ZONE_NAME.search(token.text):
            return True
    return False
