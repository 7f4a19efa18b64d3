from __future__ import annotations

import asyncio
from typing import Any

from port_hook_cli.trigger.in_port import LogLine, RunChanged, follow

RUN_ID = "r_QOz6WoOB1Q2lmhZZ"


class Runs:
    """Returns a script of statuses. The log grows by one entry with each, and has pages of two entries."""

    def __init__(self, *statuses: str) -> None:
        self._statuses = list(statuses)
        self._seen = 0

    async def get_run(self, run_id: str, /) -> dict[str, Any]:
        self._seen += 1
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return {"id": run_id, "status": status}

    async def run_logs(self, run_id: str, /, *, offset: int = 0) -> list[dict[str, Any]]:
        return [{"message": f"log {number}"} for number in range(self._seen)][offset : offset + 2]


class Watch:
    def __init__(self) -> None:
        self.seen: list[str] = []
        self.slept: list[float] = []

    def event(self, event: RunChanged | LogLine) -> None:
        self.seen.append(event.entry["message"] if isinstance(event, LogLine) else event.run["status"])

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


async def followed(runs: Runs, watch: Watch, *, wait_s: float) -> Any:
    run = {"id": RUN_ID, "status": "IN_PROGRESS"}
    return await follow(runs, run, wait_s=wait_s, on_event=watch.event, sleep=watch.sleep)


async def test_follow_reports_changes_until_the_run_ends() -> None:
    watch = Watch()
    run = await followed(Runs(*["IN_PROGRESS"] * 6, "SUCCESS"), watch, wait_s=60)
    assert run["status"] == "SUCCESS"
    assert watch.seen == [*(f"log {number}" for number in range(7)), "SUCCESS"]
    assert watch.slept == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


async def test_follow_returns_after_the_timeout() -> None:
    watch = Watch()
    run = await followed(Runs("WAITING_FOR_APPROVAL"), watch, wait_s=0)
    assert run["status"] == "WAITING_FOR_APPROVAL"
    assert watch.seen == ["log 0", "WAITING_FOR_APPROVAL"]
    assert watch.slept == []


class EndlessLog(Runs):
    """Returns another log entry for each request, like an API that ignores `offset`."""

    async def run_logs(self, run_id: str, /, *, offset: int = 0) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        return [{"message": "again"}]


async def test_follow_returns_when_the_log_grows_endlessly() -> None:
    watch = Watch()
    async with asyncio.timeout(30):
        run = {"id": RUN_ID, "status": "IN_PROGRESS"}
        await follow(EndlessLog("IN_PROGRESS"), run, wait_s=0.1, on_event=watch.event, log_s=0.1)
    assert "again" in watch.seen
