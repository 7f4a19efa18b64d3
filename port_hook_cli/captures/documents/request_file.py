"""Read a request from a capture or from a file (a capture file or raw HTTP), and verify it."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Invocation, Side, Status, Verdict
from port_hook_cli.invocations.view import format_time
from port_hook_cli.signatures.causes import SECRET_OR_BODY, WRONG_SECRET, with_conflict
from port_hook_cli.signatures.changed_body import with_changed_value
from port_hook_cli.signatures.messages import of_record, signed_value, verify_received
from port_hook_cli.signatures.signing import SigningKeys
from port_hook_cli.text.safe import brief
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from port_hook_cli.signatures.own_code import Computed

_RECEIPT = "the time of receipt"
_SENT = "the time when the message was sent to Kafka"


class NotARequest(ValueError):
    """The file does not contain a request. The message says what the file contains instead."""


@frozen
class SavedRequest:
    """The parts of a request that port-hook verifies.

    `compared_at` is the time with which the request's timestamp is compared, in seconds since the epoch, or None if it
    is unknown. `event` describes that time. `is_message` means that the request is a Kafka message. `throwaway_secret`
    is the secret of a redacted capture. `earlier` is an earlier verified request with this signature.
    """

    headers: Headers
    body: bytes
    compared_at: float | None = None
    event: str = _RECEIPT
    is_message: bool = False
    remarks: tuple[str, ...] = ()
    throwaway_secret: Secret | None = None
    earlier: Invocation | None = None


def from_capture(capture: Capture, earlier: Capture | None = None) -> SavedRequest:
    """Return the request of a capture. Raises StoreError if its body is incomplete."""
    from port_hook_cli.captures.documents.capture_fields import require_whole  # faster for `verify --body`

    invocation = require_whole(f"the capture {capture.invocation.id}", capture.invocation)
    return SavedRequest(
        headers=invocation.headers,
        body=invocation.body,
        compared_at=invocation.compared_at,
        event=_RECEIPT if invocation.recorded_at is None else _SENT,
        is_message=invocation.origin is not None,
        remarks=(_replay_remark(invocation.replay_of),) if invocation.replay_of else (),
        throwaway_secret=capture.throwaway_secret,
        earlier=None if earlier is None else earlier.invocation,
    )


def _replay_remark(original: str) -> str:
    return (
        f"this is a replay, which port-hook sent. It repeats the capture {brief(original)}. "
        "`last` is the latest request that arrived"
    )


@frozen
class Explained:
    """The verdict on a capture or a request file, with notes on how it was reached. The request has its own remarks.

    The causes are about the code of `side`.
    """

    verdict: Verdict
    notes: tuple[str, ...]
    side: Side = Side.SENDER


def explain(
    saved: SavedRequest,
    keys: SigningKeys,
    *,
    now: float,
    tolerance_s: float,
    conflict: str = "",
    computed: Computed | None = None,
    known: Iterable[tuple[Secret, str]] = (),
) -> Explained:
    """Verify a signature and explain the verdict, with the request's age at `now` (seconds since the epoch).

    The signature is the request's own, or the signature that the user's code `computed` for the request. `keys` are the
    client secret, which decides the verdict, and other values that may have been used instead. `known` yields
    the secret and the name of each place, and is read only if nothing else explains the signature.
    `conflict` means that two places have different secrets, and is added to the fix for a wrong secret.
    """
    verify = partial(
        verify_received,
        body=saved.body,
        secret=keys.secret,
        is_message=saved.is_message,
        now=now,
        tolerance_s=tolerance_s,
    )
    if computed is None:
        others = () if keys.other is None else (keys.other,)
        verdict, side, note = verify(saved.headers, seen=_seen(saved.earlier, verify), others=others), Side.SENDER, ""
        if saved.earlier is not None:
            verdict = with_changed_value(verdict, saved.earlier.id, saved.earlier.body, saved.body)
        if SECRET_OR_BODY.slug in verdict.slugs:
            for known_secret, place in known:
                other = verify(saved.headers, others=(known_secret,))
                if WRONG_SECRET.slug in other.slugs:
                    verdict, conflict = other, f"The signature matches the client secret from {place}."
                    break
    else:
        from port_hook_cli.signatures.own_code import compare_signature
        from port_hook_cli.signatures.wrong_ways import wrong_ways

        signed = signed_value(saved.body) if saved.is_message else saved.body
        verdict, side, note = compare_signature(saved.headers, computed, verify, wrong_ways(keys), signed)
    if saved.event == _SENT and now == saved.compared_at:
        verdict = of_record(verdict)
    age = (f"the age is relative to {saved.event}, {format_time(now)}",) if now == saved.compared_at else ()
    return Explained(with_conflict(verdict, conflict), ((note, *age) if note else age), side)


def _seen(earlier: Invocation | None, verify: Callable[..., Verdict]) -> float | None:
    """Return the signed time of an earlier request, if it has the same secret, in seconds since the epoch."""
    if earlier is None:
        return None
    at = earlier.compared_at
    verdict = verify(earlier.headers, body=earlier.body, is_message=earlier.origin is not None, now=at)
    is_same = verdict.status in {Status.VALID, Status.REENCODED, Status.STALE}
    return at - verdict.age_s if is_same and verdict.age_s is not None else None


def read_request(content: bytes) -> SavedRequest:
    """Return the request from a file. Raises NotARequest, or StoreError for an incomplete body."""
    from port_hook_cli.invocations.http_text import NotHttp, is_request, parse_request

    if is_request(content):
        try:
            request = parse_request(content)
        except NotHttp as error:
            raise NotARequest(f"it begins like an HTTP request, but {error}") from error
        return SavedRequest(headers=request.headers, body=request.body, remarks=request.remarks)
    capture = capture_in(content)
    if capture is None:
        raise NotARequest(_what_it_is(content))
    return from_capture(capture)


def capture_in(content: bytes) -> Capture | None:
    """Return the capture from a file, or None for any other file. Raises NotARequest for a damaged capture file."""
    from port_hook_cli.captures.documents.capture_fields import NotACapture
    from port_hook_cli.captures.documents.capture_file import is_capture, read_capture

    document = _document(content)
    if not is_capture(document):
        return None
    try:
        return read_capture(document)
    except NotACapture as error:
        raise NotARequest(f"it is a damaged capture file: {error}") from error


def _document(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _what_it_is(content: bytes) -> str:
    if not content.strip():
        return "it is empty"
    if _document(content) is not None:
        return "it is JSON, but not a capture file"
    return "it is neither a capture file nor an HTTP request with a first line like 'POST / HTTP/1.1'"
