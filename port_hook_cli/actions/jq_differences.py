"""Find the jq 1.8 features in an expression whose result may differ in Port, without running the expression.

Port's engine is built on jq 1.7.1 or a version between 1.7.1 and 1.8. The names come from the list of changes in jq
1.8.0 (NEWS.md). Each was tried with 1.7.1 and with 1.8. docs/reference/templates.md lists the differences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from itertools import pairwise
from typing import Any

from port_hook_cli.actions.template_braces import BadTemplate, requote
from port_hook_cli.actions.templates import prepare
from port_hook_cli.frozen import frozen

_NAME = "[A-Za-z_][A-Za-z_0-9]*"
_CODE = rf"""
    (?P<SPACE> [ \t\r\n]+ )
  | (?P<COMMENT> \# (?: [^\\\r\n] | \\(?:\r\n|[\\\r\n])? | \r(?!\n) )* )
  | (?P<FIELD> \.{_NAME} )
  | (?P<FORMAT> @[A-Za-z0-9_]+ )
  | (?P<VARIABLE> \$(?:{_NAME}::)*{_NAME} )
  | (?P<NUMBER> (?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)? )
  | (?P<NAME> (?:{_NAME}::)*{_NAME} )
  | (?P<OPEN> [(\[{{] )
  | (?P<CLOSE> [)\]}}] )
  | (?P<QUOTE> " )
  | (?P<OPERATOR> \?//=? | //=? | [!=<>|+\-*/%]= | \.\. | . )
    """
_TEXT = r'(?P<PIECE> (?:[^"\\]|\\[^(])+ ) | (?P<INTO> \\\( ) | (?P<QUOTE> " )'
_STRING = '"'
_INTERPOLATION = "\\("
_CLOSING = {"(": ")", "[": "]", "{": "}", _INTERPOLATION: ")"}


class TokenKind(Enum):
    """The kinds of tokens."""

    FIELD = auto()
    FORMAT = auto()
    VARIABLE = auto()
    NUMBER = auto()
    NAME = auto()
    """A function, parameter or keyword."""
    KEY = auto()
    """A name that is the key of an object or of an object pattern."""
    OPEN = auto()
    CLOSE = auto()
    OPERATOR = auto()
    STRING_START = auto()
    PIECE = auto()
    """The raw text of a string, with its escapes."""
    STRING_END = auto()


@frozen
class JqToken:
    """A token and its text. `depth` is the number of open brackets and strings around the token."""

    kind: TokenKind
    text: str
    depth: int = 0


def jq_tokens(program: str) -> Iterator[JqToken]:
    """Yield the tokens of a program, without whitespace and comments. At invalid jq, the tokens end early."""
    lexer, position = _Lexer(), 0
    while position < len(program):
        match = lexer.pattern.match(program, position)
        if match is None:
            return
        position = match.end()
        try:
            token = lexer.token(str(match.lastgroup), match.group())
        except _Unbalanced:
            return
        if token is not None:
            yield token


class _Unbalanced(Exception):
    """A closing bracket has no opening bracket."""


class _Lexer:
    """Splits a program into tokens. Holds a stack of the open brackets and strings, with the innermost last."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._last = ""

    @property
    def pattern(self) -> re.Pattern[str]:
        """The pattern for the next token: code, or the text of a string."""
        return re.compile(_TEXT if self._is_in(_STRING) else _CODE, re.VERBOSE | re.DOTALL)

    def token(self, group: str, text: str) -> JqToken | None:
        """Return the token for a match of `group`, or None if the text is not a token. Raises _Unbalanced."""
        if group in {"SPACE", "COMMENT"}:
            return None
        token = self._token(group, text)
        self._last = text
        return token

    def _token(self, group: str, text: str) -> JqToken:
        match group:
            case "QUOTE" if self._is_in(_STRING):
                self._open.pop()
                return self._made(TokenKind.STRING_END, text)
            case "QUOTE" | "OPEN" | "INTO":
                token = self._made(TokenKind.STRING_START if group == "QUOTE" else TokenKind.OPEN, text)
                self._open.append(text)
                return token
            case "CLOSE":
                return self._closed(text)
            case "NAME" if self._is_in("{") and self._last in {"{", ","}:
                return self._made(TokenKind.KEY, text)
            case _:
                return self._made(TokenKind[group], text)

    def _closed(self, text: str) -> JqToken:
        if not self._open or _CLOSING[self._open[-1]] != text:
            raise _Unbalanced
        self._open.pop()
        return self._made(TokenKind.CLOSE, text)

    def _is_in(self, bracket: str) -> bool:
        return bool(self._open) and self._open[-1] == bracket

    def _made(self, kind: TokenKind, text: str) -> JqToken:
        return JqToken(kind, text, len(self._open))


_MISSING = "Port's jq may not have it. The expression is then null in Port"
_NEWER = {
    **dict.fromkeys(("trim", "ltrim", "rtrim", "toboolean", "have_decnum", "have_literal_numbers"), False),
    **dict.fromkeys(("trimstr", "add", "skip"), True),
}
"""The functions that jq 1.8 added, and whether they have arguments. `add` without an argument is older."""
_NEWER_FORMAT = "@urid"
_OBJECT_VALUE = (
    "an object value without parentheses",
    "Port's jq may accept only {key: (value)}. The expression is then null in Port",
)
_OBJECT_OPERATOR = re.compile(r"[+\-*/%<>=]|//=?|[!=<>|+\-*/%]=")
_OBJECT_KEYWORDS = frozenset({"and", "or", "if", "try", "reduce", "foreach"})
_TIMES = ("*", "text times 0 is null in Port, and an empty string here")
_ZONE = ('strftime("%Z")', "Port's jq may write another name of the time zone")
_ANY_OF_THEM = rf"{'|'.join(_NEWER)}|{_NEWER_FORMAT}|strftime|\*|:"
_ZONE_NAME = r"(?<!%)(?:%%)*%Z"
_NOTHING = JqToken(TokenKind.OPERATOR, "")


@frozen
class JqDifference:
    """A function or operator of an `expression` whose result may differ in Port. `effect` describes what Port does."""

    expression: str
    function: str
    effect: str

    @property
    def message(self) -> str:
        """The difference as a phrase."""
        return f"{{{{ {self.expression.strip()} }}}} uses {self.function}: {self.effect}"


def template_differences(template: Any) -> tuple[JqDifference, ...]:
    """Return the differences in a template's expressions, without duplicates, or nothing for very deep templates."""
    try:
        expressions = prepare(template).expressions
    except BadTemplate:
        return ()
    return jq_differences(expressions)


def jq_differences(expressions: Iterable[str]) -> tuple[JqDifference, ...]:
    """Return the differences in expressions, without duplicates.

    Strings, comments and functions that the expression itself defines do not count. A value that is known only at run
    time, such as the format in `strftime($format)`, is not checked.
    """
    return tuple(
        JqDifference(expression, function, effect)
        for expression in dict.fromkeys(expressions)
        if re.search(_ANY_OF_THEM, expression)
        for function, effect in dict.fromkeys(_found(tuple(jq_tokens(requote(expression)))))
    )


def _found(tokens: Sequence[JqToken]) -> Iterator[tuple[str, str]]:
    if newer_object_operator(tokens):
        yield _OBJECT_VALUE
    own = {after.text for token, after in pairwise(tokens) if token.text == "def"}
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else _NOTHING
        after = tokens[index + 1] if index + 1 < len(tokens) else _NOTHING
        if token.kind is TokenKind.OPERATOR and token.text in {"*", "*="} and _may_be_text_times_0(before, after):
            yield _TIMES
        if token.kind is TokenKind.FORMAT and token.text == _NEWER_FORMAT:
            yield (_NEWER_FORMAT, _MISSING)
        if token.kind is not TokenKind.NAME or token.text in own:
            continue
        if _NEWER.get(token.text) is (after.text == "("):
            yield (token.text, _MISSING)
        elif token.text == "strftime" and after.text == "(" and _has_zone(tokens[index + 2 :], after.depth):
            yield _ZONE


def newer_object_operator(tokens: Sequence[JqToken]) -> str:
    """Return the first operator or keyword in an object's value that jq 1.7.1 only accepts in parentheses, or ""."""
    in_value: dict[int, bool] = {}  # by the depth of the tokens in an open object
    for before, token in pairwise((_NOTHING, *tokens)):
        if token.text == "{" and token.kind is TokenKind.OPEN:
            in_value[token.depth + 1] = False
        elif token.text == "}" and token.kind is TokenKind.CLOSE:
            in_value.pop(token.depth + 1, None)
        elif token.depth in in_value:
            if token.text in {":", ","} and token.kind is TokenKind.OPERATOR:
                in_value[token.depth] = token.text == ":"
            elif in_value[token.depth] and _is_newer_in_an_object(before, token):
                return token.text
    return ""


def _is_newer_in_an_object(before: JqToken, token: JqToken) -> bool:
    if token.kind is TokenKind.NAME:
        return token.text in _OBJECT_KEYWORDS
    is_negation = token.text == "-" and before.text in {":", "|"}
    is_binary = token.kind is TokenKind.OPERATOR and _OBJECT_OPERATOR.fullmatch(token.text) is not None
    return is_binary and not is_negation


def _may_be_text_times_0(left: JqToken, right: JqToken) -> bool:
    """Return whether literal text is multiplied by 0 or an unknown number, or an unknown value is multiplied by 0."""
    texts = (left.kind is TokenKind.STRING_END, right.kind is TokenKind.STRING_START)
    numbers = [float(each.text) for each in (left, right) if each.kind is TokenKind.NUMBER]
    if len(numbers) == 1:
        return not numbers[0]
    is_negative = right.text == "-"  # jq returns null for a negative number in both versions
    return any(texts) and not all(texts) and not is_negative


def _has_zone(tokens: Iterable[JqToken], depth: int) -> bool:
    """Return whether the text of an argument contains `%Z`. The argument ends at its closing bracket at `depth`."""
    for token in tokens:
        if token.kind is TokenKind.CLOSE and token.depth == depth:
            return False
        if token.kind is TokenKind.PIECE and re.search(_ZONE_NAME, token.text):
            return True
    return False
