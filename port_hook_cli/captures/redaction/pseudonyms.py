"""The pseudonyms of one capture: words and numbers of the same length and kind, which are the same everywhere.

Pseudonyms are numbered in the order in which the originals are found, so they reveal only the length, case and kind of
an original. Different originals have different pseudonyms, so the keys of an object stay different.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from itertools import count

from port_hook_cli.javascript.stringify import NotJson, format_double, stringify
from port_hook_cli.signatures.same_document import compare_documents

HARMLESS = 7
"""The length up to which numbers, and texts without letters, are not replaced."""

_LETTERS = "qzjkvxbhwpgyfmucdrlsnioate"
_LEADING = _LETTERS.replace("w", "")
_NARROW = "éèàâãäåæçêëìíîïðñòóôõö"  # has the same bytes in Latin-1, ISO 8859-15 and Windows-1252
_WIDE = "".join(map(chr, range(0x4E10, 0x4EF0)))
_ASTRAL = "".join(map(chr, range(0x1F600, 0x1F640)))
_TWO_BYTES, _THREE_BYTES = 0x7FF, 0xFFFF
_MOST_INDEX = 2**32 - 2
_INDEX_DIGITS = 10
_EXACT_DIGITS = 15
_SHORT = 3
_MOST_TRIES = 64
_MOST_CHECKED = 300
_MOST_COMPARED = 64
_is_pseudonym = re.compile(r"(?:host[0-9]{1,6}\.)?example\.com").fullmatch
_number = re.compile(r"(-?)([0-9]+)(?:(\.)([0-9]+))?([eE][-+]?)?([0-9]+)?").fullmatch


class Pseudonyms:
    """Assigns pseudonyms, and remembers the pseudonyms assigned so far."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], str] = {}
        self._used: set[str] = set()
        self._next: Counter[str] = Counter()

    def word(self, original: str, *, narrow: bool = False) -> str:
        """Return the pseudonym of a word. With `narrow`, all of its characters exist in single-byte character sets."""
        kind = "narrow" if narrow and max(original) > "\xff" else "word"
        return self._named(kind, original, lambda: self._new_word(original, narrow=narrow))

    def user(self, mail: str) -> str:
        """Return the pseudonym of an email address's local part."""
        name = self._named("mail", mail, lambda: f"user{self._number('mail')}")
        local = mail.partition("@")[0]
        return name + "".join(beyond_ascii(each) for each in local if not each.isascii())

    def host(self, original: str) -> str:
        """Return the pseudonym of a host."""

        def new() -> str:
            number = self._number("host")
            return "example.com" if number == 1 else f"host{number}.example.com"

        return original if _is_pseudonym(original) else self._named("host", original.lower(), new)

    def uuid(self, original: str) -> str:
        """Return the pseudonym of a UUID."""
        new = self._named("uuid", original.lower(), lambda: f"00000000-0000-4000-8000-{self._number('uuid'):012x}")
        return new.upper() if original.isupper() else new

    def address(self, original: str) -> str:
        """Return the pseudonym of an IPv4 address: an address for documentation (RFC 5737) or for benchmarks."""

        def new() -> str:
            number = self._number("address")
            return f"192.0.2.{number}" if number <= 255 else f"198.18.{number // 256 % 256}.{number % 256}"  # noqa: PLR2004

        return self._named("address", original, new)

    def day(self, original: str) -> str:
        """Return the pseudonym of a date."""
        return self._named("day", original, lambda: str(date(2001, 1, 1) + timedelta(self._number("day") % 300_000)))

    def number(self, literal: str, *, is_checked: bool = True) -> str:
        """Return the pseudonym of a JSON number. With `is_checked`, serializers change both numbers in the same way."""
        if len(literal) <= HARMLESS:
            return literal
        if literal.isdigit() and len(literal) <= _EXACT_DIGITS:
            return self.word(literal)
        return self._named("number", literal, lambda: self._new_number(literal, is_checked=is_checked))

    def order(self, indices: Iterable[str]) -> None:
        """Assign pseudonyms to the keys that JavaScript sorts as numbers, so that they stay in the same order."""
        by_length: dict[int, list[str]] = {}
        for index in sorted(set(indices)):
            if len(index) > HARMLESS and int(index) <= _MOST_INDEX and ("word", index) not in self._given:
                by_length.setdefault(len(index), []).append(index)
        for length, originals in by_length.items():
            start = next(
                start
                for start in count(10 ** (length - 1) + self._next[f"1{length}"] + 1, len(originals))
                if not any(str(start + rank) == original for rank, original in enumerate(originals))
            )
            for rank, original in enumerate(originals):
                self._given["word", original] = str(start + rank)
                self._used.add(str(start + rank))

    def _named(self, kind: str, original: str, new: Callable[[], str]) -> str:
        known = self._given.get((kind, original))
        if known is None:
            known = self._given[kind, original] = new()
        return known

    def _number(self, kind: str) -> int:
        self._next[kind] += 1
        return self._next[kind]

    def _new_word(self, original: str, *, narrow: bool) -> str:
        if original.isascii() and original.isdigit():
            kind, make = f"{min(original[0], '1')}{len(original)}", _digits
        elif original.isascii():
            kind, make = f"a{len(original)}", _letters
        else:
            kind, make = f"n{len(original)}", _mixed if narrow else _mixed_wide
        for attempt in count():
            new = make(self._next[kind], original)
            self._next[kind] += 1
            is_other = new not in self._used and new != original
            if is_other and (attempt >= _MOST_TRIES or not _is_like(new, original)):
                self._used.add(new)
                return new
        raise AssertionError  # `count` never ends

    def _new_number(self, literal: str, *, is_checked: bool) -> str:
        is_checked = is_checked and len(literal) <= _MOST_CHECKED
        wanted = _traits(literal) if is_checked else None
        first = ""
        for _ in range(_MOST_TRIES):
            new = _other_digits(literal, self._number("number"))
            first = first or new
            # If most digits are not the shortest form of a double, a double with all of its digits is the better guess.
            for guess in (new, format_double(float(new))) if is_checked else (new,):
                if guess not in self._used and guess != literal and (not is_checked or _traits(guess) == wanted):
                    self._used.add(guess)
                    return guess
        return first


def beyond_ascii(original: str) -> str:
    """Return another non-ASCII character with the same number of bytes in UTF-8 as `original`."""
    return _filler(_alphabet(original), original * HARMLESS)


def _alphabet(original: str) -> str:
    return _NARROW if original <= chr(_TWO_BYTES) else _WIDE if original <= chr(_THREE_BYTES) else _ASTRAL


def _letters(number: int, original: str) -> str:
    length = len(original)
    label = f"w{number + 1}"
    if length <= _SHORT:
        label = _in_letters(number, length) if number < len(_LETTERS) ** length else f"{'ghi'[length - 1]}{number}"
    elif len(label) <= length:
        label += _filler("xyzk", original) * (length - len(label))
    else:
        rest = number - 10 ** (length - 1) + 1
        top, low = divmod(rest, len(_LETTERS) ** (length - 1))
        label = _LEADING[top] + _in_letters(low, length - 1) if top < len(_LEADING) else f"j{number}"
    return _in_case_of(original, label)


def _in_letters(number: int, length: int) -> str:
    letters = ""
    for _ in range(length):
        number, place = divmod(number, len(_LETTERS))
        letters = _LETTERS[place] + letters
    return letters


def _digits(number: int, original: str) -> str:
    length = len(original)
    if length == 1:
        return str(number)
    is_beyond = length == _INDEX_DIGITS and int(original) > _MOST_INDEX
    first = "0" if original[0] == "0" else "9" if is_beyond else "1"
    return first + str(number + 1).rjust(length - 1, _filler("0358", original))


def _filler(fillers: str, original: str) -> str:
    """Return one of the `fillers` that doesn't form a long run in the original."""
    return next((each for each in fillers if each * HARMLESS not in original.lower()), fillers[0])


def _is_like(new: str, original: str) -> bool:
    """Return whether a pseudonym contains a part of the original that would reveal something."""
    part = HARMLESS + 1
    return any(new[start : start + part] in original for start in range(min(len(new), _MOST_COMPARED) - HARMLESS))


def _mixed(number: int, original: str, *, narrow: bool = True) -> str:
    """Return a word with non-ASCII characters, which are the digits of `number`. The ASCII letters are its label."""
    label, rest, made = iter(_letters(number, "a" * len(original))), number, []
    alphabets = {_NARROW if narrow else _alphabet(each) for each in set(original) if not each.isascii()}
    starts = {alphabet: alphabet.index(_filler(alphabet, original)) for alphabet in alphabets}
    for each in original:
        letter = next(label)
        if not each.isascii():
            alphabet = _NARROW if narrow else _alphabet(each)
            rest, place = divmod(rest, len(alphabet))
            letter = alphabet[(starts[alphabet] + place) % len(alphabet)]
        made.append(letter)
    return _in_case_of(original, "".join([*made, *label, *(str(rest) if rest else "")]))


def _mixed_wide(number: int, original: str) -> str:
    return _mixed(number, original, narrow=False)


def _in_case_of(original: str, label: str) -> str:
    if original.isupper():
        return label.upper()
    return label[0].upper() + label[1:] if original[0].isupper() else label


def _other_digits(literal: str, seed: int) -> str:
    """Return a number in the same format, with other digits from its first to its last nonzero digit."""
    match = _number(literal)
    if match is None:
        return literal
    sign, whole, point, fraction, mark, exponent = (part or "" for part in match.groups())
    digits = whole + fraction
    start, end = len(digits) - len(digits.lstrip("0")), len(digits.rstrip("0"))
    new, state = list(digits), seed * 2654435761 + 12345
    for place in range(start, end):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        is_outer = place in {start, end - 1}
        new[place] = str(1 + (state >> 33) % 9 if is_outer else (state >> 33) % 10)
    if len(exponent) > HARMLESS:
        exponent = "9" * len(exponent)
    text = "".join(new)
    return f"{sign}{text[: len(whole)]}{point}{text[len(whole) :]}{mark}{exponent}"


def _traits(literal: str) -> tuple[object, ...]:
    """Return how serializers change a number: whether its text stays the same, and whether its value does."""
    try:
        script, python = stringify(literal), json.dumps(json.loads(literal))
    except (NotJson, ValueError):
        return ()
    sent = literal.encode()
    compared = (compare_documents(sent, text.encode()) for text in (script, python))
    return len(literal), script == literal, python == literal, script == python, *compared
