"""The routes for workflows in Port's API: read a workflow, start a run, and read runs and their logs."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from port_hook_cli.errors import PortApiError
from port_hook_cli.workflows.shown_run import ShownRun, read_shown_run
from port_hook_cli.workflows.workflow import is_workflow

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi

_WORKFLOWS = "/v1/workflows"
_RUNS = f"{_WORKFLOWS}/runs"
_MOST_LISTED = 20
_CHECK_PLACE = (
    "Pass its identifier, not its title, and check that the credentials and the region (PORT_REGION, PORT_API_URL)"
    " belong to its organization."
)


class PortWorkflows:
    """Workflows in Port or in a sandbox, accessed through a client of the API. Every method raises PortApiError."""

    def __init__(self, api: PortApi) -> None:
        self._api = api

    async def get(self, identifier: str, *, hint: str = _CHECK_PLACE) -> Mapping[str, Any]:
        """Return the definition of a workflow. `hint` is the hint for the error if the workflow does not exist."""
        try:
            response = await self._api.call("GET", _path(_WORKFLOWS, identifier))
        except PortApiError as problem:
            if problem.status != HTTPStatus.NOT_FOUND:
                raise
            raise PortApiError(
                f"Port has no workflow {identifier}.", hint=hint, status=HTTPStatus.NOT_FOUND
            ) from problem
        if not is_workflow(response):
            raise _not_documented(f"a workflow for {identifier}")
        return response

    async def start(self, identifier: str, body: Mapping[str, Any]) -> ShownRun:
        """Start a run. `body` has `inputs`, and it may have the trigger as `nodeIdentifier`.

        The request is never sent twice.
        """
        path = f"{_path(_WORKFLOWS, identifier)}/runs"
        return _run_of(await self._api.call("POST", path, body, repeatable=False))

    async def run(self, run_id: str) -> ShownRun:
        """Return a workflow run with its node runs and their outputs."""
        return _run_of(await self._api.call("GET", _path(_RUNS, run_id)))

    async def logs(self, run_id: str) -> list[Mapping[str, Any]]:
        """Return the log of a workflow run, which contains the entries of all its nodes."""
        logs = (await self._api.call("GET", f"{_path(_RUNS, run_id)}/logs")).get("logs")
        return [entry for entry in logs if isinstance(entry, Mapping)] if isinstance(logs, list) else []

    async def last_run(self, identifier: str) -> ShownRun | None:
        """Return the latest run of a workflow, with the outputs of its nodes, or None if there is no run.

        Port lists the latest run first. The list has no outputs, so the run is read again.
        """
        query = urlencode({"workflowIdentifiers": identifier, "limit": _MOST_LISTED})
        response = await self._api.call("GET", f"{_RUNS}?{query}")
        listed = next(
            (response[name] for name in ("workflowRuns", "runs") if isinstance(response.get(name), list)), None
        )
        if listed is None:
            raise _not_documented("a list of runs")
        for each in listed:
            run = read_shown_run(each)
            if run is not None and run.workflow in {"", identifier}:
                return await self.run(run.id)
        return None


def _path(base: str, identifier: str) -> str:
    segment = quote(identifier, safe="", errors="replace")
    # The HTTP client would resolve `.` and `..` as relative path segments.
    return f"{base}/{segment if segment.strip('.') else segment.replace('.', '%2E')}"


def _run_of(response: Mapping[str, Any]) -> ShownRun:
    run = read_shown_run(response)
    if run is None:
        raise _not_documented("a workflow run")
    return run


def _not_documented(expected: str) -> PortApiError:
    return PortApiError(
        f"Port's API did not respond with {expected}.", hint="Check PORT_API_URL and any proxy in between."
    )
