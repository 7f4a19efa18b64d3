"""The plain form of a body, which every serializer writes identically, and the steps from it to the body.

A handler that parses the body and serializes it again before it verifies the signature rejects only bodies that its
serializer writes differently than Port. The plain form has none of these differences. It has no non-ASCII text, no
characters that some serializers escape, no unusual numbers, no empty objects and no whitespace, and its keys are
sorted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from enum import StrEnum
from typing import Any, NamedTuple

from port_hook_cli.frozen import frozen
from port_hook_cli.javascript.nesting import nests_too_deep, strict_json
from port_hook_cli.javascript.stringify import format_double, quote
from port_hook_cli.signatures.same_document import is_dense

MOST_BYTES = 2**17
"""The size limit in bytes for a body with a plain form. The plain form is computed for every request."""

_SMALLEST_PLAIN = 1e-4
_MOST_CHARACTERS = 16
_beyond_ascii = re.compile("[^\x00-\x7f\u2028\u2029]").sub
_escaped_for_html = re.compile("[/<>&'+]").sub
_invisible = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2028\u2029]").sub


class BodyFeature(StrEnum):
    """A feature that serializers write differently. The value completes "writes … differently than Port"."""

    TEXT = "non-ASCII text"
    PUNCTUATION = "the characters / < > & ' +"
    INVISIBLE = "control characters, U+2028 or U+2029"
    NUMBERS = "numbers such as 1e-7, 1e+21 or 0.00001"
    EMPTY_OBJECTS = "empty objects"
    ORDER = "the order of keys"
    NOTATION = "whitespace or escapes"


MAY_BE_DECODED = frozenset({BodyFeature.TEXT, BodyFeature.INVISIBLE})
"""The features that a wrong character set changes in the same way as a serializer."""


class Rung(NamedTuple):
    """One step from the plain form to the body.

    `feature` is the last feature added, or None for the plain form itself.
    """

    feature: BodyFeature | None
    body: bytes


@frozen
class _Number:
    """A number, with the digits that the body has for it."""

    digits: str

    @property
    def is_plain(self) -> bool:
        number = float(self.digits)
        is_short = len(self.digits) <= _MOST_CHARACTERS and "e" not in self.digits.lower()
        return is_short and (number == 0 or abs(number) >= _SMALLEST_PLAIN) and format_double(number) == self.digits


def ladder(body: bytes) -> tuple[Rung, ...]:
    """Return the plain form of `body`, then one step for each feature of `body`. The last step is `body` itself.

    There is only one step if the body is plain, is not JSON, is too large, or is nested too deeply.
    """
    document = _document(body)
    if document is None:
        return (Rung(None, body),)
    rungs, kept = [Rung(None, _written(document, ()))], set[BodyFeature]()
    for feature in BodyFeature:
        kept.add(feature)
        written = body if feature is BodyFeature.NOTATION else _written(document, kept)
        if written != rungs[-1].body:
            rungs.append(Rung(feature, written))
    return tuple(rungs)


def plain_form(body: bytes, kept: Collection[BodyFeature] = ()) -> bytes:
    """Return the body with only the features `kept`, or unchanged if the body cannot be read."""
    document = _document(body)
    return body if document is None else _written(document, kept)


def with_sorted_keys(body: bytes) -> bytes:
    """Return the body with sorted keys and without whitespace, or unchanged if the body cannot be read."""
    return plain_form(body, set(BodyFeature) - {BodyFeature.ORDER})


def _document(body: bytes) -> Any:
    if len(body) > MOST_BYTES:
        return None
    try:
        text = body.decode()
        if is_dense(text) or nests_too_deep(text):
            return None
        return strict_json(text, parse_int=_Number, parse_float=_Number)
    except (ValueError, RecursionError):
        return None


def _written(document: Any, kept: Collection[BodyFeature]) -> bytes:
    return _value(document, kept).encode("utf-8", "surrogatepass")


def _value(value: Any, kept: Collection[BodyFeature]) -> str:
    if isinstance(value, str):
        return quote(_text(value, kept))
    if isinstance(value, _Number):
        return value.digits if value.is_plain or BodyFeature.NUMBERS in kept else "1"
    if isinstance(value, list):
        return f"[{','.join(_value(element, kept) for element in value)}]"
    if isinstance(value, dict):
        return _object(value, kept)
    return json.dumps(value)


def _object(value: dict[str, Any], kept: Collection[BodyFeature]) -> str:
    members: dict[str, str] = {}
    for name, element in value.items():
        key = _text(name, kept)
        while key in members:  # replaced characters must not make two keys equal
            key += "x"
        members[key] = _value(element, kept)
    if not members and BodyFeature.EMPTY_OBJECTS not in kept:
        members = {"x": "1"}
    keys = members if BodyFeature.ORDER in kept else sorted(members)
    return "{" + ",".join(f"{quote(key)}:{members[key]}" for key in keys) + "}"


def _text(text: str, kept: Collection[BodyFeature]) -> str:
    for feature, replaced in (
        (BodyFeature.TEXT, _beyond_ascii),
        (BodyFeature.PUNCTUATION, _escaped_for_html),
        (BodyFeature.INVISIBLE, _invisible),
    ):
        if feature not in kept:
            text = replaced("x", text)
    return text
