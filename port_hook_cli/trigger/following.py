"""Follows a run in Port until it ends, and reports changes of its status and log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from port_hook_cli.runs.updates import ended_status

FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 1.0
"""Seconds between two requests for a run. They start short, because many runs end quickly."""

LOG_S = 5.0
"""Seconds after the deadline in which the log is still read: a log may grow as fast as it is read."""


class Runs(Protocol):
    """The part of Port's API that following a run needs. Both methods raise PortApiError."""

    async def get_run(self, run_id: str, /) -> dict[str, Any]:
        """Return the run as Port shows it."""
        ...

    async def run_logs(self, run_id: str, /, *, offset: int = 0) -> list[dict[str, Any]]:
        """Return a page of log entries, without the first `offset`; none at the end."""
        ...


async def follow(
    runs: Runs,
    run: Mapping[str, Any],
    *,
    wait_s: float,
    on_change: Callable[[Mapping[str, Any]], None],
    on_log: Callable[[Mapping[str, Any]], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    log_s: float = LOG_S,
    max_pause_s: float = MAX_PAUSE_S,
) -> Mapping[str, Any]:
    """Follow `run` until it ends or `wait_s` seconds have passed; return its last state.

    `on_change` gets the run after each change of its status or label, `on_log` each new log entry. The pauses between
    two requests grow up to `max_pause_s` seconds.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + wait_s
    seen, logged, pause_s = _status_and_label(run), 0, FIRST_PAUSE_S
    while True:
        run = await runs.get_run(str(run["id"]))
        # Read after the status, so that the log of an ended run is complete.
        while entries := await runs.run_logs(str(run["id"]), offset=logged):
            logged += len(entries)
            for entry in entries:
                on_log(entry)
            if clock() > deadline + log_s:
                break
        if _status_and_label(run) != seen:
            seen = _status_and_label(run)
            on_change(run)
        left_s = deadline - clock()
        if ended_status(run) is not None or left_s <= 0:
            return run
        await sleep(min(pause_s, left_s))
        pause_s = min(2 * pause_s, max_pause_s)


def _status_and_label(run: Mapping[str, Any]) -> tuple[Any, Any]:
    return run.get("status"), run.get("statusLabel")
