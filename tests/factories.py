"""Values for tests. Keywords override their fields."""

from __future__ import annotations

import json
import time
from typing import Any

from port_hook_cli.actions.samples import NON_ASCII_USER, create_vm
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Invocation, Status, Verdict
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.signatures.signing import signed_headers
from port_hook_cli.text.secret import Secret

SECRET = Secret("a-client-secret-of-thirty-two-characters")
NOW = 1_700_000_000.0
RUN_ID = "r_QOz6WoOB1Q2lmhZZ"


def a_document(**overrides: Any) -> dict[str, Any]:
    """Return the default payload of the "Create VM" action."""
    return {**create_vm(RUN_ID, at="2023-11-14T22:13:20.000Z", user=NON_ASCII_USER), **overrides}


def a_body(document: Any = None) -> bytes:
    """Return the bytes that Port sends for `document`. JSON.stringify must not change its numbers or keys."""
    return json.dumps(
        a_document() if document is None else document, ensure_ascii=False, separators=(",", ":")
    ).encode()


def signed(body: bytes, *, secret: Secret = SECRET, timestamp: str | None = None) -> Headers:
    """Return the headers of a request with `body`, signed at `timestamp` (default: NOW, in seconds)."""
    return Headers(
        (
            ("Host", "localhost"),
            ("content-type", "application/json"),
            *signed_headers(body, secret, str(int(NOW)) if timestamp is None else timestamp),
        )
    )


def now_signed(body: bytes, *, secret: Secret = SECRET, per_second: int = 1) -> Headers:
    """Return the headers of a request with `body`, signed now."""
    return signed(body, secret=secret, timestamp=str(int(time.time() * per_second)))


def an_invocation(body: bytes | None = None, **overrides: Any) -> Invocation:
    """Return a signed POST of the "Create VM" action."""
    body = a_body() if body is None else body
    fields: dict[str, Any] = {
        "id": "0123456789ab",
        "received_at": NOW,
        "method": "POST",
        "target": "/",
        "headers": signed(body),
        "body": body,
    }
    return Invocation(**fields | overrides)


def a_capture(invocation: Invocation | None = None, **overrides: Any) -> Capture:
    """Return a verified invocation of the "Create VM" action without a response."""
    invocation = an_invocation() if invocation is None else invocation
    fields: dict[str, Any] = {
        "invocation": invocation,
        "verdict": Verdict(status=Status.VALID, signed_form="raw", age_s=0.25),
        "payload": read_payload(invocation.body, invocation.headers),
    }
    return Capture(**fields | overrides)
