"""Splits a jq program into tokens, so that strings and comments are not taken for code.

The rules are those of jq 1.8's lexer. A string is a token that opens it, its pieces of text, the tokens of the
expressions that `\\(…)` puts into it, and a token that closes it.
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
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_STRING = '"'
_INTERPOLATION = "\\("


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
    nesting: list[str] = []
    last = ""
    position = 0
    while position < len(program):
        in_text = bool(nesting) and nesting[-1] == _STRING
        match = (_TEXT if in_text else _CODE).match(program, position)
        if match is None:
            return
        position, kind, text = match.end(), str(match.lastgroup), match.group()
        if kind in {"SPACE", "COMMENT"}:
            continue
        if kind == "CLOSE":
            if not nesting or text != _CLOSING.get("(" if nesting[-1] == _INTERPOLATION else nesting[-1]):
                return
            if nesting.pop() != _INTERPOLATION:
                yield JqToken(TokenKind.CLOSE, text, len(nesting))
        elif kind == "INTO":
            nesting.append(_INTERPOLATION)
        elif kind == "QUOTE" and in_text:
            nesting.pop()
            yield JqToken(TokenKind.STRING_END, text, len(nesting))
        elif kind in {"QUOTE", "OPEN"}:
            yield JqToken(TokenKind.STRING_START if kind == "QUOTE" else TokenKind.OPEN, text, len(nesting))
            nesting.append(text)
        else:
            is_key = kind == "NAME" and bool(nesting) and nesting[-1] == "{" and last in {"{", ","}
            yield JqToken(TokenKind.KEY if is_key else TokenKind[kind], text, len(nesting))
        last = text
