"""A run in Port followed until it ends: its log and its status, as they change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from port_hook_cli.runs.updates import ended_status

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 1.0
"""Seconds between two looks at a run: few at first, as many runs end at once."""

LOG_S = 5.0
"""Seconds that reading the log may go on when the time is over: one that grows as fast as it is read has no end."""


class Runs(Protocol):
    """Port's API, as far as a run is followed. Both raise PortApiError."""

    async def get_run(self, run_id: str, /) -> dict[str, Any]:
        """Return the run as Port shows it."""
        ...

    async def run_logs(self, run_id: str, /, *, offset: int = 0) -> list[dict[str, Any]]:
        """Return log entries after the first `offset`, in parts."""
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
) -> Mapping[str, Any]:
    """Follow `run` until it ends or `wait_s` seconds have passed; return it as it stands then.

    `on_change` gets the run each time that its status or label is another, `on_log` each new entry of its log.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + wait_s
    seen, logged, pause_s = _standing(run), 0, FIRST_PAUSE_S
    while True:
        run = await runs.get_run(str(run["id"]))
        # Looked at after the status, so that the log of a run that has ended is whole.
        while entries := await runs.run_logs(str(run["id"]), offset=logged):
            logged += len(entries)
            for entry in entries:
                on_log(entry)
            if clock() > deadline + log_s:
                break
        if _standing(run) != seen:
            seen = _standing(run)
            on_change(run)
        left_s = deadline - clock()
        if ended_status(run) is not None or left_s <= 0:
            return run
        await sleep(min(pause_s, left_s))
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _standing(run: Mapping[str, Any]) -> tuple[Any, Any]:
    return run.get("status"), run.get("statusLabel")
