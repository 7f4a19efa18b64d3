"""Asks Port, or a sandbox, at the end of a session which runs have ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from port_hook_cli.errors import PortApiError, PortHookError
from port_hook_cli.invocations.models import Capture, Kind
from port_hook_cli.listener.observers import Observer, open_run
from port_hook_cli.listener.policy import MOST_WAITING_RUNS
from port_hook_cli.port_api.access import PortAccess

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi

ASK_TIMEOUT_S = 2.0
"""The time limit in seconds for all questions at the end of a session."""
_MOST_ASKED = 100
_CONCURRENT = 8


class _SeenRun(NamedTuple):
    """What a request says about its run. Port is asked only about the runs of verified requests."""

    is_for_port: bool
    workflow_run: str | None


class EndedRuns(Observer):
    """Asks Port, or a sandbox on this machine, at the end of the session which runs have ended.

    `settled` receives the IDs of the runs that have ended, and `still_open` the IDs of the runs that haven't. Neither
    receives an unknown run, or a run without an answer in time. Port is asked about the latest 100 runs. Without
    credentials, this observer asks nobody.
    """

    def __init__(self, access: PortAccess, settled: set[str], still_open: set[str]) -> None:
        self._access, self._settled, self._still_open = access, settled, still_open
        self._runs: OrderedDict[str, _SeenRun] = OrderedDict()

    def captured(self, capture: Capture) -> None:
        """Remember the run of an accepted request."""
        run_id, workflow_run = capture.payload.run_id, capture.payload.workflow_run
        if run_id and not capture.rejected:
            # Port has no route for a single node run.
            can_ask = workflow_run is not None or capture.payload.kind is not Kind.WORKFLOW_NODE
            self._runs[run_id] = _SeenRun(can_ask and open_run(capture) is not None, workflow_run)
            if len(self._runs) > MOST_WAITING_RUNS:
                self._runs.popitem(last=False)

    async def finish(self, interrupted: asyncio.Event) -> None:  # noqa: ARG002 - two seconds are short enough
        """Ask about each run, the latest first."""
        left = [run_id for run_id in reversed(self._runs) if run_id not in self._settled]
        with contextlib.suppress(PortHookError, TimeoutError):
            if left and not self._access.is_api_on_this_machine:
                left = [run_id for run_id in left if self._runs[run_id].is_for_port][:_MOST_ASKED]
            if not left:
                return
            async with (
                asyncio.timeout(ASK_TIMEOUT_S),
                self._access.client(timeout_s=ASK_TIMEOUT_S, retries=False) as api,
            ):
                await api.check_access()  # one token for all questions
                turns = asyncio.Semaphore(_CONCURRENT)
                await asyncio.gather(*(self._ask(api, run_id, turns) for run_id in left))

    async def _ask(self, api: PortApi, run_id: str, turns: asyncio.Semaphore) -> None:
        async with turns:
            with contextlib.suppress(PortApiError):
                (self._settled if await self._has_ended(api, run_id) else self._still_open).add(run_id)

    async def _has_ended(self, api: PortApi, run_id: str) -> bool:
        from port_hook_cli.port_api.runs import PortRuns
        from port_hook_cli.runs.updates import ended_status, is_node_run, run_path

        if is_node_run(run_id) and not self._access.is_api_on_this_machine:
            return (await PortRuns(api).get(run_id, workflow_run=self._runs[run_id].workflow_run)).has_ended
        found = await api.call("GET", run_path(run_id))  # for a node run, only the sandbox has this route
        return ended_status(found.get("run") or found.get("nodeRun") or {}) is not None
