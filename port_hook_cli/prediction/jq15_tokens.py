"""Splits an expression into tokens, like jq 1.5's lexer.l."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import field, replace
from typing import Any

from port_hook_cli.frozen import frozen

_NAME = "[A-Za-z_][A-Za-z_0-9]*"
KEYWORDS = frozenset(
    {
        "and", "as", "break", "catch", "def", "elif", "else", "end", "foreach", "if", "import", "include", "label",
        "module", "or", "reduce", "then", "try", "__loc__",
    }
)  # fmt: skip
# The patterns are in the order of lexer.l. The longest match wins. If several matches have the same length, the first
# pattern wins. So `.e1` is a number.
_PATTERNS = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("SPACE", r"\#[^\r\n]*"),
        ("OP", r"!=|==|//=|//|[|+\-*/%]=|<=|>=|\.\.|[.?=;,:|+\-*/%$<>\[\](){}]"),
        ("FORMAT", "@[A-Za-z0-9_]+"),
        ("NUMBER", r"[0-9.]+(?:[eE][+-]?[0-9]+)?"),
        ("QUOTE", '"'),
        ("NAME", f"(?:{_NAME}::)*{_NAME}"),
        ("FIELD", rf"\.{_NAME}"),
        ("SPACE", r"[ \n\t]+"),
    )
)
_TEXT = re.compile(
    r'(?P<INTO>\\\()|(?P<QUOTE>")|(?P<ESCAPES>(?:\\[^u(]|\\u[a-zA-Z0-9]{0,4})+)|(?P<PLAIN>[^\\"]+)', re.DOTALL
)
_NUMBER = re.compile(r"[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?")
_INTO = "\\("
_CLOSING = {"(": ")", "[": "]", "{": "}", _INTO: ")"}


class TooDeep(Exception):
    """The expression is nested too deeply to be parsed here."""


class NotJq15(Exception):
    """jq 1.5 cannot compile the expression. The message is a phrase about jq 1.5, such as "has no `walk`"."""


@frozen
class Jq15Token:
    """A token in a line of the expression. `value` is set for a number and for a piece of text."""

    kind: str
    text: str
    line: int
    value: Any = field(default=None, compare=False)


def jq15_tokens(expression: str) -> Iterator[Jq15Token]:
    """Yield the tokens of an expression. Raises NotJq15.

    The kinds of tokens are the kinds in lexer.l (_PATTERNS), PIECE (a piece of text), INTO and OUT (the start and the
    end of an expression inside a text), and END.
    """
    position, line = 0, 1
    opened: list[str] = []
    while position < len(expression):
        is_text = bool(opened) and opened[-1] == '"'
        kind, text = _text_at(expression, position) if is_text else _code_at(expression, position)
        position += len(text)
        if kind != "SPACE":
            yield _nested(_token(kind, text, line), opened)
        line += text.count("\n")
    if opened and opened[-1] == '"':
        raise NotJq15("needs a closing quote")
    yield Jq15Token("END", "", line)


def _nested(token: Jq15Token, opened: list[str]) -> Jq15Token:
    """Return a token, and record in `opened` what the token opens or closes. Raises NotJq15."""
    if token.kind == "QUOTE" and opened and opened[-1] == '"':
        opened.pop()
    elif token.kind in {"QUOTE", "INTO"} or (token.kind == "OP" and token.text in _CLOSING):
        opened.append(token.text)
    elif token.kind == "OP" and token.text in {")", "]", "}"}:
        if not opened or _CLOSING[opened[-1]] != token.text:
            raise NotJq15(f"does not expect `{token.text}` there")
        if opened.pop() == _INTO:
            return replace(token, kind="OUT")
    return token


def _code_at(expression: str, position: int) -> tuple[str, str]:
    found = [(kind, match[0]) for kind, pattern in _PATTERNS if (match := pattern.match(expression, position))]
    if not found:
        raise NotJq15(f"does not know the character {expression[position]!r}")
    return max(found, key=lambda each: len(each[1]))


def _text_at(expression: str, position: int) -> tuple[str, str]:
    match = _TEXT.match(expression, position)
    if match is None:
        raise NotJq15("does not know an escape in a text")
    return str(match.lastgroup), match[0]


def _token(kind: str, text: str, line: int) -> Jq15Token:
    if kind == "NAME" and text in KEYWORDS:
        return Jq15Token("WORD", text, line)
    if kind == "NUMBER":
        if not _NUMBER.fullmatch(text):
            raise NotJq15(f'reads `{text}` as a number, which it is not: write `["{text.lstrip(".")}"]` for a field')
        return Jq15Token(kind, text, line, float(text))
    if kind == "ESCAPES":
        try:
            value = json.loads(f'"{text}"')
        except ValueError:
            raise NotJq15("does not know an escape in a text") from None
        if re.search("[\ud800-\udbff]", value):
            raise NotJq15("does not know half of a surrogate pair in a text")
        return Jq15Token("PIECE", text, line, re.sub("[\udc00-\udfff]", "\ufffd", value))
    return Jq15Token("PIECE" if kind == "PLAIN" else kind, text, line, text)
