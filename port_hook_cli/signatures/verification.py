"""The judgement: is this request signed by Port, and if not, why not."""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Iterable, Sequence
from hmac import compare_digest
from typing import TYPE_CHECKING, NamedTuple

from port_hook_cli.invocations.models import SIGNATURE_HEADER, Cause, Headers, Status, Verdict
from port_hook_cli.signatures import causes
from port_hook_cli.signatures.clock_skew import clock_skew
from port_hook_cli.signatures.headers import MAX_TIMESTAMP_CHARACTERS, OWS, Claim, read_fields, whole_number
from port_hook_cli.signatures.notation import SignatureReading, read_signature
from port_hook_cli.signatures.signing import RAW, VERSION, digest
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from port_hook_cli.signatures.diagnosis import Match

DEFAULT_TOLERANCE_S = 300.0
MILLISECONDS_FROM = 10**11
"""Timestamps from here on are read as milliseconds: as seconds they would lie beyond the year 5138."""

UNCHECKED = Verdict(status=Status.UNCHECKED)
"""The verdict of those who asked not to verify."""

_SIGNATURE_CHARACTERS = len("v1,") + 44
_PREFIX = VERSION.encode() + b","
_plain_seconds = re.compile("[0-9]{1,11}").fullmatch
_as_port_writes_it = re.compile(r"v1,[A-Za-z0-9+/]{43}=").fullmatch


class _Clock(NamedTuple):
    """The signed time against the receiver's. `age_s` is None where the timestamp is no whole number."""

    age_s: float | None
    tolerance_s: float
    is_milliseconds: bool = False

    @property
    def is_off(self) -> bool:
        # Written so that an age or a tolerance that is not a number counts as off.
        return self.age_s is not None and not abs(self.age_s) <= self.tolerance_s

    @property
    def skew(self) -> tuple[Cause, ...]:
        return (clock_skew(self.age_s, self.tolerance_s),) if self.age_s is not None and self.is_off else ()

    @property
    def warnings(self) -> tuple[Cause, ...]:
        return (causes.MILLISECONDS,) if self.is_milliseconds else ()


def judge(
    headers: Headers,
    body: bytes,
    secret: Secret,
    *,
    now: float,
    tolerance_s: float = DEFAULT_TOLERANCE_S,
    seen: bool = False,
) -> Verdict:
    """Return the verdict on a request received at `now` (seconds since the epoch). Total: never raises.

    `seen` says that this signature was judged good before. An empty secret matches nothing. Only when the plain check
    fails is the reason looked for; see `diagnosis` for what that costs.
    """
    plain = judge_plainly(headers, body, secret, now=now, tolerance_s=tolerance_s, seen=seen)
    if plain is not None:
        return plain
    claim = Claim(*read_fields(headers)).separated()
    return _diagnose(claim, headers, body, secret.reveal(), now=now, tolerance_s=tolerance_s, seen=seen)


def judge_plainly(
    headers: Headers,
    body: bytes,
    secret: Secret,
    *,
    now: float,
    tolerance_s: float = DEFAULT_TOLERANCE_S,
    seen: bool = False,
) -> Verdict | None:
    """Return `judge`'s verdict where it needs no diagnosis, else None. Total, and fit for an event loop.

    Costs one HMAC over `body` at most. It decides what is signed exactly as Port does it (valid, or stale), and what
    no diagnosis could say more of: a header that is missing or malformed, an empty secret.
    """
    signatures, timestamps = read_fields(headers)
    if not signatures or not timestamps:
        return _missing(Claim(signatures, timestamps))
    key = secret.reveal()
    is_signed = _is_signed(signatures[0], timestamps[0], body, key)
    # What nearly every request is, before anything is built that only a warning or a diagnosis needs.
    if is_signed and len(signatures) == len(timestamps) == 1 and not seen and _plain_seconds(timestamps[0]):
        age_s = now - int(timestamps[0])
        if abs(age_s) <= tolerance_s:
            return Verdict(status=Status.VALID, reading=RAW, age_s=age_s)
    claim = Claim(signatures, timestamps)
    clock = _clock(timestamps[0], now, tolerance_s)
    if is_signed and clock.age_s is not None:
        return _good(Status.VALID, RAW, (), clock, _repeats(claim, seen=seen))
    return _hopeless(claim.separated(), key, now, tolerance_s)


def signature_key(headers: Headers) -> bytes | None:
    """Return the 32 bytes that the first signature means, by which to remember it; None where it holds none.

    Of a request that `judge` found good these are the HMAC itself, and it is the first signature that was found good:
    so a request that is sent again has the same key, however the header is written or doubled then.
    """
    first = next((text for value in headers.all(SIGNATURE_HEADER) if (text := value.strip(OWS))), "")
    if _as_port_writes_it(first):  # nearly always, and on the listener's path
        return a2b_base64(first[3:])
    reading = read_signature(first) if first else None
    return reading.digest if reading else None


def _hopeless(claim: Claim, key: str, now: float, tolerance_s: float) -> Verdict | None:
    """Return the verdict on a claim that nothing can match."""
    readings = claim.readings()
    if readings and key and len(claim.timestamps[0]) <= MAX_TIMESTAMP_CHARACTERS:
        return None
    return _unmatched(claim, _clock(claim.timestamps[0], now, tolerance_s), readings)


def _diagnose(
    claim: Claim, headers: Headers, body: bytes, key: str, *, now: float, tolerance_s: float, seen: bool
) -> Verdict:
    # A valid signature needs no diagnosis, and `verify` starts faster without its modules.
    from port_hook_cli.signatures.diagnosis import find_matches, secret_variants, timestamp_variants

    clock = _clock(claim.timestamps[0], now, tolerance_s)
    readings = claim.readings()
    found = find_matches(readings, timestamp_variants(claim.timestamps), secret_variants(key), body, headers)
    if not found.matches:
        return _unmatched(claim, clock, readings, found.untried)
    return _matched(claim, clock, found.matches, seen=seen)


def _missing(claim: Claim) -> Verdict:
    signature = () if claim.signatures else (causes.SIGNATURE_MISSING,)
    timestamp = () if claim.timestamps else (causes.TIMESTAMP_MISSING,)
    return Verdict(status=Status.MISSING, causes=(*signature, *timestamp))


def _clock(timestamp: str, now: float, tolerance_s: float) -> _Clock:
    if not whole_number(timestamp):
        return _Clock(None, tolerance_s)
    signed = int(timestamp)
    is_milliseconds = signed >= MILLISECONDS_FROM
    return _Clock(now - (signed / 1000 if is_milliseconds else signed), tolerance_s, is_milliseconds)


def _is_signed(signature: str, timestamp: str, body: bytes, key: str) -> bool:
    if len(signature) != _SIGNATURE_CHARACTERS or len(timestamp) > MAX_TIMESTAMP_CHARACTERS:
        return False
    expected = _PREFIX + b64encode(digest(key, timestamp, body))
    return compare_digest(expected, signature.encode("utf-8", "surrogatepass")) and key != ""


def _repeats(claim: Claim, *, seen: bool) -> tuple[Cause, ...]:
    return (causes.REPLAYED, *claim.doubling) if seen else claim.doubling


def _good(
    status: Status, reading: str, deviations: tuple[Cause, ...], clock: _Clock, repeats: tuple[Cause, ...]
) -> Verdict:
    """Return the verdict on a good signature: `status`, as far as it is in time."""
    return Verdict(
        status=Status.STALE if clock.is_off else status,
        reading=reading,
        causes=_distinct((*clock.skew, *deviations, *clock.warnings, *repeats)),
        age_s=clock.age_s,
    )


def _matched(claim: Claim, clock: _Clock, matches: tuple[Match, ...], *, seen: bool) -> Verdict:
    """Return the verdict on a signature that matches something, though not what it should."""
    deviations = tuple(cause for match in matches for cause in match.causes)
    repeats = _repeats(claim, seen=seen)
    reading = matches[0].reading
    is_form = all(match.is_exact and match.is_same_document for match in matches)
    if is_form and clock.age_s is not None and not claim.is_joined:
        return _good(Status.REENCODED, reading, deviations, clock, repeats)
    malformed = (causes.TIMESTAMP_MALFORMED,) if clock.age_s is None else ()
    joined = claim.doubling if claim.is_joined else ()
    return Verdict(
        status=Status.INVALID,
        reading=reading,
        causes=_distinct((*malformed, *deviations, *joined, *clock.skew, *clock.warnings, *repeats)),
        age_s=clock.age_s,
    )


def _unmatched(claim: Claim, clock: _Clock, readings: list[SignatureReading], untried: Sequence[str] = ()) -> Verdict:
    notation = readings[0].causes if readings else (causes.NOT_A_SIGNATURE,)
    is_malformed = not readings or clock.age_s is None
    malformed = (causes.TIMESTAMP_MALFORMED,) if clock.age_s is None else ()
    wrong = () if is_malformed else (causes.wrong_secret(untried),)
    return Verdict(
        status=Status.MALFORMED if is_malformed else Status.INVALID,
        causes=_distinct((*notation, *malformed, *wrong, *clock.skew, *claim.doubling)),
        age_s=clock.age_s,
    )


def _distinct(found: Iterable[Cause]) -> tuple[Cause, ...]:
    """Return the first cause of each slug."""
    by_slug: dict[str, Cause] = {}
    for cause in found:
        by_slug.setdefault(cause.slug, cause)
    return tuple(by_slug.values())
