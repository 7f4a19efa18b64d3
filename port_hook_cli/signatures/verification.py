"""Verify whether Port signed a request, and if it didn't, explain why the signature is invalid."""

from __future__ import annotations

import math
import re
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Iterable, Sequence
from hmac import compare_digest
from typing import TYPE_CHECKING

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, Headers
from port_hook_cli.invocations.models import Cause, Status, Verdict
from port_hook_cli.signatures import causes
from port_hook_cli.signatures.headers import (
    MAX_TIMESTAMP_CHARACTERS,
    OWS,
    ParsedSignature,
    SignatureHeaders,
    read_fields,
    read_signature,
    unreadable,
    whole_number,
)
from port_hook_cli.signatures.signing import RAW, VERSION, digest, encoded, message_digest
from port_hook_cli.text.durations import format_duration
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from port_hook_cli.signatures.diagnosis import Match

DEFAULT_TOLERANCE_S = 300.0
MILLISECONDS_FROM = 10**11
"""Timestamps of at least this value are milliseconds. As seconds, they would be after the year 5138."""

UNCHECKED = Verdict(status=Status.UNCHECKED)
"""The verdict on requests that port-hook doesn't verify because of --verify off."""

_SIGNATURE_CHARACTERS = len("v1,") + 44
_PREFIX = VERSION.encode() + b","
_plain_seconds = re.compile("[0-9]{1,11}").fullmatch
_as_port_writes_it = re.compile(r"v1,[A-Za-z0-9+/]{43}=").fullmatch
_MINUTE_S, _HOUR_S = 60, 3_600
_MAX_ZONE_H = 14
_MICROSECONDS_FROM, _NANOSECONDS_FROM = 10**14, 10**17
"""As milliseconds and microseconds, these timestamps would be after the year 5138."""


@frozen
class _Clock:
    """The signed time, compared with the receiver's time. `age_s` is None if the timestamp is not a whole number."""

    age_s: float | None
    tolerance_s: float
    other_unit: Cause | None = None

    @property
    def is_off(self) -> bool:
        # The condition is `not <=` instead of `>`, so that NaN as an age or a tolerance counts as off.
        return self.age_s is not None and not abs(self.age_s) <= self.tolerance_s

    @property
    def skew(self) -> tuple[Cause, ...]:
        if self.age_s is None or not self.is_off:
            return ()
        # A timestamp in microseconds or nanoseconds says nothing about the clocks.
        is_readable = self.other_unit in {None, causes.MILLISECONDS}
        return (clock_skew(self.age_s, self.tolerance_s),) if is_readable else self.warnings

    @property
    def warnings(self) -> tuple[Cause, ...]:
        return () if self.other_unit is None else (self.other_unit,)


def verify_signature(
    headers: Headers,
    body: bytes,
    secret: Secret,
    *,
    now: float,
    tolerance_s: float = DEFAULT_TOLERANCE_S,
    seen: float | None = None,
    others: Sequence[Secret] = (),
) -> Verdict:
    """Return the verdict on a request received at `now` (seconds since the epoch). Never raises.

    `seen` is the signed time of an earlier request with this signature that the same secret verified, or None. `others`
    are other secrets that port-hook knows. They explain an invalid signature, but don't make a request valid. An empty
    secret matches nothing. port-hook searches for the cause only if the signature does not match the raw body.
    `diagnosis` describes the cost of the search.
    """
    plain = verify_without_diagnosis(headers, body, secret, now=now, tolerance_s=tolerance_s, seen=seen)
    if plain is not None:
        return plain
    signature_headers = SignatureHeaders(*read_fields(headers)).separated()
    clock = _clock(signature_headers.timestamps[0], now, tolerance_s)
    return _diagnose(signature_headers, headers, body, secret.reveal(), clock, seen, others)


def verify_without_diagnosis(
    headers: Headers,
    body: bytes,
    secret: Secret,
    *,
    now: float,
    tolerance_s: float = DEFAULT_TOLERANCE_S,
    seen: float | None = None,
    signed_form: str = RAW,
) -> Verdict | None:
    """Return the verdict of `verify_signature`, or None if a diagnosis is needed. Never raises.

    `signed_form` is the name of `body` in the verdict. The check is fast enough for an event loop, because it computes
    at most one HMAC over `body`. It returns a verdict for requests signed exactly like Port's (valid or stale), and for
    requests that a diagnosis cannot explain further: with a missing or malformed header, or with an empty secret.
    """
    signatures, timestamps = read_fields(headers)
    if not signatures or not timestamps:
        return _missing(SignatureHeaders(signatures, timestamps), body, secret.reveal())
    key = secret.reveal()
    is_signed = _is_signed(signatures[0], timestamps[0], body, key)
    # This fast path for nearly every request builds nothing that only a warning or a diagnosis needs.
    if is_signed and len(signatures) == len(timestamps) == 1 and seen is None and _plain_seconds(timestamps[0]):
        age_s = now - int(timestamps[0])
        if abs(age_s) <= tolerance_s:
            return Verdict(status=Status.VALID, signed_form=signed_form, age_s=age_s)
    signature_headers = SignatureHeaders(signatures, timestamps)
    clock = _clock(timestamps[0], now, tolerance_s)
    if is_signed and clock.age_s is not None:
        return _good(Status.VALID, signed_form, (), clock, _repeats(signature_headers, seen))
    return _hopeless(signature_headers.separated(), key, now, tolerance_s)


def signature_key(headers: Headers) -> bytes | None:
    """Return the 32 bytes that identify the first signature, or None if it does not contain 32 bytes.

    If `verify_signature` accepted the request, it accepted the first signature, and these bytes are the HMAC. So a
    repeated request has the same key, even if its header is then written in another way.
    """
    first = next((text for value in headers.all(SIGNATURE_HEADER) if (text := value.strip(OWS))), "")
    if _as_port_writes_it(first):  # a fast path for nearly every request
        return a2b_base64(first[3:])
    signature = read_signature(first) if first else None
    return signature.digest if signature else None


def _hopeless(signature_headers: SignatureHeaders, key: str, now: float, tolerance_s: float) -> Verdict | None:
    """Return the verdict on signature headers that cannot match anything, or None if they may match."""
    parsed = signature_headers.parsed()
    if parsed and key and len(signature_headers.timestamps[0]) <= MAX_TIMESTAMP_CHARACTERS:
        return None
    return _unmatched(signature_headers, _clock(signature_headers.timestamps[0], now, tolerance_s), parsed)


def _diagnose(
    signature_headers: SignatureHeaders,
    headers: Headers,
    body: bytes,
    key: str,
    clock: _Clock,
    seen: float | None,
    others: Sequence[Secret],
) -> Verdict:
    # A valid signature needs no diagnosis, and without these imports, `verify` starts faster.
    from port_hook_cli.signatures.diagnosis import find_matches
    from port_hook_cli.signatures.variants import other_secrets, secret_variants, timestamp_variants

    parsed = signature_headers.parsed()
    timestamps, secrets = timestamp_variants(signature_headers.timestamps, seen), secret_variants(key)
    found = find_matches(parsed, timestamps, secrets, body, headers, other_secrets(others, secrets))
    if not found.matches:
        is_proved = seen is not None and not found.untried
        cause = causes.BODY_CHANGED if is_proved else causes.secret_or_body(found.untried)
        return _unmatched(signature_headers, clock, parsed, cause)
    return _matched(signature_headers, clock, found.matches, seen)


def _missing(signature_headers: SignatureHeaders, body: bytes, key: str) -> Verdict:
    signature = () if signature_headers.signatures else (causes.SIGNATURE_MISSING,)
    timestamp = () if signature_headers.timestamps else (causes.TIMESTAMP_MISSING,)
    unsigned = () if signature_headers.timestamps else _body_alone(signature_headers.signatures, body, key)
    return Verdict(status=Status.MISSING, causes=(*signature, *timestamp, *unsigned))


def _body_alone(signatures: Sequence[str], body: bytes, key: str) -> tuple[Cause, ...]:
    """Return the causes of a signature over the body alone, from a sender that left out the timestamp completely."""
    signature = read_signature(signatures[0]) if signatures and key else None
    if signature is None or not compare_digest(message_digest(encoded(key), b"", body), signature.digest):
        return ()
    return (causes.TIMESTAMP_NOT_SIGNED, *signature.causes)


def _clock(timestamp: str, now: float, tolerance_s: float) -> _Clock:
    if not whole_number(timestamp):
        return _Clock(None, tolerance_s)
    signed = int(timestamp)
    if signed < MILLISECONDS_FROM:
        return _Clock(now - signed, tolerance_s)
    is_micro = signed < _NANOSECONDS_FROM
    other = causes.MICROSECONDS if is_micro else causes.NANOSECONDS
    return _Clock(now - signed / 1000, tolerance_s, causes.MILLISECONDS if signed < _MICROSECONDS_FROM else other)


def _is_signed(signature: str, timestamp: str, body: bytes, key: str) -> bool:
    if len(signature) != _SIGNATURE_CHARACTERS or len(timestamp) > MAX_TIMESTAMP_CHARACTERS:
        return False
    expected = _PREFIX + b64encode(digest(key, timestamp, body))
    return compare_digest(expected, signature.encode("utf-8", "surrogatepass")) and key != ""


def _repeats(signature_headers: SignatureHeaders, seen: float | None) -> tuple[Cause, ...]:
    return signature_headers.doubling if seen is None else (causes.REPLAYED, *signature_headers.doubling)


def _good(
    status: Status, signed_form: str, deviations: tuple[Cause, ...], clock: _Clock, repeats: tuple[Cause, ...]
) -> Verdict:
    """Return the verdict on a valid signature: `status`, or STALE if the timestamp is outside the tolerance."""
    return Verdict(
        status=Status.STALE if clock.is_off else status,
        signed_form=signed_form,
        causes=_distinct((*clock.skew, *deviations, *clock.warnings, *repeats)),
        age_s=clock.age_s,
    )


def _matched(
    signature_headers: SignatureHeaders, clock: _Clock, matches: tuple[Match, ...], seen: float | None
) -> Verdict:
    """Return the verdict on a signature that matches another form of the request than the raw request."""
    deviations = tuple(cause for match in matches for cause in match.causes)
    repeats = _repeats(signature_headers, seen)
    signed_form = matches[0].signed_form
    is_form = all(match.is_exact and match.is_same_document for match in matches)
    if is_form and clock.age_s is not None and not signature_headers.is_joined:
        return _good(Status.REENCODED, signed_form, deviations, clock, repeats)
    is_malformed = clock.age_s is None  # even if the signature covers the raw timestamp
    malformed = (causes.TIMESTAMP_MALFORMED,) if is_malformed else ()
    joined = signature_headers.doubling if signature_headers.is_joined else ()
    return Verdict(
        status=Status.MALFORMED if is_malformed else Status.INVALID,
        signed_form=signed_form,
        causes=_distinct((*malformed, *deviations, *joined, *clock.skew, *clock.warnings, *repeats)),
        age_s=clock.age_s,
    )


def _unmatched(
    signature_headers: SignatureHeaders,
    clock: _Clock,
    parsed: list[ParsedSignature],
    unexplained: Cause = causes.SECRET_OR_BODY,
) -> Verdict:
    notation = parsed[0].causes if parsed else (unreadable(signature_headers.signatures[0]),)
    is_malformed = not parsed or clock.age_s is None
    malformed = (causes.TIMESTAMP_MALFORMED,) if clock.age_s is None else ()
    wrong = () if is_malformed else (unexplained,)
    return Verdict(
        status=Status.MALFORMED if is_malformed else Status.INVALID,
        causes=_distinct((*notation, *malformed, *wrong, *clock.skew, *signature_headers.doubling)),
        age_s=clock.age_s,
    )


def _distinct(found: Iterable[Cause]) -> tuple[Cause, ...]:
    """Return the first cause with each slug."""
    by_slug: dict[str, Cause] = {}
    for cause in found:
        by_slug.setdefault(cause.slug, cause)
    return tuple(by_slug.values())


def clock_skew(age_s: float, tolerance_s: float) -> Cause:
    """Return the cause for a timestamp that is `age_s` seconds behind the receiver's clock (ahead if negative)."""
    side = "past" if age_s > 0 else "future"
    message = f"The timestamp is {format_duration(abs(age_s))} in the {side}. The tolerance is {tolerance_s:g} s."
    return Cause("clock-skew", " ".join([message, *_skew_guesses(age_s)]), _skew_fix(age_s))


def _skew_guesses(age_s: float) -> list[str]:
    guesses = ["A whole number of hours suggests a wrong time zone."] if _is_whole_hours(abs(age_s)) else []
    if age_s > 0:
        guesses.append("It may be an old request, sent again.")
    return guesses


def _is_whole_hours(duration_s: float) -> bool:
    """Return whether a duration is the offset of a time zone, to within a minute."""
    hours = round(duration_s / _HOUR_S) if math.isfinite(duration_s) else 0
    return 1 <= hours <= _MAX_ZONE_H and abs(duration_s - hours * _HOUR_S) <= _MINUTE_S


def _skew_fix(age_s: float) -> str:
    if age_s > 0:
        return (
            "Sign the request again with the current time, as `port-hook replay` does. If the request is new, compare "
            "the clocks of the sender and the receiver."
        )
    return "Compare the clocks of the sender and the receiver. The timestamp is seconds since 1970 in UTC."
