"""Calls about action runs: read, list, start, approve and update the runs, and read and add to their logs.

The sandbox responds to an update of an ended run with 422 `run_exhausted`. Port's page on action runs says that an
ended run cannot be modified. The OpenAPI document lists no 409 for this case, and the integration test of Port's GitHub
action expects 422.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from port_hook_cli.actions.action import INTEGRATION_ACTION, KAFKA, WEBHOOK, BadAction
from port_hook_cli.actions.inputs import as_sent, fault_message, plain_defaults, settle
from port_hook_cli.actions.retargeting import value_at
from port_hook_cli.engines.json_schema import find_faults
from port_hook_cli.runs.updates import is_node_run
from port_hook_cli.sandbox import checks, organization
from port_hook_cli.sandbox.actions import find_action, find_action_of
from port_hook_cli.sandbox.messages import (
    DISABLED,
    ApiRequest,
    ApiResponse,
    Rejected,
    check_query,
    invalid,
    not_found,
    ok,
    read_body,
)
from port_hook_cli.sandbox.run import DECLINED, IN_PROGRESS, WAITING_FOR_APPROVAL, Phase, SandboxRun
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.text.safe import brief, shorten

_MAX_RUNS = 1000
_MAX_LOGS = 50


def show_run(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Return the response to a GET of one run."""
    check_query(request, max_limit=_MAX_RUNS)
    run = known_run(state, run_id)
    return ok({"run": run.document()}, run_id=run.id)


def list_runs(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Return the action runs that match all filters of the query, oldest first."""
    check_query(request, max_limit=_MAX_RUNS)
    wanted = request.query
    runs = [run for run in state.runs.values() if not is_node_run(run.id) and _matches(run, wanted)]
    given = runs[: int(float(wanted.get("limit", _MAX_RUNS)))]
    documents = [run.document() for run in given]
    return ok({"runs": documents}, f"{len(given)} runs")


def _matches(run: SandboxRun, wanted: Mapping[str, str]) -> bool:
    values = {
        "action": run.start.action,
        "entity": run.start.entity,
        "blueprint": run.start.blueprint,
        "external_run_id": run.report.external_run_id,
        "user_email": run.start.user_email,
    }
    if wanted.get("active") == "true" and run.ended:
        return False
    if run.start.source not in wanted.get("source", run.start.source).split(","):
        return False
    return all(values[name] == wanted[name] for name in wanted.keys() & values.keys())


def update_run(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Return the response to a PATCH of a run."""
    check_query(request, max_limit=_MAX_RUNS)
    return update(state, request, run_id, checks.RUN_PATCH)


def set_response(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Return the response to the agent's report of a webhook's response."""
    return update(state, request, run_id, checks.RESPONSE, required=("response",))


def list_logs(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Return up to 50 log entries, oldest first."""
    check_query(request, max_limit=_MAX_LOGS)
    run = known_run(state, run_id)
    start = int(float(request.query.get("offset", "0")))
    logs = run.logs[start : start + int(float(request.query.get("limit", _MAX_LOGS)))]
    return ok({"runLogs": logs}, run_id=run.id)


def add_log(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Add a log entry to a run. The `terminationStatus` of the entry ends the run.

    An ended run still accepts an entry that has only a message, because Port's GitHub action and execution agent send
    their last log entry after the status.
    """
    run, is_new = find_run(state, run_id)
    body = read_body(request, checks.RUN_LOG, required=("message",))
    if body.keys() & {"terminationStatus", "statusLabel"}:
        check_open(run)
    check_status(run, body.get("terminationStatus"))
    log = state.add_log(run, {"message": body["message"]})
    given = {"status": body.get("terminationStatus"), "statusLabel": body.get("statusLabel")}
    update = {name: value for name, value in given.items() if value is not None}
    if not run.ended:  # a log entry does not change the end of an ended run
        state.update_run(run, update)
    note = f"log {shorten(json.dumps(body['message'], ensure_ascii=False), 60)}"
    return run_response(
        run, is_new, {"runLog": log}, ", ".join(filter(None, (note, describe_update(update)))), status=201
    )


def start_run(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Start a run. The sandbox sends its invocation immediately, or after the approval."""
    return _start(state, request, find_action(state, identifier))


def start_run_of(state: SandboxState, request: ApiRequest, blueprint: str, identifier: str) -> ApiResponse:
    """Start a run of a blueprint's action, for an old route."""
    return _start(state, request, find_action_of(state, blueprint, identifier))


def start_run_on(state: SandboxState, request: ApiRequest, blueprint: str, entity: str, identifier: str) -> ApiResponse:
    """Start a run of a blueprint's action on an entity, for an old route."""
    return _start(state, request, find_action_of(state, blueprint, identifier), entity)


def _start(state: SandboxState, request: ApiRequest, action: dict[str, Any], entity: str | None = None) -> ApiResponse:
    identifier = action["identifier"]
    check_query(request, max_limit=_MAX_RUNS)
    body = read_body(request, checks.NEW_RUN, required=("properties",))
    if value_at(action, ("trigger", "type")) != "self-service":
        raise invalid(f'"{identifier}" is an automation, but only a self-service action can be run')
    properties = {**plain_defaults(_declared(action) or {}, body["properties"]), **body["properties"]}
    if fault := _find_input_fault(action, properties):
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
        run.report.status, run.invocation.phase = WAITING_FOR_APPROVAL, Phase.APPROVAL
        state.add_event(run, f"waiting for approval: PATCH /v1/actions/runs/{run.id}/approval")
    elif _invokes(state, kind):
        run.invocation.phase = Phase.PENDING
    note = f"started {run.id} for {brief(run.start.user_email)}"
    if not _invokes(state, kind):
        note += f" without a request, because its invocation method is {kind}"
    if action.get("publish") is False:
        note += DISABLED.format("publish")
    return ok(
        {"run": run.document()},
        note,
        status=202,
        run_id=run.id,
        invokes=run.id if run.invocation.phase is Phase.PENDING else None,
    )


def _invokes(state: SandboxState, kind: Any) -> bool:
    """Return whether the sandbox sends, publishes or offers an invocation for an invocation method of this type."""
    return kind in {WEBHOOK, INTEGRATION_ACTION} or (kind == KAFKA and state.has_topic)


def _find_input_fault(action: Mapping[str, Any], given: Mapping[str, Any]) -> str | None:
    """Return the first error in the inputs, with the name of the input, or None."""
    declared = _declared(action)
    if declared is None:
        return None
    rules = settle(declared, value_at(action, ("trigger", "userInputs", "required")), {})
    for name in rules.required:
        if given.get(name) is None:
            return f"properties must have required property '{name}'"
    for name, value in given.items():
        if name not in rules.declared:
            return f"properties must NOT have additional properties, found '{name}'"
        if value is not None and (message := _fault(rules.declared[name], value)):
            return f"properties/{name} {message}"
    return None


def _fault(rules: Mapping[str, Any], value: Any) -> str | None:
    try:
        faults = find_faults(rules, as_sent(rules, value))
    except BadAction as error:
        return f"is declared incorrectly, {error}"
    return fault_message(faults[0]) if faults else None


def _declared(action: Mapping[str, Any]) -> Mapping[str, Any] | None:
    declared = value_at(action, ("trigger", "userInputs", "properties"))
    return declared if isinstance(declared, Mapping) else None


def list_approvers(state: SandboxState, _: ApiRequest, run_id: str) -> ApiResponse:
    """Return the users who may approve a run: all users, or none if the run needs no approval."""
    run = known_run(state, run_id)
    return ok({"approvers": organization.users() if run.start.required_approval else []}, run_id=run.id)


def decide(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Approve or decline a run. One approval is enough for every value of `requiredApproval`."""
    check_query(request, max_limit=_MAX_RUNS)
    run, _ = find_run(state, run_id)
    body = read_body(request, checks.APPROVAL, required=("status",))
    check_open(run)
    if run.report.status != WAITING_FOR_APPROVAL:
        raise Rejected(422, "run_not_waiting_for_approval", f'Action run "{run.id}" is not waiting for approval')
    approved = body["status"] == "APPROVE"
    run.approval = {"state": "APPROVED" if approved else DECLINED, "userId": run.start.user_email}
    if "description" in body:
        run.approval["description"] = body["description"]
    action = state.actions.get(run.start.action)
    kind = value_at(action, ("invocationMethod", "type"))
    sends = approved and (kind is None or _invokes(state, kind))
    if approved:
        run.invocation.phase = Phase.PENDING if sends else Phase.NONE
    state.update_run(run, {"status": IN_PROGRESS if approved else DECLINED})
    return ok(
        {"run": run.document()},
        "approved" if approved else "declined",
        status=201,
        run_id=run.id,
        invokes=run.id if sends else None,
    )


def update(
    state: SandboxState, request: ApiRequest, run_id: str, fields: checks.Fields, required: tuple[str, ...] = ()
) -> ApiResponse:
    """Set the fields in the body of an action run or a node run, and return the response."""
    run, is_new = find_run(state, run_id)
    body = read_body(request, fields, required)
    check_open(run)
    check_status(run, body.get("status"))
    state.update_run(run, body)
    return run_response(run, is_new, {"run": run.document()}, describe_update(body))


def find_run(state: SandboxState, run_id: str) -> tuple[SandboxRun, bool]:
    """Return the run of a report, and whether it was just created. Raises Rejected with 404 for an unknown run."""
    run, is_new = state.find_run(run_id)
    return run or known_run(state, run_id), is_new


def known_run(state: SandboxState, run_id: str) -> SandboxRun:
    """Return a run, and never create it. Raises Rejected with 404 for an unknown run."""
    run = state.known_run(run_id)
    if run is None:
        kind = "node" if is_node_run(run_id) else "action"
        raise not_found(f"The {kind} run with identifier", run_id)
    return run


def check_open(run: SandboxRun) -> None:
    """Raise Rejected with 422 if the run has ended."""
    if run.ended:
        kind = "Node" if is_node_run(run.id) else "Action"
        raise Rejected(422, "run_exhausted", f'{kind} run "{run.id}" already finished execution')


def check_status(run: SandboxRun, status: str | None) -> None:
    """Raise the 422 for a status that the webhook's HTTP response sets. Port's agent reports the response itself."""
    if status is not None and run.invocation.is_synchronized and not run.invocation.is_for_agent:
        raise Rejected(422, "run_synchronized_error", "Cannot manually change the status of a synchronized run")


def run_response(
    run: SandboxRun, is_new: bool, document: Mapping[str, Any], note: str = "", *, status: int = 200
) -> ApiResponse:
    """Return a successful response about a run."""
    notes = (note, "created the unknown run" if is_new else "")
    return ok(document, "; ".join(filter(None, notes)), status=status, run_id=run.id)


def describe_update(body: Mapping[str, Any]) -> str:
    """Return a description of an update: its status and result, and the names of its other fields."""
    ends = [f"{name} {body[name]}" for name in ("status", "result") if name in body]
    return ", ".join([*ends, *(name for name in body if name not in {"status", "result"})])
