"""The pseudonyms of one capture: words and numbers of the same length and kind, which are the same everywhere.

Pseudonyms are numbered in the order in which the originals are found, so they reveal only the length, case and kind of
an original. Different originals have different pseudonyms, so the keys of an object stay different.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from hashlib import shake_256

from port_hook_cli.captures.redaction.names import KEYS, VALUES
from port_hook_cli.javascript.stringify import NotJson, stringify
from port_hook_cli.signatures.same_document import compare_documents

HARMLESS = 7
"""The length up to which numbers, and texts without letters, are not replaced."""

_LETTERS = "zyxwvutsrqponmlkjihgfedcba"  # reversed, because real texts contain "abcdefgh"
_NARROW = "éèàâãäåæçêëìíîïðñòóôõö"  # has the same bytes in Latin-1, ISO 8859-15 and Windows-1252
_WIDE = "".join(map(chr, range(0x4E10, 0x4EF0)))
_ASTRAL = "".join(map(chr, range(0x1F600, 0x1F640)))
_TWO_BYTES, _THREE_BYTES = "\u07ff", "\uffff"
_MOST_INDEX = 2**32 - 2
_INDEX_DIGITS = 10
_EXACT_DIGITS = 15
_MOST_TRIES = 256
_MOST_CHECKED = 300
_PARTS: dict[str, Callable[[int], str]] = {
    "host": lambda number: f"host{number}.example.com",
    "uuid": lambda number: f"00000000-0000-4000-8000-{number:012x}",
    "address": lambda number: f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}",  # benchmarks (RFC 2544)
    "day": lambda number: f"{2001 + number // 336}-{number // 28 % 12 + 1:02}-{number % 28 + 1:02}",
}
_core = re.compile(r"[1-9](?:[0-9.]*[1-9])?").sub


class Pseudonyms:
    """Assigns pseudonyms, and remembers the pseudonyms assigned so far."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], str] = {}
        self._used: set[str] = {*KEYS, *VALUES}
        self._next: Counter[str] = Counter()

    def word(self, original: str, *, narrow: bool = False) -> str:
        """Return the pseudonym of a word. With `narrow`, all of its characters exist in single-byte character sets."""
        if original.isascii() and original.isdigit():
            return self._named("digits", original, lambda number: _digits(original, number), len(original))
        kind = "narrow" if narrow and max(original) > "\xff" else "word"
        return self._named(kind, original, lambda number: _letters(original, number, kind), len(original))

    def part(self, kind: str, original: str) -> str:
        """Return the pseudonym of a host, UUID, IPv4 address or date."""
        return self._named(kind, original.lower(), lambda number: _PARTS[kind](number + 1))

    def number(self, literal: str, *, is_checked: bool = True) -> str:
        """Return the pseudonym of a JSON number. With `is_checked`, serializers change both numbers in the same way."""
        if len(literal) <= HARMLESS:
            return literal
        if literal.isdigit() and len(literal) <= _EXACT_DIGITS:
            return self.word(literal)
        if ("number", literal) not in self._given:
            self._given["number", literal] = self._new_number(literal, is_checked=is_checked)
        return self._given["number", literal]

    def order(self, indices: Iterable[str]) -> None:
        """Assign pseudonyms to the keys that JavaScript sorts as numbers, so that they stay in the same order."""
        for index in sorted(indices):
            self.word(index)

    def _named(self, kind: str, original: str, make: Callable[[int], str], length: int = 0) -> str:
        while (kind, original) not in self._given:
            new = make(self._next[f"{kind}{length}"])
            self._next[f"{kind}{length}"] += 1
            if new not in self._used and new != original:
                self._given[kind, original] = new
                self._used.add(new)
        return self._given[kind, original]

    def _new_number(self, literal: str, *, is_checked: bool) -> str:
        wanted = _traits(literal) if is_checked and len(literal) <= _MOST_CHECKED else None
        new = literal
        for _ in range(_MOST_TRIES):
            self._next["number"] += 1
            guess = _other_digits(literal, self._next["number"])
            if guess != literal:
                new = guess
                if guess not in self._used and (wanted is None or _traits(guess) == wanted):
                    break
        self._used.add(new)
        return new


def _digits(original: str, number: int) -> str:
    """Return digits in the order of `number`. They are an array index in JavaScript only if `original` is."""
    length = len(original)
    if length <= HARMLESS:
        return str(number).rjust(length, "7")
    is_beyond = length == _INDEX_DIGITS and int(original) > _MOST_INDEX
    first = "0" if original[0] == "0" else "9" if is_beyond else "1"
    return first + ("7395" * length)[: length - HARMLESS - 1] + str(number).zfill(HARMLESS)


def _letters(original: str, number: int, kind: str) -> str:
    made = []
    for place, each in enumerate(original):
        alphabet = _LETTERS if each.isascii() else _NARROW if kind == "narrow" else _alphabet(each)
        number, digit = divmod(number, len(alphabet))
        made.append(
            alphabet[(digit + place) % len(alphabet)]
        )  # avoids runs of one character, which originals may contain
    text = "".join(made) + (str(number) if number else "")
    if original.isupper():
        return text.upper()
    return text.capitalize() if original[0].isupper() else text


def _alphabet(original: str) -> str:
    """Return characters with the same number of bytes in UTF-8 as `original`."""
    return _NARROW if original <= _TWO_BYTES else _WIDE if original <= _THREE_BYTES else _ASTRAL


def _other_digits(literal: str, seed: int) -> str:
    """Return a number in the same format, with other digits from its first to its last nonzero digit."""
    mantissa, mark, exponent = re.split("([eE][-+]?|$)", literal, maxsplit=1)
    digits = iter(shake_256(str(seed).encode()).digest(len(mantissa)))
    new = _core(lambda match: re.sub("[0-9]", lambda _: str(next(digits) % 9 + 1), match[0]), mantissa, count=1)
    return new + mark + (exponent if len(exponent) <= HARMLESS else "9" * len(exponent))


def _traits(literal: str) -> tuple[object, ...]:
    """Return how serializers change a number: whether its text stays the same, and whether its value does."""
    try:
        script, python = stringify(literal), json.dumps(json.loads(literal))
    except (NotJson, ValueError):
        return ()
    sent = literal.encode()
    compared = (compare_documents(sent, text.encode()) for text in (script, python))
    return len(literal), script == literal, python == literal, script == python, *compared
