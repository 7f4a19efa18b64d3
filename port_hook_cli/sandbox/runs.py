"""Action runs: reading, listing, updating.

A run that has ended is refused with 409; Port's own slug for it, `run_exhausted`, is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from port_hook_cli.runs.updates import is_node_run
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, Refused, check_query, read_body
from port_hook_cli.sandbox.run import SandboxRun
from port_hook_cli.sandbox.state import SandboxState

_MOST_RUNS = 1000


def show_run(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Return the answer to a GET of one run."""
    check_query(request, most=_MOST_RUNS)
    run, made_up = find_run(state, run_id)
    return shown(run, made_up, {"run": run.document()})


def update_run(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Return the answer to a PATCH of a run."""
    check_query(request, most=_MOST_RUNS)
    return update(state, request, run_id, checks.RUN_PATCH)


def set_response(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Return the answer to the agent's report of what a webhook answered."""
    return update(state, request, run_id, checks.RESPONSE, required=("response",))


def list_runs(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Return the action runs that all filters of the query ask for, the oldest first."""
    check_query(request, most=_MOST_RUNS)
    wanted = request.query
    runs = [run for run in state.runs.values() if not is_node_run(run.id) and _matches(run, wanted)]
    given = runs[: int(float(wanted.get("limit", _MOST_RUNS)))]
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
    """Set the fields of a run or a node's run that the body names, and return the answer."""
    run, made_up = find_run(state, run_id)
    body = read_body(request, fields, required)
    check_open(run)
    check_status(run, body.get("status"))
    state.update_run(run, body)
    return shown(run, made_up, {"run": run.document()}, told(body))


def find_run(state: SandboxState, run_id: str) -> tuple[SandboxRun, bool]:
    """Return a run and whether it was made up just now; raises the 404."""
    run, made_up = state.find_run(run_id)
    if run is None:
        raise Refused(404, "not_found", f'The action run with identifier "{run_id}" was not found')
    return run, made_up


def check_open(run: SandboxRun) -> None:
    """Raise the 409 of a run that has ended."""
    if run.ended:
        raise Refused(409, "run_exhausted", f'Action run "{run.id}" already finished execution')


def check_status(run: SandboxRun, status: str | None) -> None:
    """Raise the 422 of a status for a run whose webhook's HTTP answer sets it; the agent reports that one itself."""
    if status is not None and run.is_synchronized and not run.is_for_agent:
        raise Refused(422, "run_synchronized_error", "Cannot manually change the status of a synchronized run")


def shown(
    run: SandboxRun, made_up: bool, document: Mapping[str, Any], note: str = "", *, status: int = 200
) -> ApiResponse:
    """Return a good answer that is about a run."""
    notes = (note, "made this run up, as its id was not known" if made_up else "")
    return ApiResponse(
        status=status, document={"ok": True, **document}, run_id=run.id, note="; ".join(filter(None, notes))
    )


def told(body: Mapping[str, Any]) -> str:
    """Return an update in words: what it ends, and the names of its other fields."""
    ends = [f"{name} {body[name]}" for name in ("status", "result") if name in body]
    return ", ".join([*ends, *(name for name in body if name not in {"status", "result"})])
