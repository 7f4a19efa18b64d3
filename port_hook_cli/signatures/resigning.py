"""Sign a changed request with another secret so that it gets the same verdict as before, with the same mistakes.

A verdict lists what deviates: the secret, the timestamp, the layout, the form of the body, or the notation of the
header. port-hook tries the ways to sign that have these causes, until verifying the result returns the same verdict. So
the rules of the search for causes can reproduce everything that the search finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER, Headers
from port_hook_cli.invocations.models import KAFKA_VALUE, Cause, Verdict
from port_hook_cli.signatures.causes import REPLAYED
from port_hook_cli.signatures.diagnosis import Key
from port_hook_cli.signatures.forms import forms_named
from port_hook_cli.signatures.headers import (
    OWS,
    SignatureHeaders,
    read_fields,
    respelled,
    signatures_in,
    whole_number,
)
from port_hook_cli.signatures.signing import RAW, message_digest
from port_hook_cli.signatures.variants import (
    FREQUENT_LAYOUTS,
    PORTS_LAYOUT,
    RARE_LAYOUTS,
    Layout,
    Variant,
    millisecond_variants,
    secret_variants,
    timestamp_variants,
)
from port_hook_cli.text.secret import Secret

Verify = Callable[[Headers, Secret], Verdict]

_OTHER_KEY = b"another secret"
_TRIES = 12
_PADDED = ("{}\n", '"{}"', "'{}'", '"{} "')
"""How a configured secret may deviate from the secret that signs."""


class Resigned(NamedTuple):
    """The headers with a new signature, the secret to verify them, and the verdict.

    `is_same` means that the verdict is the wanted verdict.
    """

    headers: Headers
    secret: Secret
    verdict: Verdict
    is_same: bool


def sign_alike(
    headers: Headers,
    body: bytes,
    wanted: Verdict,
    verify: Verify,
    *,
    new_secret: Callable[[], str],
    scrub: Callable[[str], str],
) -> Resigned:
    """Return the headers of a request with `body`, signed so that `verify` returns the status and causes of `wanted`.

    `body` is what Port would have signed. `scrub` replaces the text of a signature or timestamp that cannot be read. If
    no way to sign leads to the verdict, the result has a signature that matches nothing.
    """
    headers = _with_scrubbed_timestamps(headers, scrub)
    found: Resigned | None = None
    secret = ""
    for _ in range(_TRIES):
        secret = new_secret()
        for resigned in _tried(headers, body, wanted, verify, secret, scrub):
            if _has_same_words(resigned.verdict, wanted):
                return resigned
            found = found or resigned
        if found is not None:
            return found
    fields = _signed(headers, _other(secret, 0), 0, secret, scrub)
    return Resigned(fields, Secret(secret), verify(fields, Secret(secret)), is_same=False)


def slugs_of_one_request(verdict: Verdict) -> list[str]:
    """Return the slugs of the causes, without `replayed`, which depends on earlier requests."""
    return sorted(slug for slug in verdict.slugs if slug != REPLAYED.slug)


def _tried(
    headers: Headers, body: bytes, wanted: Verdict, verify: Verify, secret: str, scrub: Callable[[str], str]
) -> Iterator[Resigned]:
    """Yield the signed requests that have the wanted status and causes."""
    count = max(1, len(dict.fromkeys(_signatures(headers))))
    for configured, digest in _ways(headers, body, wanted, secret):
        for position in range(count):
            fields = _signed(headers, digest, position, secret, scrub)
            verdict = verify(fields, Secret(configured))
            is_same = verdict.status is wanted.status and verdict.signed_form == wanted.signed_form
            if is_same and slugs_of_one_request(verdict) == slugs_of_one_request(wanted):
                yield Resigned(fields, Secret(configured), verdict, is_same=True)


def _has_same_words(verdict: Verdict, wanted: Verdict) -> bool:
    return set(verdict.causes) == {cause for cause in wanted.causes if cause.slug != REPLAYED.slug}


def _ways(headers: Headers, body: bytes, wanted: Verdict, secret: str) -> Iterator[tuple[str, bytes]]:
    """Yield secrets to configure, with the digests that a sender with the mistakes of `wanted` would have computed."""
    slugs = set(wanted.slugs)

    def fits(causes: Iterable[Cause]) -> bool:
        return all(cause.slug in slugs for cause in causes)

    if wanted.signed_form is not None or "timestamp-not-signed" in slugs:
        layouts = [layout for layout in (PORTS_LAYOUT, *FREQUENT_LAYOUTS, *RARE_LAYOUTS) if fits(layout.causes)]
        timestamps = [each for each in _timestamps(headers) if fits(each.causes)]
        for form in _forms(headers, body, wanted.signed_form):
            for configured in _configured(secret, slugs):
                for variant in secret_variants(configured):
                    if fits(variant.causes):
                        yield from _digests(configured, variant, timestamps, layouts, form)
    yield secret, _other(secret, 0)


def _digests(
    configured: str, secret: Variant, timestamps: list[Variant], layouts: list[Layout], form: bytes
) -> Iterator[tuple[str, bytes]]:
    # Ways with more mistakes come first, because the others would not have all of the causes.
    for layout in sorted(layouts, key=lambda each: -len(each.causes)):
        for timestamp in sorted(timestamps, key=lambda each: -len(each.causes)):
            key, before, after = Key(secret, timestamp, layout).texts
            yield configured, message_digest(key, before, form, after)


def _configured(secret: str, slugs: set[str]) -> list[str]:
    is_changed = not slugs.isdisjoint({"secret-whitespace", "secret-quoted"})
    return [secret, *(padded.format(secret) for padded in _PADDED)] if is_changed else [secret]


def _timestamps(headers: Headers) -> list[Variant]:
    timestamps = SignatureHeaders(*read_fields(headers)).separated().timestamps
    if not timestamps:
        return [Variant("")]
    return [*timestamp_variants(timestamps), *islice(millisecond_variants(timestamps[0]), 1)]


def _forms(headers: Headers, body: bytes, signed_form: str | None) -> Iterator[bytes]:
    if signed_form is None or signed_form in {RAW, KAFKA_VALUE}:
        yield body
        return
    yield from forms_named(body, headers, signed_form)


def _signatures(headers: Headers) -> list[str]:
    values = [value.strip(OWS) for value in headers.all(SIGNATURE_HEADER)]
    return [part for value in values for part in signatures_in(value)]


def _signed(headers: Headers, digest: bytes, position: int, secret: str, scrub: Callable[[str], str]) -> Headers:
    """Return the headers with `digest` as one of the different signatures, at `position`. The others match nothing."""
    different = list(dict.fromkeys(_signatures(headers)))
    new = {
        value: respelled(value, digest if place == position else _other(secret, place + 1)) or _scrubbed(value, scrub)
        for place, value in enumerate(different)
    }

    def field(name: str, value: str) -> str:
        kind, text = name.lower(), value.strip(OWS)
        if kind == SIGNATURE_HEADER and text:
            return value.replace(text, ", ".join(new[part] for part in signatures_in(text)), 1)
        return value

    return Headers(tuple((name, field(name, value)) for name, value in headers))


def _with_scrubbed_timestamps(headers: Headers, scrub: Callable[[str], str]) -> Headers:
    """Return the headers with the text replaced in those timestamps that are not whole numbers."""

    def field(name: str, value: str) -> str:
        is_number = all(whole_number(part.strip(OWS)) for part in value.split(","))
        return value if is_number or name.lower() != TIMESTAMP_HEADER else scrub(value)

    return Headers(tuple((name, field(name, value)) for name, value in headers))


def _scrubbed(value: str, scrub: Callable[[str], str]) -> str:
    """Return an unreadable signature with its text replaced and its version unchanged."""
    version, comma, text = value.partition(",")
    return f"{version}{comma}{scrub(text)}" if comma and version.lower() == "v1" else scrub(value)


def _other(secret: str, place: int) -> bytes:
    """Return a digest that matches nothing.

    The digest depends on the secret, because not every digest shows its notation.
    """
    return message_digest(_OTHER_KEY, f"{place} {secret}".encode(), b"")
