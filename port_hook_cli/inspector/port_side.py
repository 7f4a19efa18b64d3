"""What Port says about a run: its status, log and links, and the node runs of a workflow as a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from port_hook_cli.errors import PortHookError, SettingsError
from port_hook_cli.inspector.records import message
from port_hook_cli.invocations.payload import WORKFLOW_RUN_ID, is_run_id
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.reporting.report import send_report
from port_hook_cli.runs.updates import RunReport, is_node_run, plan_report
from port_hook_cli.runs.urls import run_page

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi

_MAX_LOGS = 500
_LOGS_OF_A_PAGE = 50
_MAX_NODES = 200
_LATEST_RUNS = 50
_NOT_AMONG_THE_LATEST = (
    f"The payload does not name the workflow's run, and none of the {_LATEST_RUNS} latest runs has this node run."
)
_NAME_IT = "Add {{ .workflowRun.identifier }} to the body of the node."
_NO_CREDENTIALS = (
    "Set PORT_CLIENT_ID and PORT_CLIENT_SECRET, or start `port-hook sandbox`, and start the inspector again."
)


class PortSide:
    """Reads and reports runs with the credentials of the session, if there are any."""

    def __init__(self, access: PortAccess) -> None:
        self._access = access
        self._why_not: str | None = None
        self._is_known = False

    def why_not(self) -> str | None:
        """Return why runs cannot be shown, or None; files are read only once."""
        if not self._is_known:
            self._is_known = True
            try:
                self._access.settings.require_access()
            except SettingsError as error:
                self._why_not = error.message
        return self._why_not

    async def show(self, run_id: str, workflow_run: str | None) -> dict[str, Any]:
        """Return the run; for a node run, the run of its workflow if `workflow_run` names it. Never raises."""
        if unnamed := _unnamed(run_id, workflow_run):
            return unnamed
        try:
            async with self._access.client(retries=False) as port:
                if is_node_run(run_id):
                    workflow_run = workflow_run or await _find_workflow_run(port, run_id)
                    if workflow_run is None:
                        return _unavailable(_NOT_AMONG_THE_LATEST, _NAME_IT)
                if workflow_run or WORKFLOW_RUN_ID.match(run_id):
                    return await _workflow_run(port, workflow_run or run_id)
                return await _action_run(port, run_id, self._access.settings.app_url)
        except SettingsError as error:
            return _unavailable(error.message, error.hint or _NO_CREDENTIALS)
        except PortHookError as error:
            return _unavailable(error.message, error.hint)

    async def report(self, run_id: str, report: RunReport) -> None:
        """Report a run as `report-run` does; raises PortHookError."""
        plan = plan_report(run_id, report)
        async with self._access.client() as port:
            await send_report(port, plan)


def _unnamed(run_id: str, workflow_run: str | None) -> dict[str, Any] | None:
    """Return the response for ids of runs that Port cannot show, or None."""
    if not (is_run_id(run_id) or WORKFLOW_RUN_ID.match(run_id)):
        return _unavailable(f"{run_id[:80]} is not the id of a run in Port.", "Look at the payload.")
    if workflow_run is not None and not WORKFLOW_RUN_ID.match(workflow_run):
        return _unavailable(f"{workflow_run[:80]} is not the id of a workflow's run.", "Look at the payload.")
    return None


async def _find_workflow_run(port: PortApi, node_run: str) -> str | None:
    """Return the latest workflow run that has a node run. Port has no route that shows a node run alone."""
    found = await port.call("GET", f"/v1/workflows/runs?limit={_LATEST_RUNS}")
    for run in _objects(found.get("workflowRuns")):
        if any(each.get("identifier") == node_run for each in _objects(run.get("nodeRuns"))):
            return str(run.get("identifier"))
    return None


async def _action_run(port: PortApi, run_id: str, app_url: str) -> dict[str, Any]:
    run = await port.get_run(run_id)
    logs = await _all_logs(port, run_id)
    action = run.get("action")
    return _available(
        {
            "id": run_id,
            "kind": "action",
            "name": action.get("identifier") if isinstance(action, dict) else action,
            "status": run.get("status"),
            "label": run.get("statusLabel"),
            "summary": run.get("summary"),
            "link": _links(run.get("link")),
            "created_at": run.get("createdAt"),
            "ended_at": run.get("endedAt"),
            "url": run_page(app_url, run_id) if app_url else None,
        },
        [
            {"at": entry.get("createdAt"), "level": None, "text": str(entry.get("message", ""))}
            for entry in logs[:_MAX_LOGS]
        ],
        [],
    )


async def _all_logs(port: PortApi, run_id: str) -> list[dict[str, Any]]:
    """Return the log of a run, of which Port returns 50 entries at a time: the first 500."""
    logs: list[dict[str, Any]] = []
    while len(logs) < _MAX_LOGS:
        page = await port.run_logs(run_id, offset=len(logs))
        logs += page
        if len(page) < _LOGS_OF_A_PAGE:
            break
    return logs


async def _workflow_run(port: PortApi, run_id: str) -> dict[str, Any]:
    path = f"/v1/workflows/runs/{quote(run_id, safe='')}"
    run = _part(await port.call("GET", path), "workflowRun")
    logs = (await port.call("GET", f"{path}/logs")).get("logs")
    identifier = _part(run, "workflow").get("identifier")
    definition = {}
    if identifier:
        found = await port.call("GET", f"/v1/workflows/{quote(str(identifier), safe='')}")
        definition = _part(found, "workflow")
    return _available(
        {
            "id": run_id,
            "kind": "workflow",
            "name": identifier,
            "status": run.get("status"),
            "label": run.get("result"),
            "summary": None,
            "link": [],
            "created_at": run.get("createdAt"),
            "ended_at": run.get("completedAt"),
            "url": None,
        },
        [_log(entry) for entry in (logs if isinstance(logs, list) else [])[-_MAX_LOGS:]],
        graph(definition, run),
    )


def graph(definition: Mapping[str, Any], run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes of a workflow, each with its state in a run and the nodes that it leads to."""
    reached = {str(_part(each, "node").get("identifier")): each for each in _objects(run.get("nodeRuns"))}
    targets: dict[str, list[str]] = {}
    for connection in _objects(definition.get("connections")):
        targets.setdefault(str(connection.get("sourceIdentifier")), []).append(str(connection.get("targetIdentifier")))
    nodes = _objects(definition.get("nodes"))
    known = {str(node.get("identifier")): node for node in nodes} or {str(name): {} for name in reached}
    return [
        _node(name, node, reached.get(name), targets.get(name, [])) for name, node in list(known.items())[:_MAX_NODES]
    ]


def _node(name: str, node: Mapping[str, Any], run: Mapping[str, Any] | None, following: list[str]) -> dict[str, Any]:
    run = run or {}
    return {
        "id": name,
        "type": _part(node, "config").get("type") or run.get("nodeConfigType"),
        "title": node.get("title") or run.get("nodeTitle") or name,
        "status": run.get("status"),
        "result": run.get("result"),
        "started_at": run.get("createdAt"),
        "ended_at": run.get("completedAt"),
        "run_id": run.get("identifier"),
        "next": following,
    }


def _log(entry: Any) -> dict[str, Any]:
    fields = entry if isinstance(entry, dict) else {}
    text = fields.get("message", fields.get("log", ""))
    return {"at": fields.get("createdAt"), "level": fields.get("level", fields.get("logLevel")), "text": str(text)}


def _available(run: dict[str, Any], logs: Sequence[dict[str, Any]], nodes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return message({"available": True, "run": run, "logs": list(logs), "nodes": list(nodes)})


def _unavailable(reason: str, hint: str) -> dict[str, Any]:
    return message({"available": False, "reason": reason, "hint": hint})


def _part(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _links(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(each) for each in value] if isinstance(value, list) else []
