"""What comes in and what goes out, without sockets, and the errors in the shape that Port gives them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from port_hook_cli.http.web_pages import Foreign
from port_hook_cli.sandbox.checks import Fields, find_fault, find_query_fault


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """A request, taken apart: decoded path segments, query (repeated fields joined by commas), token, body.

    `reserved` tells that it has the header `x-port-reserved-usage: true`, which Port's agent sends.
    """

    method: str
    segments: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)
    token: str | None = field(default=None, repr=False)
    reserved: bool = False
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiResponse:
    """A status, a JSON document, and for the onlooker the run it was about and what happened, in words.

    `invokes` is the run whose invocation is to be sent from now on.
    """

    status: int
    document: Mapping[str, Any]
    run_id: str | None = None
    note: str = ""
    invokes: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """An error answer of Port's API."""

    def __init__(self, status: int, slug: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.response = ApiResponse(
            status=status,
            document={"ok": False, "error": slug, "message": message},
            note=f"{slug}: {message}",
            headers=headers or {},
        )


def invalid(message: str) -> Refused:
    """Return the 422 of a request that does not match the route's schema."""
    return Refused(422, "invalid_request", message)


def too_large() -> ApiResponse:
    """Return the answer to a body over 1 MiB."""
    return Refused(413, "payload_too_large", "Request body is too large (limit is 1MiB)").response


def too_many(wait_s: int) -> ApiResponse:
    """Return the answer to a call over the limit; the next is welcome in `wait_s` seconds."""
    words = f"Too many requests; try again in {wait_s} seconds"
    return Refused(429, "rate_limit_exceeded", words, {"retry-after": str(wait_s)}).response


def foreign(found: Foreign) -> ApiResponse:
    """Return the answer to a request that a web page may have made."""
    if found.is_by_host:
        return Refused(421, "misdirected_request", f"{found.message}. Use 127.0.0.1 or localhost.").response
    return Refused(403, "forbidden", f"{found.message}. The sandbox only accepts calls from programs.").response


def failed(bug: Exception) -> ApiResponse:
    """Return the answer of a sandbox that has a bug."""
    return Refused(500, "internal_error", f"The sandbox has a bug: {type(bug).__name__}: {bug}").response


def not_saved(problem: str) -> ApiResponse:
    """Return the answer of a sandbox that could not write its state file."""
    return Refused(500, "internal_error", f"The sandbox could not save what this call did: {problem}").response


def check_query(request: ApiRequest, *, most: int) -> None:
    """Raise the 422 of a query that the route does not take; `most` is its highest `limit`."""
    if fault := find_query_fault(request.query, most=most):
        raise invalid(fault)


def read_body(
    request: ApiRequest, fields: Fields, required: tuple[str, ...] = (), *, others: bool = False
) -> dict[str, Any]:
    """Return the request's JSON object; raises the 422 that names the field which does not belong or fit.

    With `others`, fields that are not among `fields` may hold anything.
    """
    try:
        body = json.loads(request.body, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise invalid("body must be JSON") from None
    if fault := find_fault(body, fields, required=required, others=others):
        raise invalid(fault)
    checked: dict[str, Any] = body
    return checked


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is Python's, not JSON's")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number that no double holds could not be shown again")
    return number
