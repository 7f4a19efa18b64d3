"""Search for what a signature matches if it does not match the received request.

Four things can deviate, alone or together: the notation of the header, the secret, the text of the timestamp, and the
form of the body. Each combination costs one HMAC over the body. All secrets and timestamps are tried with the body as
it arrived, all forms with the exact secret and timestamp, and other combinations within the budget. The milliseconds
within the timestamp's second are tried last, with nothing else changed.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Cause
from port_hook_cli.signatures import causes
from port_hook_cli.signatures.budget import COMBINED_BYTES, MILLISECONDS_BODY_BYTES, Budget
from port_hook_cli.signatures.forms import Form, byte_forms, json_forms, unwrap
from port_hook_cli.signatures.headers import MAX_TIMESTAMP_CHARACTERS, SignatureReading
from port_hook_cli.signatures.same_document import DocumentComparison, compare_documents
from port_hook_cli.signatures.signing import RAW, digest

_MAX_DIGITS_OF_SECONDS = 11
"""Timestamps with more digits are milliseconds: as seconds they would be after the year 5138."""

_KEPT_BYTES = 2**16
"""Only forms up to this size are combined with changed secrets and timestamps."""

_INVISIBLE = "\ufeff\u200b"
_PADDINGS = ("\n", "\r\n", " ")
_QUOTES = "\"'"
_MIN_QUOTED = 3


@dataclass(frozen=True, slots=True)
class Variant:
    """A secret or a timestamp that may have been used to sign, and how it deviates from the given one."""

    text: str
    causes: tuple[Cause, ...] = ()


Key: TypeAlias = tuple[Variant, Variant]
"""A secret and a timestamp."""


@dataclass(frozen=True, slots=True)
class Match:
    """One combination that the signature matches. `causes` are its deviations, the most important first."""

    reading: str
    causes: tuple[Cause, ...]
    is_same_document: bool
    is_exact: bool
    """Whether only the body deviates, while the secret, the timestamp and the header's notation are correct."""


Found: TypeAlias = list[tuple[SignatureReading, Variant, Variant, Form]]

_CHANGES = {
    DocumentComparison.CHANGED: causes.MEANING_CHANGED,
    DocumentComparison.KEY_REPEATED: causes.KEY_REPEATED,
    DocumentComparison.NOT_COMPARED: causes.NOT_COMPARED,
}


@dataclass(frozen=True, slots=True)
class Findings:
    """All matches, and sentences that say what was not tried."""

    matches: tuple[Match, ...]
    untried: tuple[str, ...]


def secret_variants(secret: str) -> tuple[Variant, ...]:
    """Return `secret` and its variants that the sender or the receiver may have used; none for an empty secret."""
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


def timestamp_variants(timestamps: Sequence[str]) -> tuple[Variant, ...]:
    """Return all timestamps of repeated headers, and the first timestamp in the other unit."""
    first = timestamps[0]
    found = [
        Variant(first),
        *(Variant(other, (causes.HEADER_AMBIGUOUS,)) for other in timestamps[1:] if _is_short(other)),
    ]
    if first.isascii() and first.isdigit():
        found += [Variant(text, (causes.TIMESTAMP_UNIT,)) for text in (f"{first}000", first[:-3]) if text]
    return _distinct(found)


def millisecond_variants(timestamp: str) -> Iterator[Variant]:
    """Yield a timestamp in seconds with each millisecond of that second except the first, a variant of another unit.

    If a sender signs milliseconds but sends seconds, the milliseconds can only be found by trying all of them.
    """
    if timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _MAX_DIGITS_OF_SECONDS:
        yield from (Variant(f"{timestamp}{ms:03}", (causes.TIMESTAMP_UNIT,)) for ms in range(1, 1000))


def find_matches(
    signatures: Sequence[SignatureReading],
    timestamps: Sequence[Variant],
    secrets: Sequence[Variant],
    body: bytes,
    headers: Headers,
) -> Findings:
    """Return what one of `signatures` matches: several matches if forms of the body have the same bytes.

    Never raises.
    """
    budget = Budget()
    if not budget.covers(len(body)):  # even building its forms would take too long
        return Findings((), tuple(budget.untried))
    steps = unwrap(body, headers, budget)
    found = _search(_Search(signatures, budget), list(product(secrets, timestamps)), steps)
    comparisons = {form.body: compare_documents(steps[-1].body, form.body) for *_, form in found}
    return Findings(tuple(_match(*one, comparisons[one[-1].body]) for one in found), tuple(budget.untried))


def _search(search: _Search, keys: Sequence[Key], steps: Sequence[Form]) -> Found:
    exact, others = keys[:1], keys[1:]
    small_bytes: list[Form] = []
    small_json: list[Form] = []
    room = COMBINED_BYTES // max(1, len(others))
    return (
        search.matches(exact, steps[:1])
        or search.matches(exact, _keeping(small_bytes, byte_forms(steps)))
        or search.matches(others, steps[:1])
        or search.matches(exact, _keeping(small_json, json_forms(steps, search.budget)))
        or search.matches(others, _within(small_bytes, room))
        or search.matches(others, _within(small_json, room))
        or search.matches(_in_milliseconds(exact, steps[0], search.budget), steps[:1])
    )


def _in_milliseconds(exact: Sequence[Key], raw: Form, budget: Budget) -> Sequence[Key]:
    keys = [(secret, moment) for secret, seconds in exact for moment in millisecond_variants(seconds.text)]
    if keys and len(raw.body) > MILLISECONDS_BODY_BYTES:
        kib = MILLISECONDS_BODY_BYTES // 1024
        budget.leave_out(f"The timestamp's milliseconds were not tried: the body is larger than {kib} KiB.")
        return ()
    return keys


def _match(
    signature: SignatureReading, secret: Variant, timestamp: Variant, form: Form, comparison: DocumentComparison
) -> Match:
    around = (*secret.causes, *signature.causes, *timestamp.causes)
    change = _CHANGES.get(comparison) if form.reading != RAW else None
    return Match(
        reading=form.reading,
        causes=(*around, *form.causes, *((change,) if change else ())),
        is_same_document=form.is_declared and comparison is DocumentComparison.SAME,
        is_exact=not around,
    )


def _is_short(timestamp: str) -> bool:
    return len(timestamp) <= MAX_TIMESTAMP_CHARACTERS


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


def _keeping(kept: list[Form], forms: Iterator[Form]) -> Iterator[Form]:
    """Yield `forms`, and append the small ones to `kept`."""
    for form in forms:
        if len(form.body) <= _KEPT_BYTES:
            kept.append(form)
        yield form


def _within(forms: list[Form], room: int) -> Iterator[Form]:
    for form in forms:
        room -= len(form.body)
        if room < 0:
            return
        yield form


@dataclass(frozen=True, slots=True)
class _Search:
    signatures: Sequence[SignatureReading]
    budget: Budget

    def matches(self, keys: Sequence[Key], forms: Iterable[Form]) -> Found:
        return [
            (signature, secret, timestamp, form)
            for form in forms
            for secret, timestamp in keys
            if self.budget.takes(len(form.body))
            for signature in self._matching(digest(secret.text, timestamp.text, form.body))
        ]

    def _matching(self, expected: bytes) -> list[SignatureReading]:
        return [reading for reading in self.signatures if hmac.compare_digest(expected, reading.digest)][:1]
