"""The sandbox's routes: `respond` computes a response from the state and a request, without sockets.

The routes, fields and errors follow Port's API reference. The agent's routes follow the published execution agent.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.runs.seen_calls import CALLS
from port_hook_cli.sandbox import (
    actions,
    agent,
    blueprints,
    checks,
    entities,
    entity_search,
    integrations,
    organization,
    runs,
)
from port_hook_cli.sandbox.messages import (
    ApiRequest,
    ApiResponse,
    Rejected,
    check_query,
    full,
    invalid,
    no_ai,
    ok,
    read_body,
)
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.sandbox.workflows import calls, node_runs
from port_hook_cli.text.safe import brief

_TOKEN = "/v1/auth/access_token"  # noqa: S105 - a path
_MAX_LISTED_CALLS = 1000
_MAX_NUMBER_DIGITS = 15


def issue_token(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Return the response to a request with credentials: a token, or a 401."""
    body = read_body(request, checks.CREDENTIALS, required=("clientId", "clientSecret"))
    secret = state.client_secret.reveal().encode()
    given = body["clientSecret"].encode("utf-8", "replace")
    if body["clientId"] != state.client_id or not hmac.compare_digest(given, secret):
        raise Rejected(401, "invalid_credentials", "The client ID or client secret is invalid")
    token = {"accessToken": state.issue_token(), "expiresIn": state.rules.token_lifetime_s, "tokenType": "Bearer"}
    return ok(token, "issued a token")


def add_delivery(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Create the run of a delivery, or update a run that an earlier delivery created.

    Runs of other origins do not change. `status` ends a synchronized run that has not ended.
    """
    body = read_body(request, checks.DELIVERY, required=("runId", "action", "properties"))
    run = state.runs.get(body["runId"])
    if run is not None and not run.made_up:
        return ok({"run": run.document()}, "the run is not changed", run_id=run.id)
    status, verb = (201, "created") if run is None else (200, "updated")
    run = run or state.add_run(body["runId"], made_up=True)
    run.start.action, run.start.properties = body["action"], body["properties"]
    run.start.blueprint, run.start.entity = body.get("blueprint"), body.get("entity")
    state.update_run(run, {} if run.ended or "status" not in body else {"status": body["status"]})
    note = brief(f"{verb} {run.id} of {run.start.action}")
    return ok({"run": run.document()}, note, status=status, run_id=run.id)


def list_calls(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Return up to `limit` calls with numbers higher than `after`, oldest first, and the number of the latest call."""
    check_query(request, max_limit=_MAX_LISTED_CALLS)
    after, limit = request.query.get("after", "0"), request.query.get("limit", str(_MAX_LISTED_CALLS))
    if not (after.isascii() and after.isdigit() and len(after) <= _MAX_NUMBER_DIGITS):
        raise invalid("querystring/after must be a whole number >= 0")
    calls = state.call_log.after(int(after), int(float(limit)))
    return ok({"calls": [call.document for call in calls], "last": state.call_log.last})


@frozen
class Route:
    """One route. `handle` takes the state, the request, and the value in the path for each `{name}`."""

    method: str
    path: str
    handle: Callable[..., ApiResponse]

    def arguments(self, request: ApiRequest, segments: tuple[str, ...]) -> list[str] | None:
        """Return the values in the path for the names of the route, or None if the request is for another route."""
        parts = self.path.split("/")[1:]
        if request.method != self.method or len(parts) != len(segments):
            return None
        pairs = list(zip(parts, segments, strict=True))
        if any(not segment if part[0] == "{" else part != segment for part, segment in pairs):
            return None
        return [segment for part, segment in pairs if part[0] == "{"]


_RUN = "/v1/actions/runs/{run_id}"
_ENTITY = "/v1/blueprints/{blueprint}/entities/{entity}"
_BLUEPRINT = "/v1/blueprints/{blueprint}"
_INTEGRATION = "/v1/integration/{integration}"
_INGEST = "/v1/sandbox/ingest/{integration}"
_RAW_DATA = "lake/write/integration-type/{type}/integration/{name}/sync/{sync}/kind/{kind}"
_SCORECARD = f"{_BLUEPRINT}/scorecards/{{scorecard}}"
_SECRET = "/v1/organization/secrets/{secret}"  # noqa: S105 - a path
_NODE = "/v1/workflows/nodes/runs/{node_run_id}"
_WORKFLOW = "/v1/workflows/{workflow}"
_WORKFLOW_RUN = "/v1/workflows/runs/{workflow_run_id}"
# The first matching route is used, so a route with a fixed segment comes before a route with a name in that place.
ROUTES = (
    Route("POST", _TOKEN, issue_token),
    Route("GET", "/v1/auth/permissions", actions.list_own_permissions),
    Route("GET", "/v1/actions/runs", runs.list_runs),
    Route("POST", "/v1/actions/runs/claim-pending", agent.claim_runs),
    Route("PATCH", "/v1/actions/runs/ack", agent.acknowledge_runs),
    Route("GET", _RUN, runs.show_run),
    Route("PATCH", _RUN, runs.update_run),
    Route("PATCH", f"{_RUN}/response", runs.set_response),
    Route("PATCH", f"{_RUN}/approval", runs.decide),
    Route("GET", f"{_RUN}/approvers", runs.list_approvers),
    Route("GET", f"{_RUN}/logs", runs.list_logs),
    Route("POST", f"{_RUN}/logs", runs.add_log),
    Route("GET", "/v1/actions", actions.list_actions),
    Route("POST", "/v1/actions", actions.create_action),
    Route("GET", "/v1/actions/{action}", actions.show_action),
    Route("PUT", "/v1/actions/{action}", actions.replace_action),
    Route("DELETE", "/v1/actions/{action}", actions.delete_action),
    Route("GET", "/v1/actions/{action}/permissions", actions.show_permissions),
    Route("PATCH", "/v1/actions/{action}/permissions", actions.update_permissions),
    Route("POST", "/v1/actions/{action}/runs", runs.start_run),
    Route("GET", "/v1/blueprints", blueprints.list_blueprints),
    Route("POST", "/v1/blueprints", blueprints.create_blueprint),
    Route("GET", _BLUEPRINT, blueprints.show_blueprint),
    Route("PUT", _BLUEPRINT, blueprints.replace_blueprint),
    Route("PATCH", _BLUEPRINT, blueprints.update_blueprint),
    Route("DELETE", _BLUEPRINT, blueprints.delete_blueprint),
    Route("GET", f"{_BLUEPRINT}/actions", actions.list_actions_of),
    Route("POST", f"{_BLUEPRINT}/actions", actions.create_action_of),
    Route("GET", f"{_BLUEPRINT}/actions/{{action}}", actions.show_action_of),
    Route("PUT", f"{_BLUEPRINT}/actions/{{action}}", actions.replace_action_of),
    Route("DELETE", f"{_BLUEPRINT}/actions/{{action}}", actions.delete_action_of),
    Route("POST", f"{_BLUEPRINT}/actions/{{action}}/runs", runs.start_run_of),
    Route("POST", f"{_ENTITY}/actions/{{action}}/runs", runs.start_run_on),
    Route("GET", f"{_BLUEPRINT}/scorecards", blueprints.list_scorecards_of),
    Route("POST", f"{_BLUEPRINT}/scorecards", blueprints.create_scorecard),
    Route("GET", _SCORECARD, blueprints.show_scorecard),
    Route("PUT", _SCORECARD, blueprints.replace_scorecard),
    Route("DELETE", _SCORECARD, blueprints.delete_scorecard),
    Route("GET", f"{_BLUEPRINT}/entities", entity_search.list_entities),
    Route("POST", f"{_BLUEPRINT}/entities", entities.create),
    Route("POST", f"{_BLUEPRINT}/entities/bulk", entity_search.create_several),
    Route("POST", f"{_BLUEPRINT}/entities/search", entity_search.search_in),
    Route("DELETE", f"{_BLUEPRINT}/bulk/entities", entity_search.delete_several),
    Route("POST", f"{_BLUEPRINT}/bulk/entities/delete", entity_search.delete_several),
    Route("DELETE", f"{_BLUEPRINT}/all-entities", entity_search.delete_all),
    Route("GET", "/v1/migrations/{migration}", entity_search.show_migration),
    Route("POST", "/v1/blueprints/entities/datasource-entities", entity_search.list_of_datasource),
    Route("POST", "/v1/entities/search", entity_search.search),
    Route("GET", _ENTITY, entities.show),
    Route("PUT", _ENTITY, entities.replace),
    Route("PATCH", _ENTITY, entities.update),
    Route("DELETE", _ENTITY, entities.delete),
    Route("GET", "/v1/workflows", calls.list_workflows),
    Route("POST", "/v1/workflows", calls.create_workflow),
    Route("GET", "/v1/workflows/self-service-triggers", calls.list_triggers),
    Route("GET", "/v1/workflows/runs", calls.list_runs),
    Route("POST", "/v1/workflows/runs/claim-pending", node_runs.claim),
    Route("PATCH", "/v1/workflows/runs/ack", node_runs.acknowledge),
    Route("POST", "/v1/org/{org}/workflows/runs/claim-pending", node_runs.claim),
    Route("PATCH", "/v1/org/{org}/workflows/runs/ack", node_runs.acknowledge),
    Route("GET", "/v1/workflows/nodes/runs", node_runs.list_node_runs),
    Route("GET", _NODE, node_runs.show_node_run),
    Route("PATCH", _NODE, node_runs.update_node_run),
    Route("GET", f"{_NODE}/logs", node_runs.list_logs),
    Route("POST", f"{_NODE}/logs", node_runs.add_logs),
    Route("POST", f"{_NODE}/responses", node_runs.respond),
    Route("GET", _WORKFLOW_RUN, calls.show_run),
    Route("GET", f"{_WORKFLOW_RUN}/logs", calls.list_logs),
    Route("POST", f"{_WORKFLOW_RUN}/cancel", calls.cancel_run),
    Route("PATCH", f"{_WORKFLOW_RUN}/nodes/{{node_run_id}}", node_runs.update_node_run_in),
    Route("GET", _WORKFLOW, calls.show_workflow),
    Route("PUT", _WORKFLOW, calls.replace_workflow),
    Route("DELETE", _WORKFLOW, calls.delete_workflow),
    Route("GET", f"{_WORKFLOW}/nodes/{{node}}", calls.show_node),
    Route("POST", f"{_WORKFLOW}/runs", calls.start_run),
    Route("GET", "/v1/organization", organization.show_organization),
    Route("PATCH", "/v1/organization", organization.update_organization),
    Route("GET", "/v1/organization/secrets", organization.list_secrets),
    Route("POST", "/v1/organization/secrets", organization.create_secret),
    Route("GET", _SECRET, organization.show_secret),
    Route("PATCH", _SECRET, organization.update_secret),
    Route("DELETE", _SECRET, organization.delete_secret),
    Route("GET", "/v1/users", organization.list_users),
    Route("GET", "/v1/users/{user}", organization.show_user),
    Route("GET", "/v1/teams", organization.list_teams),
    Route("POST", "/v1/teams", organization.create_team),
    Route("GET", "/v1/teams/{team}", organization.show_team),
    Route("GET", "/v1/scorecards", blueprints.list_scorecards),
    Route("POST", "/v1/pages", blueprints.create_page),
    Route("GET", "/v1/pages/{page}", blueprints.show_page),
    Route("DELETE", "/v1/pages/{page}", blueprints.delete_page),
    Route("POST", "/v1/integration", integrations.create),
    Route("GET", "/v1/integration/provision-enabled", integrations.list_provisioned),
    Route("GET", _INTEGRATION, integrations.show),
    Route("PATCH", _INTEGRATION, integrations.update),
    Route("DELETE", _INTEGRATION, integrations.delete),
    Route("PATCH", f"{_INTEGRATION}/config", integrations.update_config),
    Route("PATCH", f"{_INTEGRATION}/resync-state", integrations.update_resync_state),
    Route("GET", f"{_INTEGRATION}/resync-request", integrations.show_resync_request),
    Route("GET", f"{_INTEGRATION}/cursor", integrations.show_cursor),
    Route("POST", f"{_INTEGRATION}/cursor", integrations.create_cursor),
    Route("PUT", f"{_INTEGRATION}/cursor", integrations.replace_cursor),
    Route("POST", f"{_INTEGRATION}/kinds/{{kind}}/examples", integrations.ignore),
    Route("PATCH", "/v1/org/{org}/integration/probe/{probe}", integrations.ignore_probe),
    Route("GET", "/v1/kafka-credentials", organization.show_kafka_credentials),
    Route("POST", "/v1/agent/invoke", no_ai),
    Route("POST", "/v1/agent/{agent}/invoke", no_ai),
    Route("GET", "/v1/agent/invoke/{invocation}", no_ai),
    Route("POST", "/v1/ai/invoke", no_ai),
    Route("GET", "/v1/ai/invoke/{invocation}", no_ai),
    Route("POST", "/v1/sandbox/deliveries", add_delivery),
    Route("GET", CALLS, list_calls),
    Route("POST", _INGEST, integrations.ignore),
    Route("POST", f"{_INGEST}/syncMetrics", integrations.ignore),
    Route("POST", f"{_INGEST}/heartbeat", integrations.ignore),
    Route("PUT", f"{_INGEST}/syncMetrics/resync/{{event}}/kind/{{kind}}", integrations.ignore),
    Route("POST", f"{_INGEST}/{_RAW_DATA}", integrations.ignore),
)
# The routes that a full sandbox rejects. A full sandbox still starts runs, deletes the oldest runs, and accepts
# reports.
_ADDING = frozenset(
    {
        actions.create_action,
        actions.create_action_of,
        actions.replace_action,
        actions.replace_action_of,
        organization.update_organization,
        blueprints.create_blueprint,
        blueprints.replace_blueprint,
        blueprints.update_blueprint,
        calls.create_workflow,
        calls.replace_workflow,
        entities.create,
        entities.replace,
        entities.update,
        entity_search.create_several,
        integrations.create,
        integrations.create_cursor,
        integrations.replace_cursor,
        integrations.update,
        integrations.update_config,
        integrations.update_resync_state,
        runs.add_log,
        node_runs.add_logs,
        node_runs.respond,
        organization.create_secret,
        organization.create_team,
        organization.update_secret,
        actions.update_permissions,
        blueprints.create_scorecard,
        blueprints.create_page,
        blueprints.replace_scorecard,
    }
)
_WITHOUT_VERSION = frozenset(route.path.split("/")[2] for route in ROUTES)


def with_one_version(segments: tuple[str, ...]) -> tuple[str, ...]:
    """Return the segments of the path with a single `/v1` at the start.

    Published handlers add `/v1` to the base URL, to each path, or to both. With this function, all of them can use the
    same base URL.
    """
    if segments[:2] == ("v1", "v1"):
        return segments[1:]
    return ("v1", *segments) if segments and segments[0] in _WITHOUT_VERSION else segments


def is_poll(request: ApiRequest) -> bool:
    """Return whether a request reads the log of calls. Checks read the log every few milliseconds."""
    return request.method == "GET" and with_one_version(request.segments) == tuple(CALLS.split("/")[1:])


def respond(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Return the response to a request. Never raises."""
    try:
        return _route(state, request)
    except Rejected as rejected:
        return rejected.response


def _route(state: SandboxState, request: ApiRequest) -> ApiResponse:
    segments = with_one_version(request.segments)
    found: tuple[Route, list[str]] | None = None
    for route in ROUTES:
        arguments = route.arguments(request, segments)
        if arguments is not None:
            found = (route, arguments)
            break
    is_open = found is not None and found[0].path == _TOKEN
    if segments[:1] == ("v1",) and not is_open and not state.is_valid_token(request.token):
        raise Rejected(401, "unauthorized", "The access token is missing, unknown or expired")
    if found is None:
        path = "/".join(("", *request.segments))
        raise Rejected(404, "not_found", f"The sandbox does not have the route {request.method} {path}")
    if found[0].handle in _ADDING and not state.size.has_room:
        raise full(state.size.limit)
    taken: Any = found[0].handle(state, request, *found[1])
    assert isinstance(taken, ApiResponse)
    return taken
