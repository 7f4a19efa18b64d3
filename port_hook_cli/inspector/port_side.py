"""Reads runs from Port and reports their results to Port, with the credentials of the session."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from port_hook_cli.errors import PortApiError, PortHookError, SettingsError
from port_hook_cli.inspector.run_records import (
    MAX_LOGS,
    action_run_record,
    objects,
    part_of,
    unavailable,
    workflow_of,
    workflow_run_record,
)
from port_hook_cli.invocations.payload import is_run_id, is_workflow_run_id
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.reporting.report import send_report
from port_hook_cli.runs.updates import RunReport, is_node_run, plan_report
from port_hook_cli.runtime import Runtime

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi

_T = TypeVar("_T")
_LOGS_OF_A_PAGE = 50
_LATEST_RUNS = 50
_MOST_REMEMBERED = 50
# The `date` header has a resolution of one second, and the response takes a moment to arrive.
_SMALLEST_SKEW_S = 2.0
_NOT_AMONG_THE_LATEST = (
    f"The payload does not contain its workflow run, and none of the {_LATEST_RUNS} latest runs has this node run."
)
_NAME_IT = "Add {{ .workflowRun.identifier }} to the body of the node."
_UNKNOWN = "Port doesn't know this run."
_RUN_HERE = (
    "`trigger` may have run it on this machine. If it ran in Port, check that the credentials belong to the same"
    " organization."
)
_NO_CREDENTIALS = (
    "Set PORT_CLIENT_ID and PORT_CLIENT_SECRET, or start `port-hook sandbox`, and start the inspector again."
)


class PortSide:
    """Reads and reports runs with the credentials of the session, if the session has credentials."""

    def __init__(self, access: PortAccess, runtime: Runtime) -> None:
        self._access = access
        self._runtime = runtime
        self._why_not: str | None = None
        self._is_known = False
        # A page asks for a run every few seconds. These responses don't change.
        self._workflow_runs: OrderedDict[str, str] = OrderedDict()
        self._definitions: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def why_not(self) -> str | None:
        """Return why runs cannot be shown, or None if they can be shown. Reads the files only once."""
        if not self._is_known:
            self._is_known = True
            try:
                self._access.settings.require_access()
            except SettingsError as error:
                self._why_not = error.message
        return self._why_not

    async def show(self, run_id: str, workflow_run: str | None) -> dict[str, Any]:
        """Return a run. For a node run, return its workflow run if `workflow_run` is known.

        Never raises.
        """
        if unnamed := _unnamed(run_id, workflow_run):
            return unnamed
        try:
            return await self._read(run_id, workflow_run)
        except SettingsError as error:
            return unavailable(error.message, error.hint or _NO_CREDENTIALS)
        except PortHookError as error:
            if isinstance(error, PortApiError) and error.status == HTTPStatus.NOT_FOUND:
                return unavailable(_UNKNOWN, _RUN_HERE, is_unknown=True)
            return unavailable(error.message, error.hint, is_temporary=_is_temporary(error))

    async def _read(self, run_id: str, workflow_run: str | None) -> dict[str, Any]:
        clock = _PortClock(self._runtime)
        async with self._access.client(retries=False, on_headers=clock.note) as port:
            if is_node_run(run_id):
                workflow_run = workflow_run or await self._find_workflow_run(port, run_id)
                if workflow_run is None:
                    return unavailable(_NOT_AMONG_THE_LATEST, _NAME_IT, can_report=True)
            if workflow_run or is_workflow_run_id(run_id):
                return await self._workflow_run(port, workflow_run or run_id, clock)
            run, logs = await port.get_run(run_id), await _all_logs(port, run_id)
            url = self._access.settings.app_url
            return await asyncio.to_thread(action_run_record, run, logs, app_url=url, skew_s=clock.skew_s)

    async def report(self, run_id: str, report: RunReport) -> None:
        """Report a run like `report-run`. Raises PortHookError."""
        plan = plan_report(run_id, report)
        async with self._access.client() as port:
            await send_report(port, plan)

    async def _find_workflow_run(self, port: PortApi, node_run: str) -> str | None:
        """Return the latest workflow run that contains a node run. Port has no route for a single node run."""
        if node_run in self._workflow_runs:
            return self._workflow_runs[node_run]
        found = await port.call("GET", f"/v1/workflows/runs?limit={_LATEST_RUNS}")
        for run in objects(found.get("workflowRuns")):
            if any(each.get("identifier") == node_run for each in objects(run.get("nodeRuns"))):
                return _remember(self._workflow_runs, node_run, str(run.get("identifier")))
        return None

    async def _workflow_run(self, port: PortApi, run_id: str, clock: _PortClock) -> dict[str, Any]:
        path = f"/v1/workflows/runs/{quote(run_id, safe='')}"
        run = part_of(await port.call("GET", path), "workflowRun")
        logs = objects((await _found(port, f"{path}/logs")).get("logs"))[-MAX_LOGS:]
        definition = await self._definition(port, run)
        # Outputs may have several megabytes, and must not block the listener in this process.
        return await asyncio.to_thread(workflow_run_record, run_id, run, logs, definition, skew_s=clock.skew_s)

    async def _definition(self, port: PortApi, run: Mapping[str, Any]) -> dict[str, Any]:
        """Return the definition of a run's workflow, or {} if the workflow no longer exists in Port."""
        identifier = workflow_of(run)
        if identifier is None:
            return {}
        version = run.get("workflowVersionId") or part_of(run, "workflow").get("version")
        key = f"{identifier} {version}"
        if key in self._definitions:
            return self._definitions[key]
        found = part_of(await _found(port, f"/v1/workflows/{quote(identifier, safe='')}"), "workflow")
        return _remember(self._definitions, key, found) if found and version else found


class _PortClock:
    """Measures the difference between this machine's clock and Port's clock, from the headers of Port's responses."""

    def __init__(self, runtime: Runtime) -> None:
        self._now = runtime.now
        self.skew_s: float | None = None

    def note(self, headers: Mapping[str, str]) -> None:
        """Compare the clocks with the headers of a response."""
        try:
            there = parsedate_to_datetime(headers.get("date", "")).timestamp()
        except (ValueError, OverflowError):
            return
        ahead = self._now() - there
        self.skew_s = round(ahead, 1) if abs(ahead) > _SMALLEST_SKEW_S else 0.0


def _remember(known: OrderedDict[str, _T], key: str, value: _T) -> _T:
    known[key] = value
    while len(known) > _MOST_REMEMBERED:
        known.popitem(last=False)
    return value


async def _found(port: PortApi, path: str) -> dict[str, Any]:
    """Return the response to a GET, or {} for a 404."""
    try:
        return await port.call("GET", path)
    except PortApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return {}


def _is_temporary(error: PortHookError) -> bool:
    """Return whether the same call may soon succeed."""
    if not isinstance(error, PortApiError):
        return False
    status = error.status
    return status is None or status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _unnamed(run_id: str, workflow_run: str | None) -> dict[str, Any] | None:
    """Return the response about invalid run IDs, or None if the IDs are valid."""
    if not (is_run_id(run_id) or is_workflow_run_id(run_id)):
        return unavailable(f"{run_id[:80]} is not a run ID of Port.", "Check the payload.")
    if workflow_run is not None and not is_workflow_run_id(workflow_run):
        return unavailable(f"{workflow_run[:80]} is not a workflow run ID.", "Check the payload.")
    return None


async def _all_logs(port: PortApi, run_id: str) -> list[dict[str, Any]]:
    """Return the first 500 entries of a run's log. Port returns 50 entries at a time."""
    logs: list[dict[str, Any]] = []
    while len(logs) < MAX_LOGS:
        page = await port.run_logs(run_id, offset=len(logs))
        logs += page
        if len(page) < _LOGS_OF_A_PAGE:
            break
    return logs
