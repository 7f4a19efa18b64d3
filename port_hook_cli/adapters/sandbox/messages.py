"""What comes in and what goes out, without sockets, and the errors in the shape that Port gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from port_hook_cli.adapters.sandbox.checks import Fields, find_fault, find_query_fault


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """A request, taken apart: decoded path segments, query (repeated fields joined by commas), token, body."""

    method: str
    segments: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)
    token: str | None = field(default=None, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAnswer:
    """A status, a JSON document, and for the onlooker the run it was about and what happened, in words."""

    status: int
    document: Mapping[str, Any]
    run_id: str | None = None
    note: str = ""


class Refused(Exception):
    """An error answer of Port's API."""

    def __init__(self, status: int, slug: str, message: str) -> None:
        super().__init__(message)
        self.answer = ApiAnswer(
            status=status, document={"ok": False, "error": slug, "message": message}, note=f"{slug}: {message}"
        )


def too_large() -> ApiAnswer:
    """Return the answer to a body over 1 MiB."""
    return Refused(413, "payload_too_large", "Request body is too large (limit is 1MiB)").answer


def failed(bug: Exception) -> ApiAnswer:
    """Return the answer of a sandbox that has a bug."""
    return Refused(500, "internal_error", f"The sandbox has a bug: {type(bug).__name__}: {bug}").answer


def check_query(request: ApiRequest, *, most: int) -> None:
    """Raise the 422 of a query that the route does not take; `most` is its highest `limit`."""
    if fault := find_query_fault(request.query, most=most):
        raise Refused(422, "invalid_request", fault)


def read_body(request: ApiRequest, fields: Fields, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the request's JSON object; raises the 422 that names the field which does not belong or fit."""
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        raise Refused(422, "invalid_request", "body must be JSON") from None
    if fault := find_fault(body, fields, required=required):
        raise Refused(422, "invalid_request", fault)
    checked: dict[str, Any] = body
    return checked
