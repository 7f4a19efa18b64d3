"""Asks a sandbox at the end of a session which runs have ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from urllib.parse import quote

from port_hook_cli.errors import PortApiError, PortHookError
from port_hook_cli.invocations.models import Capture
from port_hook_cli.listener.observers import Observer
from port_hook_cli.listener.policy import MOST_WAITING_RUNS
from port_hook_cli.port_api.access import SANDBOX_RUNS, PortAccess

ASK_TIMEOUT_S = 2.0
"""The time limit in seconds for all questions at the end of a session."""


class EndedRuns(Observer):
    """Asks a sandbox on this machine, at the end of the session, which runs have ended.

    `settled` receives the IDs of the runs that have ended, and `still_open` the IDs of the runs that haven't. Neither
    receives a run that the sandbox doesn't know. If the settings don't point to a sandbox, this observer asks nobody.
    """

    def __init__(self, access: PortAccess, settled: set[str], still_open: set[str]) -> None:
        self._access, self._settled, self._still_open = access, settled, still_open
        self._runs: OrderedDict[str, None] = OrderedDict()

    def captured(self, capture: Capture) -> None:
        """Remember the run of an accepted request."""
        if capture.payload.run_id and not capture.rejected:
            self._runs[capture.payload.run_id] = None
            if len(self._runs) > MOST_WAITING_RUNS:
                self._runs.popitem(last=False)

    async def finish(self, interrupted: asyncio.Event) -> None:  # noqa: ARG002 - two seconds are short enough
        """Ask about each run, the latest first."""
        left = [run_id for run_id in self._runs if run_id not in self._settled]
        with contextlib.suppress(PortHookError, TimeoutError):
            if not (left and self._access.has_sandbox):
                return
            async with (
                asyncio.timeout(ASK_TIMEOUT_S),
                self._access.client(timeout_s=ASK_TIMEOUT_S, retries=False) as api,
            ):
                for run_id in reversed(left):
                    # GET /v1/actions/runs/{run_id} would create an unknown run.
                    with contextlib.suppress(PortApiError):
                        run = await api.call("GET", f"{SANDBOX_RUNS}/{quote(run_id, safe='')}")
                        if (has_ended := run.get("ended")) is not None:
                            (self._settled if has_ended else self._still_open).add(run_id)
