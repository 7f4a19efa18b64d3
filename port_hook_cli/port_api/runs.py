"""Reads runs and their logs from Port's API: action runs, workflow runs and node runs.

Port's API reference has no route that returns one node run, so a node run is read from its workflow run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from port_hook_cli.errors import PortApiError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.payload import is_workflow_run_id
from port_hook_cli.runs.port_run import (
    LogEntry,
    PortRun,
    RunKind,
    read_action_run,
    read_log_entry,
    read_workflow_run,
)
from port_hook_cli.runs.updates import is_node_run, run_path

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi

MAX_ACTION_RUNS = 1_000
"""The most action runs that one call returns. Port documents neither their order nor further pages."""
MAX_WORKFLOW_RUNS = 200
"""The number of the latest workflow runs to list, and to search for a node run."""
MAX_LOG_ENTRIES = 500
"""The most entries to read from a log at a time."""

_LOG_PAGE = 50
_WORKFLOW_RUNS = "/v1/workflows/runs"
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.2, 2.0


@frozen(kw_only=True)
class RunList:
    """Listed runs. `is_cut` means that there may be more. `problem` says why workflow runs are missing, or is ""."""

    runs: Sequence[PortRun]
    is_cut: bool = False
    problem: str = ""


class PortRuns:
    """Reads runs through a client of Port's API. Every method raises PortApiError."""

    def __init__(self, api: PortApi) -> None:
        self._api = api

    async def get(self, run_id: str, *, workflow_run: str | None = None) -> PortRun:
        """Return a run. If the `workflow_run` of a node run is unknown, the latest workflow runs are searched."""
        if is_node_run(run_id):
            return await self._node_run(run_id, workflow_run)
        if is_workflow_run_id(run_id):
            return await self._workflow_run(run_id)
        run = read_action_run(await self._api.get_run(run_id))
        if run is None:
            raise _unexpected(f"the run {run_id}")
        return run

    async def list_action_runs(
        self, *, action: str | None = None, is_active: bool = False, with_requests: bool = False
    ) -> RunList:
        """Return the action runs of one call. Port's list leaves the requests out unless `with_requests` is set."""
        query = [("version", "v2"), ("limit", str(MAX_ACTION_RUNS))]
        query += [("action", action)] if action else []
        query += [("active", "true")] if is_active else []
        query += [] if with_requests else [("exclude", "payload"), ("exclude", "response")]
        listed = _listed(await self._api.call("GET", f"/v1/actions/runs?{urlencode(query)}"), "runs")
        runs = [run for each in listed if (run := read_action_run(each)) and not (is_active and run.has_ended)]
        return RunList(runs=runs, is_cut=len(listed) >= MAX_ACTION_RUNS)

    async def list_workflow_runs(self, *, workflow: str | None = None, is_active: bool = False) -> RunList:
        """Return the latest workflow runs. Port may ignore filters, so they are applied here too."""
        query = {"limit": MAX_WORKFLOW_RUNS, **({"workflowIdentifiers": workflow} if workflow else {})}
        response = await self._api.call("GET", f"{_WORKFLOW_RUNS}?{urlencode(query)}")
        listed = _listed(response, "workflowRuns", "runs")
        found = [
            run
            for each in listed[:MAX_WORKFLOW_RUNS]
            if (run := read_workflow_run(each))
            and not (is_active and run.has_ended)
            and (workflow is None or run.name == workflow)
        ]
        return RunList(runs=found, is_cut=len(listed) >= MAX_WORKFLOW_RUNS)

    async def list_all(
        self, *, name: str | None = None, is_active: bool = False, with_requests: bool = False
    ) -> RunList:
        """Return the runs of actions and workflows, latest first. Workflows may be missing in an organization."""
        actions = await self.list_action_runs(action=name, is_active=is_active, with_requests=with_requests)
        workflows, problem = RunList(runs=()), ""
        try:
            workflows = await self.list_workflow_runs(workflow=name, is_active=is_active)
        except PortApiError as error:
            if error.status is None:
                raise
            problem = error.message
        runs = sorted((*actions.runs, *workflows.runs), key=lambda run: run.started_s or 0.0, reverse=True)
        return RunList(runs=runs, is_cut=actions.is_cut or workflows.is_cut, problem=problem)

    async def log(self, run: PortRun, skip: Mapping[str, int]) -> list[LogEntry]:
        """Return the entries of a log after the first entries, whose number is `skip` for each node run.

        An action run's entries have the node run "".
        """
        if run.kind is RunKind.ACTION:
            return await self._action_log(run.id, skip.get("", 0))
        path = f"{run_path(run.id) if run.kind is RunKind.NODE else _workflow_path(run.id)}/logs"
        entries = map(read_log_entry, _listed(await self._api.call("GET", path), "logs"))
        counts: dict[str, int] = {}
        new = []
        for entry in entries:
            counts[entry.node_run] = counts.get(entry.node_run, 0) + 1
            if counts[entry.node_run] > skip.get(entry.node_run, 0):
                new.append(entry)
        return new[:MAX_LOG_ENTRIES]

    async def _action_log(self, run_id: str, skip: int) -> list[LogEntry]:
        entries: list[LogEntry] = []
        while len(entries) < MAX_LOG_ENTRIES:
            page = await self._api.run_logs(run_id, offset=skip + len(entries))
            entries += map(read_log_entry, page)
            if len(page) < _LOG_PAGE:
                break
        return entries

    async def _workflow_run(self, run_id: str) -> PortRun:
        response = await self._api.call("GET", _workflow_path(run_id))
        run = read_workflow_run(response.get("workflowRun", response.get("run")))
        if run is None:
            raise _unexpected(f"the workflow run {run_id}")
        return run

    async def _node_run(self, run_id: str, workflow_run: str | None) -> PortRun:
        if workflow_run is None:
            latest = await self.list_workflow_runs()
            workflow_run = next((run.id for run in latest.runs if run_id in run.request_ids), None)
        found = [] if workflow_run is None else (await self._workflow_run(workflow_run)).node_runs
        node_run = next((each for each in found if each.id == run_id), None)
        if node_run is None:
            where = workflow_run or f"the {MAX_WORKFLOW_RUNS} latest workflow runs"
            raise PortApiError(
                f"Node run not found: {run_id} is not in {where}, and Port's API has no route for a single node run.",
                hint="Pass the workflow run (wfr_…) if you know it.",
            )
        return node_run


@frozen
class SeenRun:
    """The state of a run, and the entries of its log that are new. `problem` says why the log cannot be read."""

    run: PortRun
    entries: Sequence[LogEntry]
    problem: str = ""


class RunWatch:
    """Looks at one run repeatedly. The log is read after the state, so the log of an ended run is complete."""

    def __init__(self, runs: PortRuns, run_id: str, *, workflow_run: str | None = None) -> None:
        self._runs, self._run_id, self._workflow_run = runs, run_id, workflow_run
        self._counts: dict[str, int] = {}
        self._problem = ""

    async def look(self) -> SeenRun:
        """Return the run and the new entries of its log. Only the run's own failure raises PortApiError."""
        run = await self._runs.get(self._run_id, workflow_run=self._workflow_run)
        if self._problem:
            return SeenRun(run, (), self._problem)
        try:
            entries = await self._runs.log(run, self._counts)
        except PortApiError as problem:
            self._problem = problem.message
            return SeenRun(run, (), self._problem)
        for entry in entries:
            self._counts[entry.node_run] = self._counts.get(entry.node_run, 0) + 1
        return SeenRun(run, entries)

    async def until_end(
        self, on_seen: Callable[[SeenRun], None], *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> PortRun:
        """Look until the run has ended, and return it. `on_seen` gets each state. Port is asked every two seconds."""
        pause_s = _FIRST_PAUSE_S
        while True:
            seen = await self.look()
            on_seen(seen)
            if seen.run.has_ended and len(seen.entries) < MAX_LOG_ENTRIES:
                return seen.run
            await sleep(pause_s)
            pause_s = min(2 * pause_s, _MAX_PAUSE_S)


def _workflow_path(run_id: str) -> str:
    return f"{_WORKFLOW_RUNS}/{quote(run_id, safe='')}"


def _listed(response: Mapping[str, Any], *names: str) -> list[Mapping[str, Any]]:
    found = next((response[name] for name in names if isinstance(response.get(name), list)), None)
    if found is None:
        raise _unexpected(f"a list of {names[0]}")
    return [each for each in found if isinstance(each, Mapping)]


def _unexpected(expected: str) -> PortApiError:
    return PortApiError(
        f"Port's API did not respond with {expected}.", hint="Check PORT_API_URL and any proxy in between."
    )
