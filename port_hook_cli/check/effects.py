"""The meaning of calls to the sandbox: which calls do work or end a run, and which work was done for a run.

A handler's work for the first valid request that it accepted is the measure for its work for other requests.

This module is pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple

from port_hook_cli.runs.seen_calls import SeenCall

FAILED_ENDS = frozenset({"FAILURE", "FAILED", "CANCELLED"})
"""The statuses and results of failed runs."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_READING_BY_POST = ("/search", "/datasource-entities")
_TOKEN = "/auth/access_token"  # noqa: S105 - a path
_SENT_AGAIN = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS})
_HTTP_ERROR = 400
_LEAST_SETTLING_S, _MOST_SETTLING_S = 0.1, 2.0
_LEAST_PATIENCE_S, _MOST_PATIENCE_S = 1.0, 10.0
_LEAST_PATIENCE_FACTOR = 1.5


def effects(calls: Iterable[SeenCall], run_id: str | None = None) -> list[SeenCall]:
    """Return the calls that change something, without reads, searches and requests for a token.

    With `run_id`, return only the calls about this run. If the handler repeats a call with another token or after a
    rate limit, only the repetition counts, because calls with the status 401 or 429 are left out.
    """
    return [call for call in calls if run_id in {None, call.run_id} and _does_something(call)]


def endings(calls: Iterable[SeenCall], run_id: str | None = None) -> list[SeenCall]:
    """Return the calls that ask to end a run. Calls that the sandbox rejected count, except with the status 401 or 429.

    With `run_id`, return only the calls about this run.
    """
    return [call for call in effects(calls, run_id) if call.ends]


def work_of(calls: Iterable[SeenCall], run_id: str, *, with_failures: bool = True) -> frozenset[str]:
    """Return the work done for a run, except logs. Each piece of work is a string that is the same for every run.

    Without `with_failures`, reports that the run failed are left out, because a handler may report that it rejected a
    request.
    """
    done = [call for call in effects(calls, run_id) if not call.path.endswith("/logs")]
    return frozenset(
        f"{call.method} {call.path.replace(run_id, 'ID')} {call.ends}"
        for call in done
        if with_failures or not {call.ends, call.result} & FAILED_ENDS
    )


def _does_something(call: SeenCall) -> bool:
    is_reading = call.method in _READING or (call.method == "POST" and call.path.endswith(_READING_BY_POST))
    return not is_reading and not call.path.endswith(_TOKEN) and call.status not in _SENT_AGAIN


def taken(calls: Iterable[SeenCall]) -> list[SeenCall]:
    """Return the calls that the sandbox did not reject."""
    return [call for call in calls if call.status < _HTTP_ERROR]


def rejected(calls: Iterable[SeenCall]) -> list[SeenCall]:
    """Return the calls that the sandbox rejected."""
    return [call for call in calls if call.status >= _HTTP_ERROR]


def counted(calls: Iterable[SeenCall], run_id: str) -> Counter[str]:
    """Return how often each piece of work was done for a run, by method and path without the run's ID."""
    return Counter(_kind(call, run_id) for call in effects(calls, run_id))


class FirstRun(NamedTuple):
    """The handler's calls after `sent_at` (seconds since the epoch), when a valid request for a run was sent.

    With `is_alone`, no other request was sent after `sent_at`, so calls without a run ID also belong to this run.
    `later` contains all calls until the run is judged. Other requests were sent in that time, so only calls with the
    run's ID belong to this run.
    """

    run_id: str
    sent_at: float
    calls: tuple[SeenCall, ...]
    is_alone: bool = False
    later: tuple[SeenCall, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether the sandbox accepted a report of the run's end."""
        return bool(taken(endings(self.calls, self.run_id)))

    @property
    def work(self) -> frozenset[str]:
        """The work done for the run, in the form of `work_of`.

        Reports of failure count only if there is no other work.
        """
        return work_of(self.calls, self.run_id, with_failures=False) or work_of(self.calls, self.run_id)

    @property
    def effects(self) -> Counter[str]:
        """How often each piece of work was done for the run, by method and path."""
        return self.counted(self.calls, self.run_id) | counted(self.later, self.run_id)

    @property
    def duration_s(self) -> float:
        """The time in seconds from the request to the handler's last call about the run."""
        last = max((call.at for call in effects(self.calls, self.run_id)), default=0.0)
        return max(0.0, last - self.sent_at)

    @property
    def settling_s(self) -> float:
        """The time in seconds to wait for late calls of the handler."""
        return min(_MOST_SETTLING_S, max(_LEAST_SETTLING_S, 1.5 * self.duration_s))

    @property
    def patience_s(self) -> float:
        """The time in seconds to wait for the report of another run."""
        usual_s = min(_MOST_PATIENCE_S, max(_LEAST_PATIENCE_S, 10 * self.duration_s))
        return max(usual_s, _LEAST_PATIENCE_FACTOR * self.duration_s)

    def counted(self, calls: Sequence[SeenCall], run_id: str) -> Counter[str]:
        """Return how often each piece of work was done for a run.

        Calls without a run ID count if they also count for the first run.
        """
        others = [call for call in effects(calls) if call.run_id is None] if self.is_alone else []
        return counted(calls, run_id) + Counter(_kind(call, run_id) for call in others)

    def is_done(self, calls: Sequence[SeenCall], run_id: str) -> bool:
        """Return whether another run has ended.

        If the handler does not end runs, return whether the other run has as many calls as the first run.
        """
        if self.has_ended:
            return bool(endings(calls, run_id))
        return not self.effects - self.counted(calls, run_id)

    def are_done(self, calls: Sequence[SeenCall], run_ids: Iterable[str]) -> bool:
        """Return whether `is_done` is true for each of the runs."""
        return all(self.is_done(calls, run_id) for run_id in run_ids)


NOT_SEEN = FirstRun("", 0.0, ())
"""What is known without a sandbox, or before the handler has called the sandbox."""


def _kind(call: SeenCall, run_id: str) -> str:
    return f"{call.method} {call.path.replace(run_id, 'ID')}"
