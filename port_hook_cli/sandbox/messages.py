"""Requests and responses of the sandbox's API, without sockets, and errors in Port's format."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any
from urllib.parse import parse_qsl, unquote

from port_hook_cli.frozen import frozen
from port_hook_cli.http.limits import format_size
from port_hook_cli.http.web_pages import WebPageRequest
from port_hook_cli.javascript.nesting import MOST_LEVELS, nests_too_deep
from port_hook_cli.sandbox.checks import Fields, find_fault, find_query_fault

_MAX_USER_AGENT = 500


@frozen(kw_only=True)
class ApiRequest:
    """A parsed request: decoded path segments, a query (commas join repeated fields), a token and a body.

    `reserved` is true if the request has the header `x-port-reserved-usage: true`, which Port's agent sends.
    `user_agent` becomes the datasource of the entities that the request saves, as in Port.
    """

    method: str
    segments: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)
    token: str | None = field(default=None, repr=False)
    reserved: bool = False
    user_agent: str = ""
    body: bytes = field(default=b"", repr=False)


def read_request(method: str, target: str, fields: Mapping[str, str], body: bytes) -> ApiRequest:
    """Return the request with this percent-encoded target (path and query) and these headers with lowercase names."""
    path, _, query = target.partition("?")
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    kind, _, token = fields.get("authorization", "").partition(" ")
    return ApiRequest(
        method=method,
        segments=tuple(unquote(segment) for segment in path.split("/")[1:]),
        query={name: ",".join(given) for name, given in values.items()},
        # Port's OpenAPI document describes the token as the whole header. Its examples write `Bearer` before the token.
        token=token.strip() if kind.lower() == "bearer" else kind,
        reserved=fields.get("x-port-reserved-usage", "").lower() == "true",
        user_agent=fields.get("user-agent", "")[:_MAX_USER_AGENT],
        body=body,
    )


@frozen(kw_only=True)
class ApiResponse:
    """A response: a status and a JSON document. Observers also get the ID of the run and a note on what happened.

    `invokes` is the ID of the action run whose invocation is sent after the response. `walks` is the ID of the workflow
    run that continues after the response.
    """

    status: int
    document: Mapping[str, Any]
    run_id: str | None = None
    note: str = ""
    invokes: str | None = None
    walks: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


DISABLED = " (`{}: false` disables it in Port, and Port's response is not documented)"
"""The end of the note on a started run whose start is disabled in Port. The placeholder is the name of the field."""


def ok(
    fields: Mapping[str, Any] | None = None,
    note: str = "",
    *,
    status: int = 200,
    run_id: str | None = None,
    invokes: str | None = None,
    walks: str | None = None,
) -> ApiResponse:
    """Return the response to a successful call. Its document contains `ok` and these `fields`."""
    document = {"ok": True, **(fields or {})}
    return ApiResponse(status=status, document=document, run_id=run_id, note=note, invokes=invokes, walks=walks)


class Rejected(Exception):
    """An error response of Port's API. `remark` is only for observers. The response doesn't contain it."""

    def __init__(
        self, status: int, slug: str, message: str, headers: Mapping[str, str] | None = None, *, remark: str = ""
    ) -> None:
        super().__init__(message)
        self.response = ApiResponse(
            status=status,
            document={"ok": False, "error": slug, "message": message},
            note="; ".join(filter(None, (f"{slug}: {message}", remark))),
            headers=headers or {},
        )


def invalid(message: str, *, remark: str = "") -> Rejected:
    """Return the 422 for a request that does not match the schema of the route."""
    return Rejected(422, "invalid_request", message, remark=remark)


def not_found(what: str, name: str, *, remark: str = "") -> Rejected:
    """Return the 404 for a name that does not exist. An example of `what` is "Action with identifier"."""
    return Rejected(404, "not_found", f'{what} "{name}" was not found', remark=remark)


def not_found_in(blueprint: str, what: str, name: str, *, remark: str = "") -> Rejected:
    """Return the 404 for a name that does not exist in a blueprint."""
    return Rejected(404, "not_found", f'{what} "{name}" was not found in "{blueprint}"', remark=remark)


def taken(what: str, name: str) -> Rejected:
    """Return the 409 for a name that already exists. An example of `what` is "An action with identifier"."""
    return Rejected(409, "identifier_taken", f'{what} "{name}" already exists')


def no_ai(_: object, __: ApiRequest, *___: str) -> ApiResponse:
    """Reject a prompt, because the sandbox has no AI and an invented response would mislead the user."""
    raise Rejected(501, "not_implemented", "The sandbox has no AI, so it cannot respond to prompts")


def too_large() -> ApiResponse:
    """Return the response to a body over 1 MiB."""
    return Rejected(413, "payload_too_large", "Request body is too large (limit is 1MiB)").response


def without_version() -> ApiResponse:
    """Return the response to a run that calls Port's own API with a path that does not begin with exactly one `/v1`."""
    return Rejected(404, "not_found", "Port's API has no such route: its paths begin with a single /v1").response


def full(limit: int) -> Rejected:
    """Return the error for a sandbox that cannot hold more entities, logs or other parts."""
    most = f"{format_size(limit)}, or {format_size(limit // 4)} in one part"
    message = f"The sandbox has reached its limit of {most}. Delete entities, or start an empty sandbox."
    return Rejected(507, "sandbox_full", message)


def too_many(wait_s: int) -> ApiResponse:
    """Return the response to a call over the rate limit. The next call is allowed in `wait_s` seconds."""
    message = f"Too many requests. Try again in {wait_s} seconds"
    return Rejected(429, "rate_limit_exceeded", message, {"retry-after": str(wait_s)}).response


def from_web_page(found: WebPageRequest) -> ApiResponse:
    """Return the response to a request that a web page may have sent."""
    if found.is_by_host:
        return Rejected(421, "misdirected_request", f"{found.message}. Use 127.0.0.1 or localhost.").response
    return Rejected(403, "forbidden", f"{found.message}. The sandbox only accepts calls from programs.").response


def failed(bug: Exception) -> ApiResponse:
    """Return the response for an unexpected exception."""
    return Rejected(500, "internal_error", f"The sandbox has a bug: {type(bug).__name__}: {bug}").response


def not_saved(problem: str) -> ApiResponse:
    """Return the response for a change that could not be saved."""
    return Rejected(500, "internal_error", f"The sandbox could not save the change: {problem}").response


def check_query(request: ApiRequest, *, max_limit: int) -> None:
    """Raise Rejected with 422 for an invalid query. `max_limit` is the highest `limit` of the route."""
    if fault := find_query_fault(request.query, max_limit=max_limit):
        raise invalid(fault)


def read_body(
    request: ApiRequest, fields: Fields, required: tuple[str, ...] = (), *, others: bool = False
) -> dict[str, Any]:
    """Return the JSON object in the request body.

    Raises Rejected with a 422 that contains the name of the invalid field. With `others`, fields that are not in
    `fields` may have any value.
    """
    try:
        text = request.body.decode(json.detect_encoding(request.body), "surrogatepass")
        if nests_too_deep(text):
            raise invalid(f"body is nested too deeply: the sandbox accepts {MOST_LEVELS} levels")
        body = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise invalid("body must be JSON") from None
    if fault := find_fault(body, fields, required=required, others=others):
        raise invalid(fault)
    checked: dict[str, Any] = body
    return checked


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("the number exceeds the range of a double")
    return number
