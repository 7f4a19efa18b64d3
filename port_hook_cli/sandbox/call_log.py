"""The latest calls that clients made over HTTP.

The log shows the run of each call and how the call asked to end the run. Tests of handlers read the calls in the same
process or through GET /v1/sandbox/calls.
"""

from __future__ import annotations

import string
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Any
from urllib.parse import quote

from port_hook_cli.frozen import frozen
from port_hook_cli.runs.seen_calls import MAX_CALLS, SeenCall
from port_hook_cli.runs.updates import ENDED
from port_hook_cli.sandbox.messages import ApiRequest, Rejected, read_body

_MAX_PATH_CHARACTERS = 500
_MAX_WORD_CHARACTERS = 40
_OWN = ("v1", "sandbox")


@frozen
class CallIntent:
    """The intent of a call: the run in its path or query, and how to end the run. `run` may be an external ID."""

    run: str | None = None
    ends: str = ""
    result: str = ""


def find_intent(request: ApiRequest) -> CallIntent:
    """Return the intent of a request. The path of the request begins with one `/v1`."""
    match (request.method, *request.segments):
        case ("PATCH", "v1", "actions", "runs", run):
            return CallIntent(run, _end(_fields(request).get("status")))
        case ("POST", "v1", "actions", "runs", run, "logs"):
            return CallIntent(run, _end(_fields(request).get("terminationStatus")))
        case ("PATCH", "v1", "workflows", "nodes", "runs", run) | ("PATCH", "v1", "workflows", "runs", _, "nodes", run):
            fields = _fields(request)
            return CallIntent(run, _end(fields.get("status")), _word(fields.get("result")))
        case (_, "v1", "actions", "runs", run, *_) | (_, "v1", "workflows", "nodes", "runs", run, *_):
            return CallIntent(run)
        case _:
            return CallIntent(request.query.get("run_id"))


def is_own_route(segments: tuple[str, ...]) -> bool:
    """Return whether a path that begins with one `/v1` is below `/v1/sandbox`. Port's API has no such routes."""
    return segments[:2] == _OWN


def _fields(request: ApiRequest) -> Mapping[str, Any]:
    try:
        return read_body(request, {}, others=True)
    except Rejected:
        return {}


def _end(status: Any) -> str:
    return status if isinstance(status, str) and status in ENDED else ""


def _word(value: Any) -> str:
    return value[:_MAX_WORD_CHARACTERS] if isinstance(value, str) else ""


class CallLog:
    """The latest 5,000 calls. `clear` does not restart the numbering of calls."""

    def __init__(self) -> None:
        self._calls: deque[SeenCall] = deque(maxlen=MAX_CALLS)
        self.last = 0

    def add(self, intent: CallIntent, *, at: float, method: str, path: str, status: int, run_id: str | None) -> None:
        """Add a call. `at` is in seconds since the epoch, and `run_id` is the ID of the call's run, if it is known."""
        self.last += 1
        call = SeenCall(
            number=self.last,
            at=round(at, 3),
            method=method[:_MAX_WORD_CHARACTERS],
            path=quote(path, safe=string.punctuation, errors="replace")[:_MAX_PATH_CHARACTERS],
            status=status,
            run_id=run_id,
            ends=intent.ends,
            result=intent.result,
        )
        self._calls.append(call)

    def after(self, number: int, limit: int = MAX_CALLS) -> list[SeenCall]:
        """Return up to `limit` calls whose numbers are higher than `number`, oldest first."""
        oldest = self._calls[0].number if self._calls else self.last + 1
        start = max(0, number + 1 - oldest)
        return list(islice(self._calls, start, start + limit))

    def clear(self) -> None:
        """Delete all calls from the log."""
        self._calls.clear()
