"""Starting a run of an action, and approving or declining it."""

from __future__ import annotations

from typing import Any

from port_hook_cli.actions.action import INTEGRATION_ACTION, KAFKA, WEBHOOK
from port_hook_cli.actions.retargeting import value_at
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.actions import find_action, find_action_of
from port_hook_cli.sandbox.inputs import fill_inputs, find_input_fault
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, Refused, check_query, invalid, read_body
from port_hook_cli.sandbox.run import DECLINED, IN_PROGRESS, WAITING_FOR_APPROVAL, Phase
from port_hook_cli.sandbox.runs import check_open, find_run
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.text.safe import brief

_MAX_LIMIT = 1000


def start_run(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Start a run. Its invocation is sent immediately, or after the approval."""
    return _start(state, request, find_action(state, identifier))


def start_run_of(state: SandboxState, request: ApiRequest, blueprint: str, identifier: str) -> ApiResponse:
    """Start a run of a blueprint's action; an old route."""
    return _start(state, request, find_action_of(state, blueprint, identifier))


def start_run_on(state: SandboxState, request: ApiRequest, blueprint: str, entity: str, identifier: str) -> ApiResponse:
    """Start a run of a blueprint's action on an entity; an old route."""
    return _start(state, request, find_action_of(state, blueprint, identifier), entity)


def _start(state: SandboxState, request: ApiRequest, action: dict[str, Any], entity: str | None = None) -> ApiResponse:
    identifier = action["identifier"]
    check_query(request, max_limit=_MAX_LIMIT)
    body = read_body(request, checks.NEW_RUN, required=("properties",))
    if value_at(action, ("trigger", "type")) != "self-service":
        raise invalid(f'"{identifier}" is an automation; only a self-service action can be run')
    properties = fill_inputs(action, body["properties"])
    if fault := find_input_fault(action, properties):
        raise invalid(f"body/{fault}")
    waits = action.get("requiredApproval") or False
    kind = value_at(action, ("invocationMethod", "type"))
    run = state.add_run(
        state.new_run_id(),
        action=identifier,
        blueprint=value_at(action, ("trigger", "blueprintIdentifier")),
        entity=body.get("entity") if entity is None else entity,
        source="API",
        properties=properties,
        required_approval=waits,
        **({"user_email": request.query["run_as"]} if "run_as" in request.query else {}),
    )
    if waits:
        run.status, run.phase = WAITING_FOR_APPROVAL, Phase.APPROVAL
        state.add_event(run, f"waiting for approval: PATCH /v1/actions/runs/{run.id}/approval")
    elif _invokes(state, kind):
        run.phase = Phase.PENDING
    note = f"started {run.id} for {brief(run.user_email)}"
    if not _invokes(state, kind):
        note += f"; no request is sent, because its invocation method is {kind}"
    return ApiResponse(
        status=202,
        document={"ok": True, "run": run.document()},
        run_id=run.id,
        note=note,
        invokes=run.id if run.phase is Phase.PENDING else None,
    )


def _invokes(state: SandboxState, kind: Any) -> bool:
    """Return whether the sandbox sends, publishes or offers something for an invocation method of this type."""
    return kind in {WEBHOOK, INTEGRATION_ACTION} or (kind == KAFKA and state.has_topic)


def decide(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Approve or decline a run. One approval is enough for any `requiredApproval`."""
    check_query(request, max_limit=_MAX_LIMIT)
    run, _ = find_run(state, run_id)
    body = read_body(request, checks.APPROVAL, required=("status",))
    check_open(run)
    if run.status != WAITING_FOR_APPROVAL:
        raise Refused(422, "run_not_waiting_for_approval", f'Action run "{run.id}" is not waiting for approval')
    approved = body["status"] == "APPROVE"
    run.approval = {"state": "APPROVED" if approved else DECLINED, "userId": run.user_email}
    if "description" in body:
        run.approval["description"] = body["description"]
    action = state.actions.get(run.action)
    kind = value_at(action, ("invocationMethod", "type"))
    sends = approved and (kind is None or _invokes(state, kind))
    if approved:
        run.phase = Phase.PENDING if sends else Phase.NONE
    state.update_run(run, {"status": IN_PROGRESS if approved else DECLINED})
    return ApiResponse(
        status=201,
        document={"ok": True, "run": run.document()},
        run_id=run.id,
        note="approved" if approved else "declined",
        invokes=run.id if sends else None,
    )
