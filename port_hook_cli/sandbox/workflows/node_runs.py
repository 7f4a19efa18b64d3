"""Calls about node runs: reports, logs, input responses, and the agent's claim and acknowledgment.

The first use of an unknown node run ID creates a node run that belongs to no workflow, so that users can try a handler
without a workflow. The functions at the end of this module are for these node runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from port_hook_cli.invocations.view import format_time
from port_hook_cli.runs.updates import is_node_run
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.agent import AGENT, CLAIM_S, DEFAULT_CLAIMED, claim_matching
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, Rejected, invalid, not_found, ok, read_body
from port_hook_cli.sandbox.run import SandboxRun
from port_hook_cli.sandbox.runs import describe_update, find_run, known_run, run_response, update
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.sandbox.workflows.book import claimed_document, node_run_document
from port_hook_cli.text.safe import brief
from port_hook_cli.workflows.nodes import NodeOutcome, NodeResult
from port_hook_cli.workflows.run import COMPLETED, NodeRun, Progress, WorkflowRun
from port_hook_cli.workflows.workflow import NodeType

_UNLISTED = "Port's API reference does not list this route. It has PATCH /v1/workflows/nodes/runs/{node_run_id}"


def update_node_run(state: SandboxState, request: ApiRequest, node_run_id: str) -> ApiResponse:
    """Return the response to a PATCH of a node run. If the PATCH ends the node run, the workflow run continues."""
    found = state.workflows.find_node_run(node_run_id)
    if found is None:
        return _update_made_up(state, request, node_run_id)
    run, node_run = found
    body = read_body(request, checks.NODE_PATCH)
    _check_open(run, node_run)
    if body.get("status") == COMPLETED and "result" not in body:
        raise invalid("body must have required property 'result' when the status is COMPLETED")
    report = state.workflows.report_on(node_run_id)
    output = body.get("output", report.output)
    fields: dict[str, Any] = {
        "output": output,
        "external_run_id": body.get("externalRunId", report.external_run_id),
        "links": tuple(body.get("links", report.links)),
    }
    if "statusLabel" in body:
        fields["status_label"] = body["statusLabel"]["text"]
    if "logs" in body:
        at = format_time(state.now())
        fields["logs"] = (*report.logs, *({**each, "createdAt": at} for each in _logged(body)))
    if body.get("status") == COMPLETED:
        outcome = NodeOutcome(result=NodeResult(body["result"]), output=output or {})
        fields["outcome"] = outcome
        # The walker ends the node run after this response.
        at = format_time(state.now())
        node_run = replace(node_run, result=outcome.result, output=outcome.output, updated_at=at)
    state.workflows.report(node_run_id, **fields)
    note = describe_update(body)
    return ok({"run": node_run_document(state.workflows, run, node_run)}, note, run_id=node_run_id, walks=run.id)


def update_node_run_in(state: SandboxState, request: ApiRequest, run_id: str, node_run_id: str) -> ApiResponse:
    """Update a node run under a path that contains its workflow run.

    Raises Rejected with 404 for another run's node run. Port shows this route only on its page on workflow runs. Port's
    API reference does not have the route. The note mentions this.
    """
    found = state.workflows.find_node_run(node_run_id)
    if found is not None and found[0].id != run_id:
        raise not_found("The node run with identifier", node_run_id)
    response = update_node_run(state, request, node_run_id)
    return replace(response, note=f"{response.note}; {_UNLISTED}")


def show_node_run(state: SandboxState, _: ApiRequest, node_run_id: str) -> ApiResponse:
    """Return a node run. Port has no route for a single node run.

    Only the sandbox has this route, for `trigger --wait`.
    """
    found = state.workflows.find_node_run(node_run_id)
    if found is None:
        return _show_made_up(state, node_run_id)
    document = node_run_document(state.workflows, *found)
    return ok({"nodeRun": document}, run_id=node_run_id)


def list_node_runs(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Return node runs.

    If the query has an `external_run_id`, as Ocean's query does, return only the matching node runs.
    """
    wanted, with_config = request.query.get("external_run_id"), request.query.get("include") == "nodeConfig"
    found = [
        node_run_document(state.workflows, run, each, with_config=with_config)
        for run in state.workflows.runs.values()
        for each in run.node_runs
        if wanted in (None, state.workflows.report_on(each.id).external_run_id)
    ]
    return ok({"nodeRuns": found}, f"{len(found)} node runs")


def add_logs(state: SandboxState, request: ApiRequest, node_run_id: str) -> ApiResponse:
    """Add entries to the log of a node run."""
    found = state.workflows.find_node_run(node_run_id)
    if found is None:
        return _add_logs_to_made_up(state, request, node_run_id)
    body = read_body(request, checks.NODE_LOGS, required=("logs",))
    at = format_time(state.now())
    logs = [{"level": log.get("level", "INFO"), "message": log["message"], "createdAt": at} for log in body["logs"]]
    known = state.workflows.report_on(node_run_id).logs
    state.workflows.report(node_run_id, logs=(*known, *logs))
    return ok({"logs": logs}, _counted(len(logs)), status=201, run_id=node_run_id)


def list_logs(state: SandboxState, _: ApiRequest, node_run_id: str) -> ApiResponse:
    """Return the log of a node run."""
    if state.workflows.find_node_run(node_run_id) is None:
        return _list_logs_of_made_up(state, node_run_id)
    logs = list(state.workflows.report_on(node_run_id).logs)
    return ok({"logs": logs}, run_id=node_run_id)


def respond(state: SandboxState, request: ApiRequest, node_run_id: str) -> ApiResponse:
    """Record a response to an INPUT node. Port does not document the body.

    `buttonIdentifier` and `inputs` are inferred.
    """
    run, node_run = _known(state, node_run_id)
    node = run.node(node_run)
    if node.type != NodeType.INPUT:
        raise invalid(f"The node {node.identifier} is not an INPUT node")
    body = read_body(request, checks.INPUT_RESPONSE, required=("buttonIdentifier",))
    if run.current is None or run.current.id != node_run_id:
        raise Rejected(409, "run_exhausted", f'The node run "{node_run_id}" does not accept more responses')
    if body["buttonIdentifier"] not in {outlet.identifier for outlet in node.outlets}:
        raise invalid("body/buttonIdentifier must be the identifier of an outlet")
    known = state.workflows.report_on(node_run_id).responses
    response = {
        "buttonIdentifier": body["buttonIdentifier"],
        "inputs": body.get("inputs", {}),
        "submitterInfo": {"submittedBy": state.client_id},
    }
    state.workflows.report(node_run_id, responses=(*known, response))
    return ok(note=f"responded {body['buttonIdentifier']}", run_id=node_run_id, walks=run.id)


def claim(state: SandboxState, request: ApiRequest, *_: str) -> ApiResponse:
    """Claim the node runs that wait for the agent or for one integration, and return them, oldest first.

    The path may contain the organization, as in `acknowledge`.
    """
    body = read_body(request, checks.CLAIM, required=("installationId",))
    now = state.now()
    until = now + body.get("visibilityTimeoutMs", CLAIM_S * 1000) / 1000
    claimed: list[dict[str, Any]] = []
    installation = body["installationId"]
    for run, node_run in _waiting(state, now, body.get("exclude") or (), installation):
        if len(claimed) < body.get("limit", DEFAULT_CLAIMED):
            state.workflows.report(node_run.id, claimed_until=until, installation_id=installation)
            claimed.append(claimed_document(state.workflows, run, node_run))
    left = body.get("limit", DEFAULT_CLAIMED) - len(claimed)
    made = _claimed_made_up(state, body, left) if installation == AGENT else []
    count = len(claimed) + len(made)
    claimer = "the agent" if installation == AGENT else f"the integration {brief(installation)}"
    note = f"{claimer} claimed {count} node runs" if count else f"no node run waits for {claimer}"
    return ok({"nodeRuns": [*claimed, *made]}, note)


def acknowledge(state: SandboxState, request: ApiRequest, *_: str) -> ApiResponse:
    """Record that the agent took a node run. Raises Rejected with 409 if the node run was already taken."""
    body = read_body(request, checks.ACK_NODE, required=("nodeRunIdentifier",))
    node_run_id = body["nodeRunIdentifier"]
    run = _known(state, node_run_id)[0]
    report = state.workflows.report_on(node_run_id)
    if report.is_acked or report.claimed_until is None:
        raise Rejected(409, "already_acknowledged", f'The node run "{node_run_id}" was taken already')
    state.workflows.report(node_run_id, is_acked=True, claimed_until=None)
    state.add_workflow_event(run, f"{node_run_id} was taken by {report.installation_id}")
    return ok({"acked": True}, "acknowledged", run_id=node_run_id)


def _waiting(state: SandboxState, now: float, excluded: Any, installation: str) -> list[tuple[WorkflowRun, NodeRun]]:
    found = []
    for run in state.workflows.runs.values():
        node_run = run.current
        if node_run is None or node_run.progress is not Progress.WAITING:
            continue
        report = state.workflows.report_on(node_run.id)
        is_free = report.claimed_until is None or now >= report.claimed_until
        uid = f"{run.workflow.identifier}:{node_run.node}"
        is_own = report.is_for_agent if installation == AGENT else report.offered_to == installation
        if is_own and not report.is_acked and is_free and uid not in excluded:
            found.append((run, node_run))
    return found


def _known(state: SandboxState, node_run_id: str) -> tuple[WorkflowRun, NodeRun]:
    found = state.workflows.find_node_run(node_run_id)
    if found is None:
        raise not_found("The node run with identifier", node_run_id)
    return found


def _check_open(run: WorkflowRun, node_run: NodeRun) -> None:
    """Raise the 422 for a node run that has ended.

    Port lists a 422 and no 409, but doesn't say what a late update gets.
    """
    if node_run.result is not None or run.result is not None:
        raise Rejected(422, "run_exhausted", f'Node run "{node_run.id}" already finished execution')


def _counted(count: int) -> str:
    """Return the number of entries that a call added to a log, as text for the terminal."""
    return f"{count} log {'entry' if count == 1 else 'entries'}"


def _logged(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Convert the `logs` of a PATCH from the format of Port's draft of its API to the format of the logs route."""
    return [{"level": log["logLevel"], "message": log.get("log", "")} for log in body.get("logs", ())]


def _update_made_up(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Return the response to a PATCH of a node run without a workflow."""
    response = update(state, request, run_id, checks.NODE_PATCH)
    run, _ = find_run(state, run_id)
    for log in _logged(read_body(request, checks.NODE_PATCH)):
        state.add_log(run, log)
    return response


def _show_made_up(state: SandboxState, run_id: str) -> ApiResponse:
    """Return the response to a GET for a node run without a workflow. Only the sandbox has this route."""
    run = known_run(state, run_id)
    return ok({"nodeRun": run.document()}, run_id=run.id)


def _add_logs_to_made_up(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Add entries to the log of a node run without a workflow, even after it has ended, like `add_logs`."""
    run, is_new = find_run(state, run_id)
    body = read_body(request, checks.NODE_LOGS, required=("logs",))
    logs = [state.add_log(run, log) for log in body["logs"]]
    return run_response(run, is_new, {"logs": logs}, _counted(len(logs)), status=201)


def _list_logs_of_made_up(state: SandboxState, run_id: str) -> ApiResponse:
    """Return the log of a node run without a workflow.

    The log has the name that Port's own CLI reads. The log of an action run has another name.
    """
    run = known_run(state, run_id)
    return ok({"logs": run.logs}, run_id=run.id)


def _claimed_made_up(state: SandboxState, body: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
    """Claim up to `limit` node runs without a workflow that wait for the agent, and return them."""
    if limit < 1:
        return []
    return [_for_agent(run) for run in claim_matching(state, {**body, "limit": limit}, lambda run: is_node_run(run.id))]


def _for_agent(run: SandboxRun) -> dict[str, Any]:
    config = {name: value for name, value in (run.invocation.payload or {}).items() if name != "workflowRun"}
    workflow = (run.invocation.payload or {}).get("workflowRun", f"wfr_{run.id.partition('_')[2]}")
    return {**run.document(), "config": config, "node": {"config": config}, "workflowRun": {"identifier": workflow}}
