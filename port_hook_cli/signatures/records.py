"""The records of `sign` and `verify`, described in docs/reference/json-records.md."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from port_hook_cli.invocations.models import SIGNATURE_HEADER, TIMESTAMP_HEADER, Verdict
from port_hook_cli.invocations.records import verdict_fields

if TYPE_CHECKING:
    from port_hook_cli.invocations.snippets import SignedRequest

VERDICT = "port-hook/verdict/1"


SIGNATURE = "port-hook/signature/1"


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as the record that `verify --json` prints."""
    return {
        "schema": VERDICT,
        **verdict_fields(verdict),
        "age_s": None if verdict.age_s is None else round(verdict.age_s, 3),
        "hint": verdict.hint,
        "details": [{"slug": cause.slug, "words": cause.explanation, "fix": cause.fix} for cause in verdict.causes],
    }


def signature_record(request: SignedRequest, *, form: str) -> dict[str, Any]:
    """Return a signed request as the record that `sign --format json` prints.

    `body` is None where the bytes are not UTF-8; `body_base64` is None where they are.
    """
    headers = dict(request.headers)
    try:
        body, encoded = request.body.decode("utf-8"), None
    except UnicodeDecodeError:
        body, encoded = None, b64encode(request.body).decode("ascii")
    return {
        "schema": SIGNATURE,
        "signature": headers[SIGNATURE_HEADER],
        "timestamp": headers[TIMESTAMP_HEADER],
        "form": form,
        "body": body,
        "body_base64": encoded,
        "method": request.method,
        "url": request.url,
        "headers": headers,
    }
