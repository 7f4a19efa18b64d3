"""Find what a signature matches if it does not match the received request.

Five things can deviate, alone or together: the notation of the header, the secret, the text of the timestamp, the
layout (what is signed around the body), and the form of the body. Each combination costs one HMAC over the body. With
the raw body, port-hook tries all secrets and timestamps, and the frequent layouts. With the exact secret, timestamp and
layout, it tries all forms. Other combinations are tried within the budget. The milliseconds within the timestamp's
second come last, with nothing else changed.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple, TypeAlias

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Cause
from port_hook_cli.signatures import causes
from port_hook_cli.signatures.budget import COMBINED_BYTES, LAYOUT_BYTES, MILLISECONDS_BODY_BYTES, Budget
from port_hook_cli.signatures.forms import Form, byte_forms, json_forms, unwrap
from port_hook_cli.signatures.headers import ParsedSignature
from port_hook_cli.signatures.same_document import DocumentComparison, compare_documents
from port_hook_cli.signatures.signing import RAW, encoded, message_digest
from port_hook_cli.signatures.variants import (
    BODY_ALONE,
    FREQUENT_LAYOUTS,
    PORTS_LAYOUT,
    RARE_LAYOUTS,
    Layout,
    Variant,
    millisecond_variants,
)

_KEPT_BYTES = 2**16
"""Only forms up to this size are combined with changed secrets, timestamps and layouts."""


class Key(NamedTuple):
    """A secret, a timestamp, and the layout of what is signed around the body."""

    secret: Variant
    timestamp: Variant
    layout: Layout = PORTS_LAYOUT

    @property
    def texts(self) -> tuple[bytes, bytes, bytes]:
        """The secret, and the signed texts before and after the body."""
        stamp = self.timestamp.text
        before, after = self.layout.before.format(stamp), self.layout.after.format(stamp)
        return encoded(self.secret.text), encoded(before), encoded(after)


@frozen
class Match:
    """One combination that the signature matches. `causes` are its deviations, with the most important first."""

    signed_form: str
    causes: tuple[Cause, ...]
    is_same_document: bool
    is_exact: bool
    """Whether only the body deviates, and the secret, the timestamp and the header's notation are correct."""


Found: TypeAlias = list[tuple[ParsedSignature, Key, Form]]

_CHANGES = {
    DocumentComparison.CHANGED: causes.MEANING_CHANGED,
    DocumentComparison.KEY_REPEATED: causes.KEY_REPEATED,
    DocumentComparison.NOT_COMPARED: causes.NOT_COMPARED,
}


@frozen
class Findings:
    """All matches, and sentences about what was not tried."""

    matches: tuple[Match, ...]
    untried: tuple[str, ...]


def find_matches(
    signatures: Sequence[ParsedSignature],
    timestamps: Sequence[Variant],
    secrets: Sequence[Variant],
    body: bytes,
    headers: Headers,
    others: Sequence[Variant] = (),
) -> Findings:
    """Return the matches of one of `signatures`. There are several if different forms of the body have the same bytes.

    `others` are other secrets, which are tried only with the first timestamp and Port's layout. Never raises.
    """
    budget = Budget()
    if not budget.covers(len(body)):  # even building the forms would take too long
        return Findings((), tuple(budget.untried))
    steps = unwrap(body, headers, budget)
    found = _search(_Search(signatures, budget), _Keys.of(secrets, timestamps, others), steps)
    comparisons = {form.body: compare_documents(steps[-1].body, form.body) for *_, form in found}
    return Findings(tuple(_match(*one, comparisons[one[-1].body]) for one in found), tuple(budget.untried))


class _Keys(NamedTuple):
    """The keys to try: Port's, other keys in Port's layout, wrong layouts, and other secrets over the body alone.

    `known` are the secrets of other places in Port's layout.
    """

    exact: Sequence[Key]
    others: Sequence[Key]
    frequent: Sequence[Key]
    rare: Sequence[Key]
    body_alone: Sequence[Key]
    known: Sequence[Key]

    @classmethod
    def of(cls, secrets: Sequence[Variant], timestamps: Sequence[Variant], others: Sequence[Variant]) -> _Keys:
        keys = [Key(*pair) for pair in product(secrets, timestamps)]
        exact = keys[:1]
        return cls(
            exact=exact,
            others=keys[1:],
            frequent=[key._replace(layout=layout) for key in exact for layout in FREQUENT_LAYOUTS],
            rare=[key._replace(layout=layout) for key in exact for layout in RARE_LAYOUTS],
            body_alone=[Key(secret, timestamps[0], BODY_ALONE) for secret in secrets[1:]],
            known=[Key(secret, timestamps[0]) for secret in others],
        )


def _search(search: _Search, keys: _Keys, steps: Sequence[Form]) -> Found:
    raw = steps[:1]
    small_bytes: list[Form] = []
    small_json: list[Form] = []
    return (
        search.matches(keys.exact, raw)
        or search.matches(keys.exact, _keeping(small_bytes, byte_forms(steps)))
        or search.matches(keys.frequent, raw)
        or search.matches(keys.others, raw)
        or search.matches(keys.known, raw)
        or search.matches(keys.exact, _keeping(small_json, json_forms(steps, search.budget)))
        or search.combined(keys.others, small_bytes, COMBINED_BYTES)
        or search.combined(keys.others, small_json, COMBINED_BYTES)
        or search.combined(keys.frequent, [*small_bytes, *small_json], LAYOUT_BYTES)
        or search.combined(keys.body_alone, [*_small(raw), *small_bytes, *small_json], LAYOUT_BYTES)
        or search.combined(keys.rare, _small(raw), LAYOUT_BYTES)
        or search.combined(keys.known, [*small_bytes, *small_json], LAYOUT_BYTES)
        or search.matches(_in_milliseconds(keys.exact, steps[0], search.budget), raw)
    )


def _in_milliseconds(exact: Sequence[Key], raw: Form, budget: Budget) -> Sequence[Key]:
    keys = [key._replace(timestamp=moment) for key in exact for moment in millisecond_variants(key.timestamp.text)]
    if keys and len(raw.body) > MILLISECONDS_BODY_BYTES:
        kib = MILLISECONDS_BODY_BYTES // 1024
        budget.leave_out(f"The timestamp's milliseconds were not tried: the body is larger than {kib} KiB.")
        return ()
    return keys


def _match(signature: ParsedSignature, key: Key, form: Form, comparison: DocumentComparison) -> Match:
    around = (*key.secret.causes, *key.layout.causes, *signature.causes, *key.timestamp.causes)
    change = _CHANGES.get(comparison) if form.name != RAW else None
    return Match(
        signed_form=form.name,
        causes=(*around, *form.causes, *((change,) if change else ())),
        is_same_document=form.is_declared and comparison is DocumentComparison.SAME,
        is_exact=not around,
    )


def _keeping(kept: list[Form], forms: Iterator[Form]) -> Iterator[Form]:
    """Yield `forms`, and append the small forms to `kept`."""
    for form in forms:
        kept += _small([form])
        yield form


def _small(forms: Iterable[Form]) -> list[Form]:
    return [form for form in forms if len(form.body) <= _KEPT_BYTES]


def _within(forms: list[Form], room: int) -> Iterator[Form]:
    for form in forms:
        room -= len(form.body)
        if room < 0:
            return
        yield form


@frozen
class _Search:
    signatures: Sequence[ParsedSignature]
    budget: Budget

    def matches(self, keys: Sequence[Key], forms: Iterable[Form]) -> Found:
        prepared = [(key, *key.texts) for key in keys]
        return [
            (signature, key, form)
            for form in forms
            for key, secret, before, after in prepared
            if self.budget.takes(len(form.body))
            for signature in self._matching(message_digest(secret, before, form.body, after))
        ]

    def combined(self, keys: Sequence[Key], forms: list[Form], room: int) -> Found:
        """Return the matches of the first forms, as many forms as `room` bytes of hashing allow with all `keys`."""
        return self.matches(keys, _within(forms, room // max(1, len(keys))))

    def _matching(self, expected: bytes) -> list[ParsedSignature]:
        return [signature for signature in self.signatures if hmac.compare_digest(expected, signature.digest)][:1]
