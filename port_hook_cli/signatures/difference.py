"""Find the first difference between the raw body and the signed form. This module is pure."""

from __future__ import annotations

from collections.abc import Callable
from difflib import SequenceMatcher
from typing import NamedTuple

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import KAFKA_VALUE
from port_hook_cli.signatures.forms import forms_named
from port_hook_cli.signatures.messages import signed_value
from port_hook_cli.signatures.signing import RAW

_BEFORE = _AFTER = 32
"""The maximum number of bytes before and after the difference in an excerpt."""
MOST_OF_A_DIFFERENCE = 120
"""The maximum number of bytes of the difference in an excerpt."""
_CHARACTER = 4
"""The maximum number of bytes in a character."""
_WINDOW = 160
"""The number of bytes to compare, from the start of a difference, to find its end."""


class Excerpt(NamedTuple):
    """The bytes around a difference, and the differing bytes between them, which may be empty."""

    before: bytes
    differs: bytes
    after: bytes


class FirstDifference(NamedTuple):
    """The offset in bytes at which two bodies begin to differ, and an excerpt of each body."""

    offset: int
    raw: Excerpt
    signed: Excerpt


def signed_difference(
    body: bytes, headers: Headers, signed_form: str | None, *, is_signed: Callable[[bytes], bool]
) -> FirstDifference | None:
    """Return how the signed form of a body differs from the raw body, or None if they are equal.

    Several forms can have the name `signed_form`. The form for which `is_signed` returns True is used, or otherwise the
    first form. Never raises.
    """
    if signed_form is None or signed_form == RAW:
        return None
    forms = [signed_value(body)] if signed_form == KAFKA_VALUE else list(forms_named(body, headers, signed_form))
    form = next(filter(is_signed, forms), forms[0] if forms else None)
    return None if form is None else first_difference(body, form)


def first_difference(raw: bytes, signed: bytes) -> FirstDifference | None:
    """Return the first difference between two bodies, or None if they are equal."""
    if raw == signed:
        return None
    common = _common_length(raw, signed)
    start = next((at for at in range(common, max(0, common - _CHARACTER), -1) if not _inside(at, raw, signed)), common)
    ends = [common + size for size in _sizes(raw[common : common + _WINDOW], signed[common : common + _WINDOW])]
    for _ in range(_CHARACTER - 1):  # move to the end of the character
        if all(_inside(end, body) for body, end in zip((raw, signed), ends, strict=True)):
            ends = [end + 1 for end in ends]
    return FirstDifference(start, *(_excerpt(body, start, end) for body, end in zip((raw, signed), ends, strict=True)))


def _common_length(one: bytes, other: bytes) -> int:
    """Return the length of the longest common beginning. Compares slices, because bodies have many bytes."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _inside(at: int, *bodies: bytes) -> bool:
    """Return whether a position is inside a UTF-8 character in one of the bodies."""
    return any(b"\x80" <= body[at : at + 1] < b"\xc0" for body in bodies)


def _sizes(one: bytes, other: bytes) -> tuple[int, int]:
    """Return how many bytes at the start of each text differ before the texts are equal again."""
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    i, j = len(one), len(other)
    while (found := matcher.find_longest_match(0, i, 0, j)).size:
        i, j = found.a, found.b
    return i, j


def _excerpt(body: bytes, start: int, end: int) -> Excerpt:
    after = body[end : end + _AFTER] if end - start <= MOST_OF_A_DIFFERENCE else b""
    return Excerpt(body[max(0, start - _BEFORE) : start], body[start : min(end, start + MOST_OF_A_DIFFERENCE)], after)
