"""Watches a handler's work, by its calls to the sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

from port_hook_cli.errors import PortApiError
from port_hook_cli.port_api.access import DELIVERIES, PortAccess
from port_hook_cli.runs.seen_calls import CALLS, MAX_CALLS, SeenCall

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi
    from port_hook_cli.sandbox import Sandbox

_FIRST_PAUSE_S = 0.01
_MAX_PAUSE_S = 0.05
_PAUSE_GROWTH = 1.25
_CALL_TIMEOUT_S = 10.0
_ANNOUNCE_TIMEOUT_S = 2.0
_PAGE = 1000


class SandboxWatch:
    """Reads the sandbox's log of calls. `api` must not retry calls: create it with `PortAccess.client(retries=False)`.

    No method raises PortApiError. The first failure to read the log becomes `problem`, and ends every wait. After this
    failure, the log is not read, and the methods return the same as for a log without calls. So a caller that sees a
    `problem` after a wait does not know what the handler did, and must not conclude that the handler did nothing.
    """

    def __init__(self, api: PortApi) -> None:
        self._api = api
        self._announces = True
        self.problem: PortApiError | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, access: PortAccess) -> AsyncIterator[Self]:
        """Watch the sandbox of `access` until the context ends. A call to the sandbox may take 10 seconds.

        Raises SettingsError if `access` lacks a setting.
        """
        async with access.client(timeout_s=_CALL_TIMEOUT_S, retries=False) as api:
            yield cls(api)

    async def mark(self) -> int:
        """Return the number of the latest call to the sandbox, for a later wait for the calls after it.

        The first use of `api` requests a token, which is also a call. So call `mark` before the handler gets its
        request.
        """
        return (await self._page(0, limit=1))[1]

    async def calls(self, after: int) -> list[SeenCall]:
        """Return the calls after the number `after`, oldest first."""
        seen: list[SeenCall] = []
        for _ in range(MAX_CALLS // _PAGE):
            page, last = await self._page(seen[-1].number if seen else after, limit=_PAGE)
            seen += page
            if not page or page[-1].number >= last:
                break
        return seen

    async def wait_for(
        self, is_so: Callable[[Sequence[SeenCall]], bool], after: int, timeout_s: float
    ) -> list[SeenCall]:
        """Wait until `is_so` is true of the calls after the number `after`, or until `timeout_s` seconds have passed.

        Returns all calls after `after` in both cases. The log is read at least once, and again at the end.
        """
        clock = asyncio.get_running_loop().time
        deadline, pause_s = clock() + timeout_s, _FIRST_PAUSE_S
        seen: list[SeenCall] = []
        while True:
            left_s = deadline - clock()
            seen += await self.calls(seen[-1].number if seen else after)
            if self.problem is not None or left_s <= 0 or is_so(seen):
                return seen
            await self._pause(pause_s, left_s)
            pause_s = min(pause_s * _PAUSE_GROWTH, _MAX_PAUSE_S)

    async def wait_until_quiet(
        self,
        after: int,
        quiet_s: float,
        most_s: float,
        *,
        is_so: Callable[[Sequence[SeenCall]], bool] = lambda _: False,
    ) -> list[SeenCall]:
        """Wait until there was no call for `quiet_s` seconds, or until `most_s` seconds have passed.

        Also stops when `is_so` is true of the calls. Returns all calls after the number `after` in each case.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + most_s
        seen = await self.calls(after)
        while clock() < deadline and not is_so(seen):
            count = len(seen)
            seen = await self.wait_for(partial(_has_more, count), after, min(quiet_s, deadline - clock()))
            if len(seen) == count:
                break
        return seen

    async def explanation(self, run_id: str) -> str:
        """Return the summary of a run, or the message of its last log, or "" if it has neither."""
        try:
            summary = (await self._api.get_run(run_id)).get("summary")
            logs = [] if summary else await self._api.run_logs(run_id)
        except PortApiError:
            return ""
        return str(summary or (logs[-1].get("message") if logs else None) or "")

    async def announce(self, run_id: str, action: str, properties: Mapping[str, Any]) -> bool:
        """Create the run in the sandbox, even with `--strict`, and return whether the sandbox now has the run.

        `properties` are the inputs of the run. A failure doesn't set `problem`, because without `--strict`, the
        sandbox creates the run when the handler reports it. After 2 seconds without a response, no further runs are
        created.
        """
        if not self._announces:
            return False
        delivery = {
            "runId": run_id,
            "action": action,
            "properties": dict(properties),
        }
        try:
            async with asyncio.timeout(_ANNOUNCE_TIMEOUT_S):
                await self._api.call("POST", DELIVERIES, delivery)
        except (PortApiError, TimeoutError) as failure:
            self._announces = isinstance(failure, PortApiError) and failure.status is not None
            return False
        return True

    async def _pause(self, pause_s: float, left_s: float) -> None:
        """Pause after a look at the log, for at most `left_s` seconds."""
        await asyncio.sleep(min(pause_s, left_s))

    async def _page(self, after: int, *, limit: int) -> tuple[list[SeenCall], int]:
        """Return up to `limit` calls after the number `after`, and the number of the latest call."""
        if self.problem is None:
            try:
                return _read_page(await self._api.call("GET", f"{CALLS}?after={after}&limit={limit}"), after)
            except PortApiError as problem:
                self.problem = _no_log() if problem.status == HTTPStatus.NOT_FOUND else problem
        return [], 0


class OwnSandboxWatch(SandboxWatch):
    """Reads the log of a sandbox in the same event loop. It sees each call immediately and never has a `problem`."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.problem = None

    async def explanation(self, run_id: str) -> str:
        """Return the summary of a run, or the message of its last log, or "" if it has neither."""
        if (run := self._sandbox.runs.get(run_id)) is None:
            return ""
        return str(run.report.summary or (run.logs[-1].get("message") if run.logs else None) or "")

    async def announce(self, run_id: str, action: str, properties: Mapping[str, Any]) -> bool:
        """Create the run in the sandbox, and return True."""
        if run_id not in self._sandbox.runs:
            self._sandbox.add_run(run_id, action=action, properties=dict(properties), made_up=True)
        return True

    async def _pause(self, _pause_s: float, left_s: float) -> None:
        # The handler may have cleared the log, so the latest call need not be one that was seen.
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await self._sandbox.wait_for_call(self._sandbox.call_log.last)

    async def _page(self, after: int, *, limit: int) -> tuple[list[SeenCall], int]:
        log = self._sandbox.call_log
        return log.after(after, limit), log.last


def _has_more(count: int, calls: Sequence[SeenCall]) -> bool:
    return len(calls) > count


def _read_page(document: Mapping[str, Any], after: int) -> tuple[list[SeenCall], int]:
    """Return the calls in a response, and the number of the latest call. Raises PortApiError for any other response."""
    try:
        page, last = [SeenCall.read(each) for each in document["calls"]], int(document["last"])
    except (KeyError, TypeError, ValueError):
        raise _no_log() from None
    if last < after:
        message = "The sandbox was restarted during the check, so its earlier calls are lost."
        raise PortApiError(message, hint="Run the check again.")
    numbers = [call.number for call in page]
    if numbers != sorted({number for number in numbers if number > after}):
        raise _no_log()
    return page, last


def _no_log() -> PortApiError:
    return PortApiError(
        "PORT_API_URL does not point to a sandbox that shows its calls.",
        hint="Start `port-hook sandbox` with this version, and use the settings that it prints.",
    )
