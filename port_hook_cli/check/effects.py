"""What calls to the sandbox mean: which of them do something or end a run, and what was done for the first run. Pure.

What a handler did for the first valid request that it accepted is the measure of what it does for others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple

from port_hook_cli.runs.seen_calls import SeenCall

FAILED_ENDS = frozenset({"FAILURE", "FAILED", "CANCELLED"})
"""The statuses and results of runs that failed."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_READING_BY_POST = ("/search", "/datasource-entities")
_TOKEN = "/auth/access_token"  # noqa: S105 - a path
_SENT_AGAIN = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS})
_HTTP_ERROR = 400
_LEAST_SETTLING_S, _MOST_SETTLING_S = 0.1, 2.0
_LEAST_PATIENCE_S, _MOST_PATIENCE_S = 1.0, 10.0


def effects(calls: Iterable[SeenCall], run_id: str | None = None) -> list[SeenCall]:
    """Return the calls that change something, without reads, searches and requests for a token.

    With `run_id`, only the calls about this run. A call that the handler repeats with another token, or after a
    rate limit, counts once: calls with the status 401 or 429 are left out.
    """
    return [call for call in calls if _is_about(call, run_id) and _does_something(call)]


def endings(calls: Iterable[SeenCall], run_id: str | None = None) -> list[SeenCall]:
    """Return the calls that ask to end a run, even if the sandbox rejected them, except with the status 401 or 429.

    With `run_id`, only the calls about this run.
    """
    return [call for call in effects(calls, run_id) if call.ends]


def work_of(calls: Iterable[SeenCall], run_id: str, *, with_failures: bool = True) -> frozenset[str]:
    """Return what was done for a run, except logs, each as a text that is the same for every run.

    Without failures, a report that the run failed is left out: a handler may report that it rejected a request.
    """
    done = [call for call in effects(calls, run_id) if not call.path.endswith("/logs")]
    return frozenset(
        f"{call.method} {call.path.replace(run_id, 'ID')} {call.ends}"
        for call in done
        if with_failures or not {call.ends, call.result} & FAILED_ENDS
    )


def _is_about(call: SeenCall, run_id: str | None) -> bool:
    return run_id is None or call.run_id == run_id


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
    """Count what was done for a run, by method and path without the run's ID."""
    return Counter(_kind(call, run_id) for call in effects(calls, run_id))


class FirstRun(NamedTuple):
    """The handler's calls after `sent_at` (seconds since the epoch), when a valid request for a run was sent.

    With `is_alone`, no other request was sent meanwhile, so calls without a run ID also belong to this run. `later` has
    all calls until the run is judged. Other requests were sent by then, so only calls with the run's ID belong to it.
    """

    run_id: str
    sent_at: float
    calls: tuple[SeenCall, ...]
    is_alone: bool = False
    later: tuple[SeenCall, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether the sandbox accepted a report of its end."""
        return bool(taken(endings(self.calls, self.run_id)))

    @property
    def work(self) -> frozenset[str]:
        """What was done for it, as `work_of` returns it: without a report of failure, if anything else was done."""
        return work_of(self.calls, self.run_id, with_failures=False) or work_of(self.calls, self.run_id)

    @property
    def effects(self) -> Counter[str]:
        """How often each thing was done for it, by method and path."""
        return self.counted(self.calls, self.run_id) | counted(self.later, self.run_id)

    @property
    def duration_s(self) -> float:
        """How long the handler worked, in seconds: until its last call about the run."""
        last = max((call.at for call in effects(self.calls, self.run_id)), default=0.0)
        return max(0.0, last - self.sent_at)

    @property
    def settling_s(self) -> float:
        """How long to wait for late calls of the handler, in seconds."""
        return min(_MOST_SETTLING_S, max(_LEAST_SETTLING_S, 1.5 * self.duration_s))

    @property
    def patience_s(self) -> float:
        """How long to wait for the report of another run, in seconds."""
        return min(_MOST_PATIENCE_S, max(_LEAST_PATIENCE_S, 10 * self.duration_s))

    def counted(self, calls: Sequence[SeenCall], run_id: str) -> Counter[str]:
        """Count what was done for a run, including calls without a run's ID if they also count for this run."""
        others = [call for call in effects(calls) if call.run_id is None] if self.is_alone else []
        return counted(calls, run_id) + Counter(_kind(call, run_id) for call in others)

    def is_done(self, calls: Sequence[SeenCall], run_id: str) -> bool:
        """Return whether another run has ended or, if the handler does not end runs, has as many calls as this run."""
        if self.has_ended:
            return bool(endings(calls, run_id))
        return not self.effects - self.counted(calls, run_id)

    def are_done(self, calls: Sequence[SeenCall], run_ids: Iterable[str]) -> bool:
        """Return whether `is_done` is true of each run."""
        return all(self.is_done(calls, run_id) for run_id in run_ids)


NOT_SEEN = FirstRun("", 0.0, ())
"""What is known without a sandbox, and before the handler has called it."""


def _kind(call: SeenCall, run_id: str) -> str:
    return f"{call.method} {call.path.replace(run_id, 'ID')}"
