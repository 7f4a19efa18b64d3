"""What is wrong with a text that is not JSON, in JSON's words, and at which line and column."""

from __future__ import annotations

import re
from functools import cached_property
from json import JSONDecodeError
from typing import Literal, TypeAlias

_NOT_SPACE = re.compile(r"[^ \t\n\r]|\Z")
_MARKS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[][{}]', re.DOTALL)
_CLOSERS = {"{": "}", "[": "]"}
_NO_VALUE = frozenset({"", ",", ":", "]", "}"})
_EMPTY = "it is empty"


Wanted: TypeAlias = Literal["key", "colon", "value", "delimiter", "end"]
"""What JSON requires where the text has something else."""


class JsonFault:
    """The first error in a text. Its string is a clause, such as `unexpected text at line 1, column 3`.

    `position` is where something else was `wanted`, or the whitespace before it. Most callers only need to know that
    the text is not JSON, so the rest is computed later.
    """

    def __init__(self, wanted: Wanted, text: str, position: int, reason: str = "") -> None:
        self._wanted, self._text, self._given_reason = wanted, text, reason
        self._before = text[:position].rstrip(" \t\n\r")[-1:]
        found = None if reason else _NOT_SPACE.search(text, position)
        self._at = found.start() if found else position

    @classmethod
    def of(cls, error: JSONDecodeError) -> JsonFault:
        """Return the fault that Python's parser found."""
        for start, wanted, offset, reason in _PYTHON:
            if error.msg.startswith(start):
                return cls(wanted, error.doc, error.pos + offset, reason)
        return cls("value", error.doc, error.pos)

    def __str__(self) -> str:
        return self.reason if self.reason == _EMPTY else f"{self.reason} at line {self.line}, column {self.column}"

    @property
    def line(self) -> int:
        """The line of the error, counted from 1."""
        return self._text.count("\n", 0, self._at) + 1

    @property
    def column(self) -> int:
        """The column of the error in characters, counted from 1."""
        return self._at - self._text.rfind("\n", 0, self._at)

    @cached_property
    def reason(self) -> str:
        """The error without its place, as a clause."""
        found = self._text[self._at : self._at + 1]
        if self._given_reason or (self._wanted == "value" and found == '"'):
            return self._given_reason or _OPEN_STRING
        if self._wanted == "colon" or (self._wanted == "key" and found == '"'):
            return "a colon must follow the key"
        if self._wanted == "key":
            is_bare = found not in _NO_VALUE
            return "a key must be in double quotes" if is_bare else f'a key must follow "{self._before}"'
        if self._wanted == "value" and found in _NO_VALUE and (self._before or not found):
            return f'a value must follow "{self._before}"' if self._before else _EMPTY
        if self._wanted == "delimiter":
            return f'{"a comma or " if found else ""}"{self._closer()}" is missing'
        return "unexpected text"

    def _closer(self) -> str:
        opened: list[str] = []
        for mark in _MARKS.finditer(self._text, 0, self._at):
            if mark[0] in _CLOSERS:
                opened.append(_CLOSERS[mark[0]])
            elif mark[0] in "]}" and opened:
                opened.pop()
        return opened[-1] if opened else "]"


_OPEN_STRING = "a string has no closing quotation mark"
# The beginning of a message of Python's parser, what is wanted how many characters after its position, and the reason
# for errors inside strings.
_PYTHON: tuple[tuple[str, Wanted, int, str], ...] = (
    ("Expecting property name", "key", 0, ""),
    ("Illegal trailing comma before end of object", "key", 1, ""),
    ("Illegal trailing comma", "value", 1, ""),
    ("Expecting ':'", "colon", 0, ""),
    ("Expecting ','", "delimiter", 0, ""),
    ("Extra data", "end", 0, ""),
    ("Unterminated string", "value", 0, _OPEN_STRING),
    ("Invalid control character", "value", 0, "a string contains a control character"),
    ("Invalid \\", "value", 0, "a string contains an invalid escape"),
)
