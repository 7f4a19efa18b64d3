"""Find the parts of text to replace, as edits: words, and groups of words such as URLs and email addresses.

A text may have layers: a JSON document has strings whose escapes are decoded, and a string may contain a document or
percent-encoding. An edit of decoded text becomes an edit of the surrounding text, in the notation of each character.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from port_hook_cli.captures.redaction.names import KEYS, VALUES
from port_hook_cli.captures.redaction.pseudonyms import HARMLESS, Pseudonyms
from port_hook_cli.invocations.targets import is_loopback


class Edit(NamedTuple):
    """An edit that replaces the characters from `start` to `end` with `new`."""

    start: int
    end: int
    new: str


Edits = Iterator[Edit]

_MOST_LAYERS = 8
_WORD = "[0-9A-Za-z\x80-\x84\x86-\x9f\xa1-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\U0010ffff]"
_SCHEMES = "https?|wss?|ftps?|sftp|ssh|git|postgres|postgresql|mysql|redis|rediss|amqps?|mongodb|s3|kafka|ldaps?|smtp"
_HEX = "[0-9A-Fa-f]"
_parts = re.compile(
    rf"""
    (?P<url>(?<![0-9A-Za-z])(?i:{_SCHEMES})://[^\s/?\#"'<>\\]{{1,300}}+)
    |(?P<run>(?<![0-9A-Za-z])(?:r_[0-9A-Za-z]{{16}}|wf(?:nr|r)_[0-9A-Za-z]{{1,95}}+|org_[0-9A-Za-z]{{4,40}}+)
        (?![0-9A-Za-z]))
    |(?P<uuid>(?<![0-9A-Za-z]){_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}(?![0-9A-Za-z]))
    |(?P<time>(?<![0-9A-Za-z])[0-9]{{4}}-[01][0-9]-[0-3][0-9][T\ ][0-2][0-9]:[0-5][0-9]
        (?::[0-6][0-9](?:[.,][0-9]{{1,9}}+)?+)?+(?:Z|[+-][01][0-9]:?[0-5][0-9])?+(?![0-9A-Za-z]))
    |(?P<day>(?<![0-9A-Za-z])[0-9]{{4}}-[01][0-9]-[0-3][0-9](?![0-9A-Za-z]))
    |(?P<mail>[\w.+%-]{{1,64}}+@(?:[\w-]{{1,63}}+\.){{1,8}}[\w-]{{2,63}}+)
    |(?P<address>(?<![0-9A-Za-z.])(?:[0-9]{{1,3}}\.){{3}}[0-9]{{1,3}}(?![0-9A-Za-z]))
    |(?P<word>{_WORD}++)
    """,
    re.VERBOSE,
).finditer
_NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+"
_VALUE = rf"(?:{_NUMBER}|true|false|null|NaN|-?Infinity)"
_is_between_strings = re.compile(
    rf"[\ufeff\s]*+(?:{_VALUE}\s*+)?+(?:[\[\]{{}},:]\s*+(?:{_VALUE}\s*+)?+)*+", re.ASCII
).fullmatch
_numbers = re.compile(_NUMBER).finditer
_strings = re.compile(r'"((?:[^"\\]|\\.)*+)"(\s*+:)?|"', re.DOTALL).finditer
_is_document = re.compile(rf'[\ufeff\s]*+(?:[\[{{]|(?:"(?:[^"\\]|\\.)*+"|{_VALUE})\s*+\Z)', re.ASCII | re.DOTALL).match
_indices = re.compile(r'"([1-9][0-9]{7,9})"\s*+:', re.ASCII).findall
_units = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[\"\\/bfnrt]|.", re.DOTALL
).findall
_SIMPLE = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_percent_units = re.compile(r"(?:%[0-9A-Fa-f]{2})+|[^%]+|%", re.DOTALL).findall
_has_percent = re.compile("%[0-9A-Fa-f]{2}").search
_has_letter = re.compile("[A-Za-z\x80-\U0010ffff]").search
_has_upper = re.compile("[A-F]").search
_host_and_port = re.compile(
    r"(?:(?P<user>.*)@)?(?P<host>\[[0-9A-Fa-f:.]*\]|[^:@]*)(?P<port>:[0-9]{0,5})?", re.DOTALL
).fullmatch
_UNIT = len("%41")


def applied(text: str, edits: Iterable[Edit]) -> str:
    """Apply the edits to `text`. The edits must be sorted by position."""
    pieces: list[str] = []
    position = 0
    for start, end, new in edits:
        pieces += (text[position:start], new)
        position = end
    return "".join([*pieces, text[position:]])


class Texts:
    """Finds the edits of texts, with the pseudonyms of one capture.

    With `narrow`, new characters exist in single-byte character sets. Without `is_checked`, serializers may write a
    redacted number differently than the original. `kept` are additional strings to leave unchanged.
    """

    def __init__(
        self,
        pseudonyms: Pseudonyms,
        *,
        narrow: bool = False,
        is_checked: bool = True,
        kept: frozenset[str] = frozenset(),
    ) -> None:
        self._pseudonyms, self._narrow, self._is_checked, self._kept = pseudonyms, narrow, is_checked, kept

    def redacted(self, text: str, words: frozenset[str] = frozenset()) -> str:
        """Return a value, such as a header's, with everything replaced except for the lowercase `words`."""
        return applied(text, self.value(text, words=words))

    def body(self, text: str) -> str:
        """Return the text of a body, which may be JSON, with everything replaced."""
        self._pseudonyms.order(_indices(text))
        return applied(text, self._document(text, 0) if _is_document(text) else self.text(text))

    def value(
        self, text: str, *, names: frozenset[str] = VALUES, words: frozenset[str] = frozenset(), layer: int = 0
    ) -> Edits:
        """Yield the edits of a whole string. A string that is one of `names` stays."""
        if text in names or text in self._kept or (len(text) <= HARMLESS and not _has_letter(text)):
            return
        bare = text.strip()
        if layer < _MOST_LAYERS and bare[:1] in {"[", "{"} and bare[-1:] in {"]", "}"}:
            yield from self._document(text, layer + 1)
        else:
            yield from self.text(text, words=words, layer=layer)

    def text(self, text: str, *, words: frozenset[str] = frozenset(), layer: int = 0) -> Edits:
        """Yield the edits of text that is not JSON. The lowercase `words` stay."""
        if layer < _MOST_LAYERS and "%" in text and _has_percent(text):
            units = list(_percent_characters(text))
            decoded = "".join(character for _, character in units)
            inner = self.text(decoded, words=words, layer=layer + 1)
            yield from _through([unit for unit, _ in units], decoded, inner, _percent_spelled)
            return
        for match in _parts(text):
            kind, start = match.lastgroup, match.start()
            if kind == "word":
                if match[0].lower() not in words:
                    yield Edit(start, match.end(), self._word(match[0]))
            elif kind != "time":
                assert kind is not None
                yield from self._moved(self._part(kind, match[0]), start)

    def authority(self, text: str) -> Edits:
        """Yield the edits of a host, with or without a user and a port. A name of this machine stays."""
        match = _host_and_port(text)
        if match is None:
            yield from self.text(text, layer=_MOST_LAYERS)
            return
        user, host = match["user"], match["host"]
        if user:
            yield from self._words(user, 0)
        start = match.start("host")
        if not host.isascii():  # a word keeps characters beyond ASCII, which serializers may escape
            yield from self._words(host, start)
        elif host and not is_loopback(host.strip("[]")):
            kind = "address" if re.fullmatch(r"[0-9.]+", host) else "host"
            yield Edit(start, start + len(host), self._pseudonyms.part(kind, host))

    def _part(self, kind: str, text: str) -> Edits:
        if kind == "url":
            scheme = text.index("://") + 3
            yield from self._moved(self.authority(text[scheme:]), scheme)
        elif kind == "run":
            start = text.index("_") + 1
            yield Edit(start, len(text), self._word(text[start:]))
        elif kind == "mail":
            domain = text.index("@") + 1
            yield from self._words(text[:domain], 0)
            yield from self._moved(self.authority(text[domain:]), domain)
        elif not is_loopback(text):
            yield Edit(0, len(text), self._pseudonyms.part(kind, text))

    def _document(self, text: str, layer: int) -> Edits:
        """Yield the edits of JSON, or of text that resembles JSON: in its strings, and in the text between them."""
        position = 0
        for match in _strings(text):
            if match[1] is None:  # this quotation mark, and all marks after it, open a string that does not end
                break
            yield from self._between(text[position : match.start()], position)
            names = KEYS if match[2] else VALUES
            yield from self._moved(self._string(match[1], names, layer), match.start(1))
            position = match.end()
        yield from self._between(text[position:], position)

    def _string(self, raw: str, names: frozenset[str], layer: int) -> Edits:
        if "\\" not in raw:
            yield from self.value(raw, names=names, layer=layer)
            return
        units = _units(raw)
        text = "".join(map(_character, units))
        yield from _through(units, text, self.value(text, names=names, layer=layer), _escaped)

    def _between(self, text: str, start: int) -> Edits:
        if not _is_between_strings(text):
            yield from self._moved(self.text(text), start)
            return
        for match in _numbers(text):
            if len(match[0]) > HARMLESS:
                new = self._pseudonyms.number(match[0], is_checked=self._is_checked)
                yield Edit(start + match.start(), start + match.end(), new)

    def _words(self, text: str, start: int) -> Edits:
        for match in re.finditer(f"{_WORD}++", text):
            yield Edit(start + match.start(), start + match.end(), self._word(match[0]))

    def _word(self, text: str) -> str:
        return self._pseudonyms.word(text, narrow=self._narrow)

    @staticmethod
    def _moved(edits: Edits, by: int) -> Edits:
        for start, end, new in edits:
            yield Edit(start + by, end + by, new)


def _through(units: Sequence[str], text: str, edits: Edits, spell: Callable[[str, str], str]) -> Edits:
    """Turn edits of decoded `text` into edits of the original text. `units` has an original part for each character.

    `spell` writes a character in the notation of a unit. If an edit changes the length, the first characters get the
    notations of the replaced characters, and the kind of the notation always fits: ASCII or non-ASCII.
    """
    starts = list(accumulate(map(len, units), initial=0))
    for start, end, new in edits:
        replaced = units[start:end]
        if len(new) != len(replaced):
            replaced = _spread(replaced, text[start:end], new)
        yield Edit(starts[start], starts[end], "".join(map(spell, new, replaced)))


def _spread(units: Sequence[str], text: str, new: str) -> list[str]:
    notations = {
        is_ascii: iter(
            [unit for unit, each in zip(units, text, strict=True) if each.isascii() is is_ascii and len(unit) > 1]
        )
        for is_ascii in (True, False)
    }
    return [next(notations[each.isascii()], each) for each in new]


def _character(unit: str) -> str:
    """Return the character that a unit of a JSON string stands for."""
    if not unit.startswith("\\u"):
        return _SIMPLE.get(unit[1:], unit[-1])
    first, second = int(unit[2:6], 16), unit[8:]
    return chr(0x10000 + ((first & 0x3FF) << 10) + (int(second, 16) & 0x3FF)) if second else chr(first)


def _escaped(character: str, unit: str) -> str:
    if not unit.startswith("\\u"):
        return character
    halves = character.encode("utf-16-be").hex()
    written = halves.upper() if _has_upper(unit) else halves
    return "".join(f"\\u{written[place : place + 4]}" for place in range(0, len(written), 4))


def _percent_characters(text: str) -> Iterator[tuple[str, str]]:
    """Yield the units of percent-encoded text, each with its character. Bytes that are not UTF-8 count as Latin-1."""
    for piece in _percent_units(text):
        if len(piece) < _UNIT or piece[0] != "%":
            yield from zip(piece, piece, strict=True)
            continue
        position = 0
        try:
            decoded, is_utf_8 = unquote_to_bytes(piece).decode(), True
        except UnicodeDecodeError:
            decoded, is_utf_8 = unquote_to_bytes(piece).decode("latin-1"), False
        for each in decoded:
            end = position + _UNIT * (len(each.encode()) if is_utf_8 else 1)
            yield piece[position:end], each
            position = end


def _percent_spelled(character: str, unit: str) -> str:
    if len(unit) == 1:
        return character
    is_single = len(unit) == _UNIT and not character.isascii()
    if is_single and character <= "\xff":
        written = f"%{ord(character):02X}"
    else:
        written = "".join(f"%{byte:02X}" for byte in character.encode())
    return written if _has_upper(unit) or not re.search("[a-f]", unit) else written.lower()
