"""A delivery that `trigger` or `replay` sends: they announce it, so that its run has the action and the inputs.

The route is the sandbox's own; Port does not have it.
"""

from __future__ import annotations

from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, read_body
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.text.safe import brief


def add_delivery(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Create the run of a delivery, or update one that was created this way. Other runs are not changed."""
    body = read_body(request, checks.DELIVERY, required=("runId", "action", "properties"))
    run = state.runs.get(body["runId"])
    if run is not None and not run.made_up:
        document = {"ok": True, "run": run.document()}
        return ApiResponse(status=200, document=document, run_id=run.id, note="the run is not changed")
    status, verb = (201, "created") if run is None else (200, "updated")
    run = run or state.add_run(body["runId"], made_up=True)
    run.action, run.properties = body["action"], body["properties"]
    run.blueprint, run.entity = body.get("blueprint"), body.get("entity")
    state.record_change("run", run.id, run)
    note = brief(f"{verb} {run.id} of {run.action}")
    return ApiResponse(status=status, document={"ok": True, "run": run.document()}, run_id=run.id, note=note)
