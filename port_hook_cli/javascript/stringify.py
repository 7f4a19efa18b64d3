"""JSON in the format of Node.js: `JSON.stringify(JSON.parse(text), null, indent)`, byte for byte.

Handlers in Node.js serialize a body again before they verify it, so Port signs this form. The rules are in ECMA-262:
SerializeJSONProperty, QuoteJSONString, Number::toString and the order of OrdinaryOwnPropertyKeys.

The text is read once, without recursion and without building a tree. Each value becomes a piece of the result
immediately after it is read. Only an object whose keys JavaScript orders differently is assembled again, from the same
pieces without copying them. So the time is proportional to the length of the text, even if it is deeply nested.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, TypeAlias, cast

if TYPE_CHECKING:  # imported only to describe an error
    from port_hook_cli.javascript.json_fault import JsonFault, Wanted

MAX_DEPTH = 4_000
"""The maximum number of levels to read. Node's JSON.stringify runs out of stack between 3,000 and 5,000 levels."""

MAX_CHARACTERS = 2**29 - 24
"""The length of the longest string that V8 supports. `stringify` never returns a longer text."""

MAX_INDENT = 10
"""The maximum number of characters of an indent that JSON.stringify uses."""

_SPACE = r"[ \t\n\r]*+"
_STRING = r'"[^"\\\x00-\x1f\ud800-\udfff]*+"'
_NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+"
# A whole number of up to 15 digits is the same in Python and JavaScript, so it is copied unchanged.
_SAME = rf"{_STRING}|true|false|null|(?:0|-?[1-9][0-9]{{0,14}}+)(?![0-9.eE])"
_value_at = re.compile(rf'{_SPACE}(?:({_SAME})|({_NUMBER})|(")|(\[)|(\{{))').match
_key_at = re.compile(rf'{_SPACE}(?:({_STRING}){_SPACE}:|("))').match
_colon_at = re.compile(rf"{_SPACE}:").match
_delimiter_at = re.compile(rf"{_SPACE}([,\]}}])").match
_end_at = re.compile(rf"{_SPACE}\Z").match
_index = re.compile(r'"(0|[1-9][0-9]{0,9})"').fullmatch

_SAME_AS_READ, _OTHER_NUMBER, _ESCAPED_STRING, _ARRAY, _OBJECT = 1, 2, 3, 4, 5
_MAX_INDEX = 2**32 - 2
_string_at = JSONDecoder().raw_decode
_AFTER_DIGITS = '":'
_SURROGATE = "[\ud800-\udfff]"
_PAIR = "[\ud800-\udbff][\udc00-\udfff]"
Piece: TypeAlias = "str | list[Piece]"


class NotJson(ValueError):
    """JSON.parse or JSON.stringify would fail on the text: it is not JSON, is nested too deeply, or is too long.

    `syntax` is the error in a text that is not JSON.
    """

    def __init__(self, problem: str | JsonFault) -> None:
        super().__init__(problem)
        self.syntax = None if isinstance(problem, str) else problem

    def __str__(self) -> str:
        return f"not JSON: {self.fault}" if self.syntax else self.fault

    @property
    def fault(self) -> str:
        """The reason, for a sentence that already says that the text is not JSON."""
        return str(self.args[0])


def stringify(text: str, indent: str = "", *, limit: int = MAX_CHARACTERS) -> str:
    """Return `JSON.stringify(JSON.parse(text), null, indent)`.

    Raises NotJson if JSON.parse would throw an error, for more than `MAX_DEPTH` levels of nesting, and for a result of
    more than `limit` characters.
    """
    writer = _Writer(text, indent[:MAX_INDENT], limit)
    writer.write()
    result = "".join(_flat(writer.pieces) if writer.is_nested else cast("list[str]", writer.pieces))
    if len(result) > limit:
        raise NotJson(f"more than {limit} characters")
    return result


def _flat(pieces: list[Piece]) -> Iterator[str]:
    stack = [iter(pieces)]
    while stack:
        for piece in stack[-1]:
            if isinstance(piece, list):
                stack.append(iter(piece))
                break
            yield piece
        else:
            stack.pop()


class _Level:
    """An open container: where its pieces begin and, for an object, its keys and where each member begins."""

    # This is not a dataclass, because generating one would take a hundredth of the time of `port-hook sign`.
    __slots__ = ("closer", "keys", "start", "starts")

    def __init__(self, closer: str, start: int) -> None:
        self.closer = closer
        self.start = start
        self.keys: list[str] = []
        self.starts: list[int] = []

    @property
    def is_in_order(self) -> bool:
        """Whether JavaScript retains the order of the members: no key is repeated, and no key is an array index."""
        if len(set(self.keys)) < len(self.keys):
            return False
        # The keys are quoted. If all keys sort after the digits, no further comparison is needed.
        return not self.keys or min(self.keys) >= _AFTER_DIGITS or all(_index_of(key) is None for key in self.keys)


def _index_of(key: str) -> int | None:
    """Return the array index that a quoted key is (canonical, 0 to 2**32 - 2), or None if the key is not an index."""
    match = _index(key)
    index = int(match[1]) if match else None
    return index if index is not None and index <= _MAX_INDEX else None


class _Writer:
    """Writes one text as pieces.

    Each piece in a container begins with a comma. At the end, the first comma is removed.
    """

    def __init__(self, text: str, indent: str, limit: int) -> None:
        self.text = text
        self.position = 0
        self.pieces: list[Piece] = []
        self.is_nested = False
        self.lead = ""
        self.levels: list[_Level] = []
        self.indent = indent
        self.colon = ": " if indent else ":"
        self.breaks = ["\n" if indent else ""]
        self.room = limit

    def write(self) -> None:
        self._value()
        while self.levels:
            match = _delimiter_at(self.text, self.position)
            if match is None:
                raise self._syntax_error("delimiter")
            self.position = match.end()
            if match[1] == ",":
                self._member()
                self._value()
            else:
                self._close(match[1])
        if not _end_at(self.text, self.position):
            raise self._syntax_error("end")

    def _value(self) -> None:
        """Read a value, or the beginning of a container up to its first value that is not a container."""
        while self._is_opening():
            self._member()

    def _is_opening(self) -> bool:
        match = _value_at(self.text, self.position)
        if match is None:
            raise self._syntax_error("value")
        self.position = match.end()
        kind = match.lastindex
        if kind == _SAME_AS_READ:
            self._put(match[1])
        elif kind == _OTHER_NUMBER:
            self._put(format_double(float(match[2])))
        elif kind == _ESCAPED_STRING:
            self._put(quote(self._string()))
        else:
            return self._open("[", "]") if kind == _ARRAY else self._open("{", "}")
        return False

    def _put(self, value: str) -> None:
        if self.indent:
            self.room -= len(self.lead) + len(value)
            if self.room < 0:
                raise NotJson("the indented text is too long")
        self.pieces.append(self.lead + value)

    def _open(self, opener: str, closer: str) -> bool:
        """Begin a container. Return whether the container has content."""
        match = _delimiter_at(self.text, self.position)
        if match and match[1] == closer:
            self.position = match.end()
            self._put(opener + closer)
            return False
        if len(self.levels) == MAX_DEPTH:
            raise NotJson(f"nested deeper than {MAX_DEPTH} levels")
        self._put(opener)
        self.levels.append(_Level(closer, len(self.pieces)))
        if len(self.breaks) == len(self.levels):
            self.breaks.append(self.breaks[-1] + self.indent)
        return True

    def _member(self) -> None:
        """Read the text before a value, and set `lead` to the text that will be written before the value."""
        level = self.levels[-1]
        self.lead = "," + self.breaks[len(self.levels)]
        if level.closer == "]":
            return
        match = _key_at(self.text, self.position)
        if match is None:
            raise self._syntax_error("key")
        self.position = match.end()
        key = match[1] or self._escaped_key()
        level.keys.append(key)
        level.starts.append(len(self.pieces))
        self.lead += key + self.colon

    def _escaped_key(self) -> str:
        key = quote(self._string())
        match = _colon_at(self.text, self.position)
        if match is None:
            raise self._syntax_error("colon")
        self.position = match.end()
        return key

    def _string(self) -> str:
        """Read a string whose opening quotation mark was already read, and return its value."""
        try:
            value, self.position = _string_at(self.text, self.position - 1)
        except JSONDecodeError as error:
            from port_hook_cli.javascript.json_fault import JsonFault

            raise NotJson(JsonFault.of(error)) from None
        return join_halves(value)

    def _close(self, closer: str) -> None:
        level = self.levels.pop()
        if level.closer != closer:
            self.position -= 1
            raise self._syntax_error("delimiter")
        if not level.is_in_order:
            self._order(level)
        else:
            self._without_comma(self.pieces, level.start)
        self.lead = self.breaks[len(self.levels)]
        self._put(closer)

    def _order(self, level: _Level) -> None:
        """Put the members into JavaScript's order: array indices first, and repeated keys in their first place."""
        members: dict[str, list[Piece]] = {}
        for key, start, end in zip(level.keys, level.starts, [*level.starts[1:], len(self.pieces)], strict=True):
            members[key] = self.pieces[start:end]
        indices = sorted((index, key) for key in members if (index := _index_of(key)) is not None)
        first = [members.pop(key) for _, key in indices]
        ordered: list[Piece] = [*first, *members.values()]
        self._without_comma(cast("list[Piece]", ordered[0]), 0)
        self.pieces[level.start :] = [ordered]
        self.is_nested = True

    @staticmethod
    def _without_comma(pieces: list[Piece], at: int) -> None:
        pieces[at] = cast("str", pieces[at])[1:]

    def _syntax_error(self, wanted: Wanted) -> NotJson:
        from port_hook_cli.javascript.json_fault import JsonFault

        return NotJson(JsonFault(wanted, self.text, self.position))


def format_double(value: float) -> str:
    """Return a double in the notation of JSON.stringify: the result of Number::toString, or `null` for an infinity.

    Python finds the same shortest digits that read back as `value`. Only the layout of the digits differs.
    """
    if value == 0:
        return "0"
    if math.isinf(value):
        return "null"
    digits, point = _digits(abs(value))
    return ("-" if value < 0 else "") + _lay_out(digits, point)


def _digits(value: float) -> tuple[str, int]:
    """Return the shortest digits of `value` and the position of the point: value = 0.DIGITS * 10**point."""
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(digits) - len(fraction) + int(exponent or 0)
    return digits.rstrip("0"), point


def _lay_out(digits: str, point: int) -> str:
    if len(digits) <= point <= 21:  # noqa: PLR2004 - the bounds of Number::toString
        return digits.ljust(point, "0")
    if 0 < point <= 21:  # noqa: PLR2004
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:  # noqa: PLR2004
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def quote(value: str) -> str:
    """Return `value` quoted by QuoteJSONString: with the escapes of Python's json, and lone surrogates escaped."""
    quoted = encode_basestring(value)
    # Only lone surrogates cannot be encoded. JavaScript escapes lone surrogates in the same way.
    if quoted.isascii() or not re.search(_SURROGATE, quoted):
        return quoted
    return quoted.encode("utf-8", "backslashreplace").decode()


def join_halves(value: str) -> str:
    """Return `value` with each surrogate pair joined into one character, because JavaScript's strings are UTF-16."""
    if value.isascii():
        return value
    return re.sub(_PAIR, lambda match: match[0].encode("utf-16", "surrogatepass").decode("utf-16"), value)
