"""Action runs: reading, listing, updating.

An update of an ended run gets 422 `run_exhausted`. Port's page on action runs says that such a run can no longer be
modified; the OpenAPI document lists no 409 for it, and the integration test of Port's GitHub action expects 422.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from port_hook_cli.runs.updates import is_node_run
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, Refused, check_query, read_body
from port_hook_cli.sandbox.run import SandboxRun
from port_hook_cli.sandbox.state import SandboxState

_MAX_RUNS = 1000


def show_run(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Return the response to a GET of one run."""
    check_query(request, max_limit=_MAX_RUNS)
    run, is_new = find_run(state, run_id)
    return run_response(run, is_new, {"run": run.document()})


def update_run(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Return the response to a PATCH of a run."""
    check_query(request, max_limit=_MAX_RUNS)
    return update(state, request, run_id, checks.RUN_PATCH)


def set_response(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Return the response to the agent's report of a webhook's response."""
    return update(state, request, run_id, checks.RESPONSE, required=("response",))


def list_runs(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Return the action runs that match all filters of the query, the oldest first."""
    check_query(request, max_limit=_MAX_RUNS)
    wanted = request.query
    runs = [run for run in state.runs.values() if not is_node_run(run.id) and _matches(run, wanted)]
    given = runs[: int(float(wanted.get("limit", _MAX_RUNS)))]
    documents = [run.document() for run in given]
    return ApiResponse(status=200, document={"ok": True, "runs": documents}, note=f"{len(given)} runs")


def _matches(run: SandboxRun, wanted: Mapping[str, str]) -> bool:
    values = {
        "action": run.action,
        "entity": run.entity,
        "blueprint": run.blueprint,
        "external_run_id": run.external_run_id,
        "user_email": run.user_email,
    }
    if wanted.get("active") == "true" and run.ended:
        return False
    if run.source not in wanted.get("source", run.source).split(","):
        return False
    return all(values[name] == wanted[name] for name in wanted.keys() & values.keys())


def update(
    state: SandboxState, request: ApiRequest, run_id: str, fields: checks.Fields, required: tuple[str, ...] = ()
) -> ApiResponse:
    """Set the fields in the body of a run or a node's run, and return the response."""
    run, is_new = find_run(state, run_id)
    body = read_body(request, fields, required)
    check_open(run)
    check_status(run, body.get("status"))
    state.update_run(run, body)
    return run_response(run, is_new, {"run": run.document()}, describe_update(body))


def find_run(state: SandboxState, run_id: str) -> tuple[SandboxRun, bool]:
    """Return a run and whether it was just created; raises Refused with 404."""
    run, is_new = state.find_run(run_id)
    if run is None:
        kind = "node" if is_node_run(run_id) else "action"
        raise Refused(404, "not_found", f'The {kind} run with identifier "{run_id}" was not found')
    return run, is_new


def check_open(run: SandboxRun) -> None:
    """Raise Refused with 422 if the run has ended."""
    if run.ended:
        kind = "Node" if is_node_run(run.id) else "Action"
        raise Refused(422, "run_exhausted", f'{kind} run "{run.id}" already finished execution')


def check_status(run: SandboxRun, status: str | None) -> None:
    """Raise the 422 of a status for a run whose webhook's HTTP response sets it; the agent reports that one itself."""
    if status is not None and run.is_synchronized and not run.is_for_agent:
        raise Refused(422, "run_synchronized_error", "Cannot manually change the status of a synchronized run")


def run_response(
    run: SandboxRun, is_new: bool, document: Mapping[str, Any], note: str = "", *, status: int = 200
) -> ApiResponse:
    """Return a successful response about a run."""
    notes = (note, "created the unknown run" if is_new else "")
    return ApiResponse(
        status=status, document={"ok": True, **document}, run_id=run.id, note="; ".join(filter(None, notes))
    )


def describe_update(body: Mapping[str, Any]) -> str:
    """Return a description of an update: its status and result, and the names of its other fields."""
    ends = [f"{name} {body[name]}" for name in ("status", "result") if name in body]
    return ", ".join([*ends, *(name for name in body if name not in {"status", "result"})])
