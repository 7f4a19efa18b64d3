"""Asks a sandbox at the end of a session which runs have ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from typing import TYPE_CHECKING

from port_hook_cli.errors import PortApiError, PortHookError
from port_hook_cli.invocations.models import Capture
from port_hook_cli.listener.observers import Observer
from port_hook_cli.listener.policy import MOST_WAITING_RUNS

if TYPE_CHECKING:
    from port_hook_cli.port_api.access import PortAccess

ASK_TIMEOUT_S = 2.0
"""The time limit in seconds for all questions at the end of a session."""


class EndedRuns(Observer):
    """Asks a sandbox on this machine, at the end of the session, which runs have ended.

    `settled` receives the IDs of the runs that have ended, and `still_open` the IDs of the runs that haven't. Neither
    receives a run that the sandbox doesn't know. If the settings don't point to a sandbox, this observer asks nobody.
    """

    def __init__(self, access: PortAccess, settled: set[str], still_open: set[str]) -> None:
        self._access, self._settled, self._still_open = access, settled, still_open
        self._runs: OrderedDict[str, str | None] = OrderedDict()

    def captured(self, capture: Capture) -> None:
        """Remember the run of an accepted request."""
        if capture.payload.run_id and not capture.refused:
            self._runs[capture.payload.run_id] = capture.payload.workflow_run
            if len(self._runs) > MOST_WAITING_RUNS:
                self._runs.popitem(last=False)

    async def finish(self, interrupted: asyncio.Event) -> None:  # noqa: ARG002 - two seconds are short enough
        """Ask about each run, the latest first."""
        left = [(run_id, workflow_run) for run_id, workflow_run in self._runs.items() if run_id not in self._settled]
        with contextlib.suppress(PortHookError, TimeoutError):
            if not (left and self._access.has_sandbox):
                return
            # Imported here, so that `listen` starts faster.
            from port_hook_cli.listener.port_runs import NodeRuns
            from port_hook_cli.runs.updates import ended_status
            from port_hook_cli.trigger.port_workflows import PortWorkflows

            async with (
                asyncio.timeout(ASK_TIMEOUT_S),
                self._access.client(timeout_s=ASK_TIMEOUT_S, retries=False) as api,
            ):
                for run_id, workflow_run in reversed(left):
                    runs = api if workflow_run is None else NodeRuns(PortWorkflows(api), workflow_run)
                    with contextlib.suppress(PortApiError):
                        has_ended = ended_status(await runs.get_run(run_id)) is not None
                        (self._settled if has_ended else self._still_open).add(run_id)
