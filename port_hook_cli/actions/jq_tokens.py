r"""Splits a jq program into tokens, so that strings and comments are not taken for code.

The rules are those of jq 1.8's lexer. A string is a token that opens it, its pieces of text, the tokens of the
expressions that `\(…)` puts into it, and a token that closes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

_NAME = "[A-Za-z_][A-Za-z_0-9]*"
_CODE = re.compile(
    rf"""
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
    """,
    re.VERBOSE | re.DOTALL,
)
_TEXT = re.compile(r'(?P<PIECE> (?:[^"\\]|\\[^(])+ ) | (?P<INTO> \\\( ) | (?P<QUOTE> " )', re.VERBOSE | re.DOTALL)
_STRING = '"'
_INTERPOLATION = "\\("
_CLOSING = {"(": ")", "[": "]", "{": "}", _INTERPOLATION: ")"}


class TokenKind(Enum):
    """What a token is. Brackets that hold an expression inside a string are not tokens."""

    FIELD = auto()
    FORMAT = auto()
    VARIABLE = auto()
    NUMBER = auto()
    NAME = auto()
    """A function, a parameter or a keyword."""
    KEY = auto()
    """A name that is the key of an object or of a pattern."""
    OPEN = auto()
    CLOSE = auto()
    OPERATOR = auto()
    STRING_START = auto()
    PIECE = auto()
    """Text of a string as it is written, with its escapes."""
    STRING_END = auto()


@dataclass(frozen=True, slots=True)
class JqToken:
    """A token and its text. `depth` counts the brackets and strings around it."""

    kind: TokenKind
    text: str
    depth: int = 0


def jq_tokens(program: str) -> Iterator[JqToken]:
    """Yield the tokens of a program, without white space and comments; ends early where the program is not valid jq."""
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
    """A closing bracket closes nothing."""


class _Lexer:
    """The brackets and strings that are open, the innermost last."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._last = ""

    @property
    def pattern(self) -> re.Pattern[str]:
        """What can come next: code, or the text of a string."""
        return _TEXT if self._is_in(_STRING) else _CODE

    def token(self, group: str, text: str) -> JqToken | None:
        """Return the token that a match of a group is, None for one that is not a token; raises _Unbalanced."""
        if group in {"SPACE", "COMMENT"}:
            return None
        token = self._token(group, text)
        self._last = text
        return token

    def _token(self, group: str, text: str) -> JqToken | None:
        match group:
            case "INTO":
                self._open.append(_INTERPOLATION)
                return None
            case "QUOTE" if self._is_in(_STRING):
                self._open.pop()
                return self._made(TokenKind.STRING_END, text)
            case "QUOTE" | "OPEN":
                token = self._made(TokenKind.STRING_START if group == "QUOTE" else TokenKind.OPEN, text)
                self._open.append(text)
                return token
            case "CLOSE":
                return self._closed(text)
            case "NAME" if self._is_in("{") and self._last in {"{", ","}:
                return self._made(TokenKind.KEY, text)
            case _:
                return self._made(TokenKind[group], text)

    def _closed(self, text: str) -> JqToken | None:
        if not self._open or _CLOSING[self._open[-1]] != text:
            raise _Unbalanced
        return None if self._open.pop() == _INTERPOLATION else self._made(TokenKind.CLOSE, text)

    def _is_in(self, bracket: str) -> bool:
        return bool(self._open) and self._open[-1] == bracket

    def _made(self, kind: TokenKind, text: str) -> JqToken:
        return JqToken(kind, text, len(self._open))
