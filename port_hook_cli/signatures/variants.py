"""The secrets, timestamps and layouts that may have been signed instead of Port's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import NamedTuple

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Cause
from port_hook_cli.signatures import causes
from port_hook_cli.signatures.headers import MAX_TIMESTAMP_CHARACTERS
from port_hook_cli.text.secret import Secret

_MAX_DIGITS_OF_SECONDS = 11
"""Timestamps with more digits are milliseconds. As seconds, they would be after the year 5138."""

_INVISIBLE = "\ufeff\u200b"
_PADDINGS = ("\n", "\r\n", " ")
_QUOTES = "\"'"
_MIN_QUOTED = 3
_SEPARATORS = {
    ":": "a colon",
    ",": "a comma",
    "\n": "a line break",
    " ": "a space",
    "-": "a hyphen",
    "|": "a vertical bar",
}


@frozen
class Variant:
    """A secret or a timestamp that may have been used to sign, and its deviations from the given text."""

    text: str
    causes: tuple[Cause, ...] = ()


class Layout(NamedTuple):
    """The signed texts before and after the body, and their deviations from Port's layout.

    In the texts, `{}` stands for the timestamp.
    """

    before: str
    after: str = ""
    causes: tuple[Cause, ...] = ()


PORTS_LAYOUT = Layout("{}.")
BODY_ALONE = Layout("", causes=(causes.TIMESTAMP_NOT_SIGNED,))
FREQUENT_LAYOUTS = (BODY_ALONE, Layout("{}", causes=(causes.WITHOUT_DOT,)))
RARE_LAYOUTS = (
    *(Layout(f"{{}}{text}", causes=(causes.wrong_separator(name),)) for text, name in _SEPARATORS.items()),
    Layout("", ".{}", (causes.TIMESTAMP_AFTER_BODY,)),
    Layout("", "{}", (causes.TIMESTAMP_AFTER_BODY,)),
    Layout("v0:{}:", causes=(causes.V0,)),
)


def secret_variants(secret: str) -> tuple[Variant, ...]:
    """Return `secret` and the variants of it that a sender or receiver may have used, or none for an empty secret."""
    if not secret:
        return ()
    trimmed = _trim(secret)
    found = [
        Variant(secret),
        Variant(trimmed, (causes.SECRET_TRIMMED,)),
        *_unquoted(trimmed),
        *(Variant(secret + padding, (causes.SECRET_PADDED,)) for padding in _PADDINGS),
        *(Variant(f"{quote}{secret}{quote}", (causes.SECRET_IN_QUOTES,)) for quote in _QUOTES),
    ]
    return _distinct(variant for variant in found if variant.text)


def other_secrets(others: Iterable[Secret], tried: Sequence[Variant]) -> tuple[Variant, ...]:
    """Return the secrets of other places, without those in `tried` and without an empty secret."""
    texts = {variant.text for variant in tried}
    found = (other.reveal().strip() for other in others)
    return _distinct(Variant(text, (causes.WRONG_SECRET,)) for text in found if text and text not in texts)


def timestamp_variants(timestamps: Sequence[str], seen: float | None = None) -> tuple[Variant, ...]:
    """Return all timestamps of repeated headers, the first timestamp in the other unit, and the timestamp of `seen`.

    `seen` is the signed time of an earlier request with the same signature, in seconds since the epoch.
    """
    first = timestamps[0]
    found = [
        Variant(first),
        *(
            Variant(other, (causes.HEADER_AMBIGUOUS,))
            for other in timestamps[1:]
            if len(other) <= MAX_TIMESTAMP_CHARACTERS
        ),
    ]
    if first.isascii() and first.isdigit():
        found += [Variant(text, (causes.TIMESTAMP_UNIT,)) for text in (f"{first}000", first[:-3]) if text]
    if seen is not None and isfinite(seen):
        found += [Variant(str(round(number)), (causes.TIMESTAMP_CHANGED,)) for number in (seen, seen * 1000)]
    return _distinct(found)


def millisecond_variants(timestamp: str) -> Iterator[Variant]:
    """Yield a timestamp in seconds with the milliseconds 1 to 999. `timestamp_variants` returns the millisecond 0.

    If a sender signs milliseconds but sends seconds, only trying all milliseconds can find the signed timestamp.
    """
    if timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _MAX_DIGITS_OF_SECONDS:
        yield from (Variant(f"{timestamp}{ms:03}", (causes.TIMESTAMP_UNIT,)) for ms in range(1, 1000))


def _trim(secret: str) -> str:
    return secret.strip().strip(_INVISIBLE).strip()


def _unquoted(trimmed: str) -> Iterator[Variant]:
    if len(trimmed) >= _MIN_QUOTED and trimmed[0] == trimmed[-1] and trimmed[0] in _QUOTES:
        inner = trimmed[1:-1]
        yield Variant(inner, (causes.SECRET_UNQUOTED,))
        yield Variant(_trim(inner), (causes.SECRET_UNQUOTED, causes.SECRET_TRIMMED))


def _distinct(variants: Iterable[Variant]) -> tuple[Variant, ...]:
    found: dict[str, Variant] = {}
    for variant in variants:
        found.setdefault(variant.text, variant)
    return tuple(found.values())
