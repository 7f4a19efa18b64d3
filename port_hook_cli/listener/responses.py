"""The responses that the listener itself writes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

from port_hook_cli.http.web_pages import WebPageRequest
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Response, Status, Verdict

_JSON = Headers((("content-type", "application/json"),))
ReadFile = Callable[[str], bytes]
_UNAUTHORIZED = 401
BODILESS = frozenset({204, 304})
GREETING_PATH, GREETING = "/.port-hook", b"a port-hook listener"
"""The path at which a listener tells other listeners what it is, and the body of the response."""
OK = Response(status=200, headers=_JSON, body=b'{"ok": true}')


class BadResponse(ValueError):
    """A `--respond` value is not a valid response. The message says why."""


def rejected(verdict: Verdict) -> Response:
    """Return the 401 for a request that failed verification."""
    return _problem(
        _UNAUTHORIZED, "signature", f"{verdict.status}: {', '.join(verdict.slugs)}".rstrip(": "), verdict.hint
    )


def not_saved(reason: str) -> Response:
    """Return the 500 for an unsaved request. The listener acknowledges only saved requests."""
    return _problem(500, "not-saved", reason)


def too_large(limit: int) -> Response:
    """Return the 413 for a body above `limit` bytes."""
    return _problem(413, "too-large", f"the body is larger than {limit} bytes", "raise the limit with --max-body")


def _busy() -> Response:
    problem = _problem(503, "busy", "too many requests are being handled", "send the request again in a second")
    return replace(problem, headers=Headers((*_JSON.items, ("retry-after", "1"))))


def from_web_page(found: WebPageRequest) -> Response:
    """Return the response to a request that may come from a web page."""
    if found.is_by_host:
        return _problem(found.status, "host", found.message, own_tunnel_hint(found))
    return _problem(found.status, "web-page", found.message, "send it from a program instead")


def own_tunnel_hint(found: WebPageRequest) -> str:
    """Return a hint for the case that the rejected host is the user's own host, or "" if it cannot be one."""
    if not (found.is_by_host and re.fullmatch(r"[a-z0-9._-]+", found.source)):
        return ""
    return f"if that is your own tunnel, start port-hook with --tunnel https://{found.source}"


def outside(mount: str) -> Response:
    """Return the 404 for a path that the listener does not serve."""
    return _problem(404, "not-found", f"port-hook serves only paths below {mount}")


def too_slow(timeout_s: float) -> Response:
    """Return the 408 for a client that did not send its body in time."""
    return _problem(408, "too-slow", f"the body did not arrive within {timeout_s:g} s")


def unsupported(status: int, message: str) -> Response:
    """Return the response to a request that webhooks never send. Examples are proxy requests and unknown codings."""
    return _problem(status, "unsupported", message)


def unreadable(status: int, reason: str) -> Response:
    """Return the response to malformed HTTP (4xx), or to a request that failed in port-hook (5xx)."""
    return _problem(status, "unreadable" if status // 100 == 4 else "internal", reason)  # noqa: PLR2004 - 4xx


def made_to_fail(remaining: int) -> Response:
    """Return the 500 that `--fail-first` asks for."""
    left = f"{remaining} more invocation{'' if remaining == 1 else 's'} will fail" if remaining else "this was the last"
    return _problem(500, "fail-first", f"--fail-first: {left}")


def undelivered(delivery: Delivery) -> Response:
    """Return the 502 or 504 for a handler that did not respond."""
    status = 504 if delivery.fault == "timeout" else 502
    return _problem(status, delivery.fault or "unreachable", delivery.error or "the handler did not respond")


def parse_response(text: str, read_file: ReadFile) -> Response:
    """Return the response that `STATUS`, `STATUS:BODY` or `STATUS:@FILE` describes. Raises BadResponse.

    A JSON body is sent as `application/json`, and any other body as plain text.
    """
    status, colon, body = text.partition(":")
    if not (len(status) == 3 and status.isdecimal() and 200 <= int(status) <= 599):  # noqa: PLR2004 - final statuses
        raise BadResponse(f"'{status}' is not an HTTP status from 200 to 599")
    if int(status) in BODILESS:
        if body:
            raise BadResponse(f"a response with status {status} cannot have a body")
        return Response(status=int(status))
    if not colon:
        return Response(status=int(status), headers=_JSON, body=b"{}")
    from port_hook_cli.invocations.payload import content_type_of  # imported here so that `--help` starts faster

    content = read_file(body[1:]) if body.startswith("@") else _encode(body)
    return Response(status=int(status), headers=Headers((("content-type", content_type_of(content)),)), body=content)


def _encode(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise BadResponse(f"the body contains a character that cannot be sent (at {error.start})") from None


def _problem(status: int, error: str, message: str, hint: str = "") -> Response:
    document = {"ok": False, "error": error, "message": message} | ({"hint": hint} if hint else {})
    return Response(status=status, headers=_JSON, body=json.dumps(document).encode())


BUSY = _busy()
"""The 503 for a request beyond the free capacity. The request is not captured."""


NOT_WANTED = _problem(404, "not-wanted", "the listener's --only does not include this action")
"""The 404 for a verified request that `--only` excludes."""


def is_accepted(verdict: Verdict, *, strict: bool) -> bool:
    """Return whether a request with this verdict may be forwarded."""
    return verdict.status is Status.VALID or (verdict.status is Status.REENCODED and not strict)
