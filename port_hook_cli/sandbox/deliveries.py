"""A delivery that was not sent by the sandbox: `trigger` and `replay` tell it, so that the run has action and inputs.

The route is the sandbox's own; Port does not have it.
"""

from __future__ import annotations

from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, read_body
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.text.safe import brief


def add_delivery(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Make up the run of a delivery, or complete one that was made up. Other runs stay as they are."""
    body = read_body(request, checks.DELIVERY, required=("runId", "action", "properties"))
    run = state.runs.get(body["runId"])
    if run is not None and not run.made_up:
        document = {"ok": True, "run": run.document()}
        return ApiResponse(status=200, document=document, run_id=run.id, note="the run is known; it stays as it is")
    status = 201 if run is None else 200
    run = run or state.add_run(body["runId"], made_up=True)
    run.action, run.properties = body["action"], body["properties"]
    run.blueprint, run.entity = body.get("blueprint"), body.get("entity")
    state.record_change("run", run.id, run)
    note = brief(f"made up {run.id} of {run.action} for a delivery")
    return ApiResponse(status=status, document={"ok": True, "run": run.document()}, run_id=run.id, note=note)
