"""The records about a signature in the inspector's API: verdict, computation and first difference.

This module is pure.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from math import isfinite
from typing import Any

from port_hook_cli.inspector.body_records import HEX_WIDTH, MAX_FIELD, cut
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_hook_cli.invocations.models import Capture, Status, Verdict
from port_hook_cli.signatures.causes import TIMESTAMP_MALFORMED
from port_hook_cli.signatures.difference import MOST_OF_A_DIFFERENCE, Excerpt, signed_difference
from port_hook_cli.signatures.messages import signed_value
from port_hook_cli.signatures.signing import sign
from port_hook_cli.signatures.view import meaning
from port_hook_cli.text.secret import Secret

MAX_CAUSES = 20
NOT_COMPUTED = "The inspector has no client secret, so it cannot compute the signature."

_EXPLANATION = 4_000
_SIGNED_TEXT = 400
_MILLISECONDS_FROM = 10**11
_LATEST_S = 2.5e11


def verdict_record(capture: Capture, secret: Secret | None) -> dict[str, Any]:
    """Return the verdict and its explanation.

    `secret` computes the expected signature, and is not part of the record.
    """
    verdict = capture.verdict
    parts = _parts(capture, secret)
    return {
        "status": str(verdict.status),
        "about": _about(verdict, is_same=parts["expected"] is not None and parts["expected"] == parts["received"]),
        "signed_form": cut(verdict.signed_form),
        "age_s": verdict.age_s if verdict.age_s is not None and isfinite(verdict.age_s) else None,
        "causes": [
            {
                "slug": cause.slug[:MAX_FIELD],
                "explanation": cause.explanation[:_EXPLANATION],
                "fix": cause.fix[:_EXPLANATION],
            }
            for cause in verdict.causes[:MAX_CAUSES]
        ],
        "parts": parts,
        "difference": _difference(capture, secret),
    }


def _about(verdict: Verdict, *, is_same: bool) -> str:
    """Return what the verdict means. `is_same` means that the signature equals the expected signature."""
    if TIMESTAMP_MALFORMED.slug in verdict.slugs:
        covered = " The signature matches anyway." if is_same else ""
        return f"The timestamp is not a whole number.{covered}"
    if verdict.status is Status.INVALID and is_same:
        return "The signature did not match the listener's client secret, but it matches the inspector's."
    text = meaning(verdict)
    return f"{text[0].upper()}{text[1:]}."


def _parts(capture: Capture, secret: Secret | None) -> dict[str, Any]:
    """Return how the signature is computed: the timestamp, signed text, received signature and expected signature."""
    invocation = capture.invocation
    timestamp = invocation.headers.get(TIMESTAMP_HEADER)
    is_whole = invocation.truncated is None
    note = None if secret is not None else NOT_COMPUTED
    if not is_whole:
        note = "The store has only part of the body, so the inspector cannot compute the signature."
    body = invocation.body if invocation.origin is None else signed_value(invocation.body)
    signed = f"{timestamp or ''}.".encode("latin-1", "replace") + body
    shown = signed[:_SIGNED_TEXT].decode("utf-8", "replace")
    return {
        "timestamp": cut(timestamp),
        "timestamp_at": _moment(timestamp),
        "signed_text": shown + ("…" if len(signed) > _SIGNED_TEXT else ""),
        "signed_bytes": len(signed),
        "received": cut(invocation.headers.get(SIGNATURE_HEADER)),
        "expected": sign(body, secret, timestamp) if secret and timestamp and is_whole else None,
        "note": note,
    }


def _moment(timestamp: str | None) -> float | None:
    """Return the time of a timestamp that is in seconds or milliseconds. Return None for any other timestamp."""
    text = (timestamp or "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 15:  # noqa: PLR2004 - more digits are not a time
        return None
    value = float(text)
    value = value / 1000 if value >= _MILLISECONDS_FROM else value
    return value if value <= _LATEST_S else None


def _difference(capture: Capture, secret: Secret | None) -> dict[str, Any] | None:
    """Return the first difference between the raw body and the signed form."""
    invocation, signed_form = capture.invocation, capture.verdict.signed_form
    if invocation.truncated is not None:
        return None
    timestamp, received = (invocation.headers.get(name) for name in (TIMESTAMP_HEADER, SIGNATURE_HEADER))

    def is_signed(form: bytes) -> bool:
        return secret is not None and timestamp is not None and sign(form, secret, timestamp) == received

    found = signed_difference(invocation.body, invocation.headers, signed_form, is_signed=is_signed)
    if found is None:
        return None
    return {"offset": found.offset, "raw": _excerpt(found.raw), "signed": _excerpt(found.signed)}


def _excerpt(excerpt: Excerpt) -> dict[str, Any]:
    before, differs, after = excerpt
    start = next((at for at, byte in enumerate(before) if byte & 0xC0 != 0x80), 0)  # noqa: PLR2004 - inside a character
    return {
        "before": _shown(before[start:]),
        "differs": _shown(differs, is_whole=bool(after) or len(differs) < MOST_OF_A_DIFFERENCE),
        "after": _shown(after, is_whole=False),
        "hex": differs[:HEX_WIDTH].hex(" "),
        "bytes": len(differs),
    }


def _shown(part: bytes, *, is_whole: bool = True) -> str:
    """Return bytes as text, with escapes for bytes that are not UTF-8. A part may end in the middle of a character."""
    return getincrementaldecoder("utf-8")("backslashreplace").decode(part, final=is_whole)
