"""The calls in a sandbox's log, in the format of its API. Readers of the log don't need the sandbox's code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

from port_hook_cli.frozen import frozen

CALLS = "/v1/sandbox/calls"
"""The route that returns the calls."""

MAX_CALLS = 5_000
"""The maximum number of calls that a sandbox retains."""


@frozen(kw_only=True)
class SeenCall:
    """A call to a sandbox, and the status of its response.

    `number` starts at 1 and increases. `at` is in seconds since the epoch, to the millisecond. `path` is the
    client's percent-encoded path without the query, truncated to 500 characters. `ends` is the status that the call
    requests for its run, or "". `result` is the result that the call requests for a node run, or "". Both are requested
    values, regardless of the response.
    """

    number: int
    at: float
    method: str
    path: str
    status: int
    run_id: str | None = None
    ends: str = ""
    result: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """The call in the format of GET /v1/sandbox/calls."""
        return asdict(self)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Return the call from a `document`. Raises ValueError for any other value."""
        try:
            return cls(
                number=int(document["number"]),
                at=float(document["at"]),
                method=str(document["method"]),
                path=str(document["path"]),
                status=int(document["status"]),
                run_id=None if document["run_id"] is None else str(document["run_id"]),
                ends=str(document["ends"]),
                result=str(document["result"]),
            )
        except (KeyError, TypeError, OverflowError) as problem:
            raise ValueError(f"not a call of the sandbox: {problem}") from problem
