"""The meaning of a response of Port's API: whether and when to retry the call, or which error to show."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from port_hook_cli.errors import CREDENTIALS_IN_PORT, ORGANIZATION_SIGNS, PortApiError, RunEndedError
from port_hook_cli.invocations.statuses import format_status
from port_hook_cli.javascript.nesting import nests_too_deep, strict_json
from port_hook_cli.runs.updates import Call
from port_hook_cli.text.safe import shorten

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 8.0
_MAX_QUOTED_CHARACTERS = 500

_FINAL = frozenset(
    {
        HTTPStatus.NOT_IMPLEMENTED,
        HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
        HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED,
    }
)
_MAX_TOKEN_CHARACTERS = 16 * 1024
_MAX_LIFETIME_S = 1e12

_HINTS = {
    HTTPStatus.UNAUTHORIZED: "Check PORT_CLIENT_ID and PORT_CLIENT_SECRET, and that PORT_REGION or PORT_API_URL"
    " match the region of your organization.",
    HTTPStatus.FORBIDDEN: "These credentials do not have this permission. Check their organization and role.",
    HTTPStatus.NOT_FOUND: "This organization has no such run. Check the ID, and that the credentials and the region"
    " (PORT_REGION, PORT_API_URL) belong to the organization that started it.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Port accepts at most 1 MiB per request: shorten the summary.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Port does not accept these values for this run. See its message above.",
    HTTPStatus.TOO_MANY_REQUESTS: "Port limits the rate of calls to its API. Wait, then run the command again.",
}
_REDIRECTED = "Check PORT_API_URL: Port's API does not redirect."
_SYNCHRONIZED = (
    "The action is synchronized: the HTTP response of its webhook sets the status. Report without --status, or turn"
    " 'synchronized' off in the action's invocation method."
)


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`, or an empty object for any other content. Never raises.

    The result is also empty for a document with NaN or Infinity, or whose nesting is too deep to be serialized.
    """
    try:
        text = body.decode("utf-8-sig")
        document = {} if nests_too_deep(text) else strict_json(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def is_worth_another_try(status: int) -> bool:
    """Return whether the same call may succeed later, which is true after 429 and most 5xx statuses."""
    return status == HTTPStatus.TOO_MANY_REQUESTS or is_server_trouble(status)


def is_server_trouble(status: int) -> bool:
    """Return whether the server failed while it handled the call, so that the call may have taken effect."""
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in _FINAL


def read_token(response: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return the token in `response` and its lifetime in seconds, or None if there is no token.

    A lifetime that is not a number counts as 0. Raises ValueError with a noun phrase for an unusable token or lifetime.
    """
    token, lifetime_s = response.get("accessToken"), response.get("expiresIn")
    if not isinstance(token, str):
        return None
    if (
        not token
        or len(token) > _MAX_TOKEN_CHARACTERS
        or not token.isascii()
        or not token.isprintable()
        or " " in token
    ):
        raise ValueError("an access token with characters that an HTTP header cannot have")
    if not isinstance(lifetime_s, int | float):
        return token, 0.0
    if not 0 <= lifetime_s <= _MAX_LIFETIME_S:
        raise ValueError("an access token with an impossible lifetime (`expiresIn`)")
    return token, float(lifetime_s)


def machine_claim(token: str) -> bool | None:
    """Return the claim `isMachine` in an access token, or None if the token does not have it. Never raises.

    The token's signature is not verified, so the claim is only for display. Ocean's client reads this claim.
    """
    _, _, rest = token.partition(".")
    payload = rest.partition(".")[0]
    try:
        claim = read_object(urlsafe_b64decode(payload + "=" * (-len(payload) % 4))).get("isMachine")
    except ValueError:
        return None
    return claim if isinstance(claim, bool) else None


def about_signing(claim: bool | None) -> str:
    """Return sentences about whether accepted credentials also sign. `claim` is the result of `machine_claim`."""
    if claim is None:
        return ORGANIZATION_SIGNS
    return (
        f"{ORGANIZATION_SIGNS} The token has the claim isMachine: {str(claim).lower()}. "
        "The claim does not show whether the secret signs, because the organization's token may have it too."
    )


def problem_of(status: int, body: bytes, call: Call | None = None) -> PortApiError:
    """Return the error for an error response, with Port's own message if the response has one."""
    document = read_object(body)
    slug = document.get("error")
    # Port's API reference describes "run_exhausted: Action run already finished execution" with 422. Other routes may
    # use 409.
    if call and (status == HTTPStatus.CONFLICT or slug == "run_exhausted"):
        return run_ended(call.run_id, None)
    hint = _SYNCHRONIZED if slug == "run_synchronized_error" else _hint(status)
    doing = f" to {call.method} {call.path}" if call else ""
    message = f"Port's API responded with {format_status(status)}{doing}: {_explanation(document, body)}"
    return PortApiError(message, hint=hint, status=status)


def definition_problem(
    kind: str, identifier: str, failed: tuple[int | None, PortApiError], *, changing: bool
) -> PortApiError:
    """Return the error about a definition of the kind `action` (including automations) or `workflow`.

    `failed` is the status of the failed call, or None without a response, and the error. `changing` is true for a PUT.
    """
    status, problem = failed
    doing = "change" if changing else "read"
    match status:
        case HTTPStatus.FORBIDDEN:
            return PortApiError(
                f"These credentials have no permission to {doing} the {kind} {identifier}. {problem.message}",
                hint=f"Use credentials of a role with this permission ({CREDENTIALS_IN_PORT}).",
            )
        case HTTPStatus.NOT_FOUND:
            return PortApiError(
                f"Port has no {'action or automation' if kind == 'action' else kind} {identifier}.",
                hint="Use its identifier, not its title, and check that the credentials and the region (PORT_REGION,"
                " PORT_API_URL) belong to its organization.",
                status=status,
            )
        case HTTPStatus.UNPROCESSABLE_ENTITY:
            return PortApiError(
                f"Port does not accept the changed {kind} {identifier}. {problem.message}",
                hint="See Port's message above, or change the URL in Port yourself.",
            )
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return PortApiError(problem.message, hint="Port accepts at most 1 MiB per request.")
        case _:
            return problem


def run_ended(run_id: str, status: str | None, *, is_log: bool = False) -> RunEndedError:
    """Return the error for a run that has ended. `status` is the run's final status, if known.

    `is_log` means that Port rejected a log message.
    """
    how = f" with {status}" if status else ""
    refused = "log messages" if is_log else "fields or status"
    more = "" if is_log else " Or send only log messages, without a status or other fields."
    return RunEndedError(
        f"The run {run_id} has already ended{how}. Port does not accept more {refused} for it.",
        hint=f"Check the run in Port. To report again, run the action again.{more}",
    )


def asked_wait_s(status: int, headers: Mapping[str, str], now: float) -> float | None:
    """Return the pause in seconds that a response asks for, or None. The names in `headers` are in lowercase.

    `Retry-After` takes precedence. Without `Retry-After`, a 429 response has the seconds until Port's rate limit is
    reset.
    """
    wait_s = retry_after_s(headers.get("retry-after"), now)
    reset = headers.get("x-ratelimit-reset", "").strip()
    if wait_s is not None or status != HTTPStatus.TOO_MANY_REQUESTS or not (reset.isascii() and reset.isdigit()):
        return wait_s
    return float(reset[:10]) or None  # 0 means the usual pause


def retry_after_s(value: str | None, now: float) -> float | None:
    """Return the seconds in a `Retry-After` header, never negative, or None if it is missing or unreadable.

    RFC 9110 section 10.2.3 allows whole seconds or an HTTP date. `now` is in seconds since the epoch.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)


def backoff_s(tries: int, chance: float) -> float:
    """Return the pause in seconds after `tries` failed tries.

    `chance` in [0, 1) chooses a pause between half of the backoff and the whole backoff.
    """
    pause: float = min(FIRST_BACKOFF_S * 2 ** (tries - 1), MAX_BACKOFF_S)
    return pause * (0.5 + chance / 2)


def _explanation(document: dict[str, Any], body: bytes) -> str:
    parts = [str(document[key]) for key in ("error", "message") if document.get(key)]
    text = ": ".join(parts) or body.decode("utf-8", "replace").strip() or "no explanation"
    return shorten(text, _MAX_QUOTED_CHARACTERS)


def _hint(status: int) -> str:
    if status // 100 == 3:  # noqa: PLR2004 - redirects
        return _REDIRECTED
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "Port has a problem. Try again later."
    return _HINTS.get(HTTPStatus(status), "") if status in set(HTTPStatus) else ""
