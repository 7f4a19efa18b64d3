"""What an answer of Port's API means: whether to try again and when, or what to tell the user."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from port_hook_cli.errors import CREDENTIALS_IN_PORT, PortApiError, RunEndedError
from port_hook_cli.javascript.nesting import nests_too_deep
from port_hook_cli.runs.updates import Call

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 8.0
_LONGEST_QUOTE = 500

_NEVER = frozenset(
    {
        HTTPStatus.NOT_IMPLEMENTED,
        HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
        HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED,
    }
)
_LONGEST_TOKEN = 16 * 1024
_LONGEST_LIFETIME_S = 1e12

_HINTS = {
    HTTPStatus.UNAUTHORIZED: "Check PORT_CLIENT_ID and PORT_CLIENT_SECRET, and that PORT_REGION or PORT_API_URL"
    " names your organization's region.",
    HTTPStatus.FORBIDDEN: "These credentials may not do that; check which organization and role they belong to.",
    HTTPStatus.NOT_FOUND: "No such run in this organization: check the id, and that the credentials and the region"
    " (PORT_REGION, PORT_API_URL) are those of the organization that started it.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Port takes at most 1 MiB in one request: shorten the summary.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Port does not take these values for this run; see what it says above.",
    HTTPStatus.TOO_MANY_REQUESTS: "Port limits how often its API may be called; wait and run the command again.",
}
_REDIRECTED = "Check PORT_API_URL: Port's API does not redirect."
_SYNCHRONIZED = (
    "The action is synchronized: the HTTP answer of its webhook sets the status. Report without --status, or turn"
    " 'synchronized' off in the action's invocation method."
)


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`, or an empty one when it holds something else. Never raises.

    A document that nests too deeply to be serialized counts as something else, and so do NaN and Infinity.
    """
    try:
        text = body.decode("utf-8-sig")
        document = {} if nests_too_deep(text) else json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def is_worth_another_try(status: int) -> bool:
    """Return whether the same call may succeed later: after 429 and most 5xx."""
    return status == HTTPStatus.TOO_MANY_REQUESTS or is_server_trouble(status)


def is_server_trouble(status: int) -> bool:
    """Return whether the server failed while it handled the call; it may have taken effect then."""
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in _NEVER


def read_token(answer: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return the token that `answer` gives and how many seconds it lasts, or None for none that could be sent.

    A lifetime that is not a number counts as 0. Raises ValueError with a clause for an impossible token or lifetime.
    """
    token, lifetime_s = answer.get("accessToken"), answer.get("expiresIn")
    if not isinstance(token, str):
        return None
    if not token or len(token) > _LONGEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("an access token that no HTTP header can carry")
    if not isinstance(lifetime_s, int | float):
        return token, 0.0
    if not 0 <= lifetime_s <= _LONGEST_LIFETIME_S:
        raise ValueError("an access token whose lifetime (`expiresIn`) is not a possible number of seconds")
    return token, float(lifetime_s)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def problem_of(status: int, body: bytes, call: Call | None = None) -> PortApiError:
    """Return the problem that an error answer stands for, in Port's own words where it gives any."""
    answer = read_object(body)
    slug = answer.get("error")
    # "run_exhausted: Action run already finished execution", Port's API reference, with 422; newer ones say 409.
    if call and (status == HTTPStatus.CONFLICT or slug == "run_exhausted"):
        return run_ended(call.run_id, None)
    hint = _SYNCHRONIZED if slug == "run_synchronized_error" else _hint(status)
    doing = f" to {call.method} {call.path}" if call else ""
    return PortApiError(f"Port's API answered {_name(status)}{doing}: {_explanation(answer, body)}", hint=hint)


def action_problem(identifier: str, status: int | None, problem: PortApiError, *, changing: bool) -> PortApiError:
    """Return `problem`, which an answer about an action or automation stands for, in words that speak of that.

    `status` is None when there was no answer; `changing` tells a PUT from a GET.
    """
    doing = "change" if changing else "read"
    match status:
        case HTTPStatus.FORBIDDEN:
            return PortApiError(
                f"These credentials may not {doing} the action {identifier}. {problem.message}",
                hint=f"Use credentials of a role that may ({CREDENTIALS_IN_PORT}).",
            )
        case HTTPStatus.NOT_FOUND:
            return PortApiError(
                f"Port knows no action or automation {identifier}.",
                hint="Give its identifier, not its title, and check that the credentials and the region (PORT_REGION,"
                " PORT_API_URL) are those of its organization.",
            )
        case HTTPStatus.UNPROCESSABLE_ENTITY:
            return PortApiError(
                f"Port does not take the action {identifier} back as it would be sent. {problem.message}",
                hint="Change the URL in Port by hand; see what it says above.",
            )
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return PortApiError(problem.message, hint="Port takes at most 1 MiB in one request.")
        case _:
            return problem


def run_ended(run_id: str, status: str | None) -> RunEndedError:
    """Return the problem of a run that takes no more updates; `status` is what it ended with, if that is known."""
    how = f" with {status}" if status else ""
    return RunEndedError(
        f"The run {run_id} has already ended{how}; Port takes no more logs, fields or status for it.",
        hint="Look at the run in Port. To report again, run the action again.",
    )


def retry_after_s(value: str | None, now: float) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, never negative; None when it says nothing readable.

    RFC 9110 section 10.2.3 allows whole seconds or an HTTP date; `now` is seconds since the epoch.
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
    """Return the pause in seconds after `tries` failed tries; `chance` in [0, 1) spreads it over its second half."""
    pause: float = min(FIRST_BACKOFF_S * 2 ** (tries - 1), LONGEST_BACKOFF_S)
    return pause * (0.5 + chance / 2)


def _name(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _explanation(answer: dict[str, Any], body: bytes) -> str:
    told = [str(answer[key]) for key in ("error", "message") if answer.get(key)]
    text = ": ".join(told) or body.decode("utf-8", "replace").strip() or "no explanation"
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"


def _hint(status: int) -> str:
    if status // 100 == 3:  # noqa: PLR2004 - the class of redirects
        return _REDIRECTED
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "Port's side has a problem; try again later."
    return _HINTS.get(HTTPStatus(status), "") if status in set(HTTPStatus) else ""
