"""The sandbox's answers, as a function of its state and a request. Nothing here knows of sockets.

Routes, fields and errors: Port's API reference. A run that has ended is refused with 409; Port's own slug for it,
`run_exhausted`, is kept.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any

from port_hook_cli.adapters.sandbox import checks
from port_hook_cli.adapters.sandbox.actions import replace_action, show_action
from port_hook_cli.adapters.sandbox.messages import ApiAnswer, ApiRequest, Refused, check_query, read_body
from port_hook_cli.adapters.sandbox.state import SandboxRun, SandboxState
from port_hook_cli.core.records import format_time
from port_hook_cli.core.runs import is_node_run
from port_hook_cli.views.text import shorten

_DEFAULT_RUNS = _MOST_RUNS = 1000
_MOST_LOGS = 50


def answer(state: SandboxState, request: ApiRequest) -> ApiAnswer:
    """Return the answer to a request. Never raises."""
    try:
        return _route(state, request)
    except Refused as refused:
        return refused.answer


def _route(state: SandboxState, request: ApiRequest) -> ApiAnswer:
    match (request.method, *request.segments):
        case ("POST", "v1", "auth", "access_token"):
            return _give_token(state, request)
        case (_, "v1", *_) if not state.is_good(request.token):
            raise Refused(401, "unauthorized", "The access token is missing, unknown or expired")
        case ("GET", "v1", "actions", "runs"):
            return _list_runs(state, request)
        case (method, "v1", "actions", "runs", run_id, *rest):
            return _action_run(state, request, (method, *rest), run_id)
        case ("GET", "v1", "actions", identifier):
            return show_action(state, identifier)
        case ("PUT", "v1", "actions", identifier):
            return replace_action(state, request, identifier)
        case (method, "v1", "workflows", "nodes", "runs", run_id, *rest):
            return _node_run(state, request, (method, *rest), run_id)
        case _:
            raise _no_route(request)


def _action_run(state: SandboxState, request: ApiRequest, route: tuple[str, ...], run_id: str) -> ApiAnswer:
    match route:
        case ("GET",):
            check_query(request, most=_MOST_RUNS)
            run, made_up = _find(state, run_id)
            return _shown(run, made_up, {"run": run.document()})
        case ("PATCH",):
            return _update(state, request, run_id, checks.RUN_PATCH)
        case ("PATCH", "response"):
            return _update(state, request, run_id, checks.RESPONSE, required=("response",))
        case ("GET", "logs"):
            return _list_logs(state, request, run_id)
        case ("POST", "logs"):
            return _add_log(state, request, run_id)
        case _:
            raise _no_route(request)


def _node_run(state: SandboxState, request: ApiRequest, route: tuple[str, ...], run_id: str) -> ApiAnswer:
    match route:
        case ("PATCH",):
            return _update(state, request, run_id, checks.NODE_PATCH)
        case ("GET", "logs"):
            return _list_logs(state, request, run_id)
        case ("POST", "logs"):
            return _add_node_logs(state, request, run_id)
        case _:
            raise _no_route(request)


def _give_token(state: SandboxState, request: ApiRequest) -> ApiAnswer:
    body = read_body(request, checks.CREDENTIALS, required=("clientId", "clientSecret"))
    secret = state.client_secret.reveal().encode()
    if body["clientId"] != state.client_id or not hmac.compare_digest(_bytes(body["clientSecret"]), secret):
        raise Refused(401, "invalid_credentials", "The client id or client secret is wrong")
    token = {"accessToken": state.give_token(), "expiresIn": state.token_lifetime_s, "tokenType": "Bearer"}
    return ApiAnswer(status=200, document={"ok": True, **token}, note="gave a token")


def _update(
    state: SandboxState, request: ApiRequest, run_id: str, fields: checks.Fields, required: tuple[str, ...] = ()
) -> ApiAnswer:
    run, made_up = _find(state, run_id)
    body = read_body(request, fields, required)
    _check_open(run)
    _apply(run, body, state.now())
    return _shown(run, made_up, {"run": run.document()}, _told(body))


def _apply(run: SandboxRun, body: Mapping[str, Any], now: float) -> None:
    run.updated_at = now
    run.status = body.get("status", run.status)
    run.result = body.get("result", run.result)
    run.status_label = body.get("statusLabel", run.status_label)
    run.link = body.get("link", body.get("links", run.link))
    run.summary = body.get("summary", run.summary)
    run.external_run_id = body.get("externalRunId", run.external_run_id)
    run.response = body.get("response", run.response)
    run.output = body.get("output", run.output)
    if run.status != "IN_PROGRESS":
        run.ended_at = now


def _add_log(state: SandboxState, request: ApiRequest, run_id: str) -> ApiAnswer:
    run, made_up = _find(state, run_id)
    body = read_body(request, checks.RUN_LOG, required=("message",))
    _check_open(run)
    log = _keep_log(state, run, {"message": body["message"]})
    update = {"status": body.get("terminationStatus"), "statusLabel": body.get("statusLabel")}
    told = {name: value for name, value in update.items() if value is not None}
    _apply(run, told, state.now())
    note = f"log {shorten(json.dumps(body['message'], ensure_ascii=False), 60)}"
    return _shown(run, made_up, {"runLog": log}, ", ".join(filter(None, (note, _told(told)))), status=201)


def _add_node_logs(state: SandboxState, request: ApiRequest, run_id: str) -> ApiAnswer:
    run, made_up = _find(state, run_id)
    body = read_body(request, checks.NODE_LOGS, required=("logs",))
    _check_open(run)
    logs = [_keep_log(state, run, log) for log in body["logs"]]
    return _shown(run, made_up, {"logs": logs}, f"{len(logs)} logs", status=201)


def _keep_log(state: SandboxState, run: SandboxRun, said: Mapping[str, Any]) -> dict[str, Any]:
    log = {
        "id": f"rl_{secrets.token_hex(8)}",
        "runId": run.id,
        **said,
        "createdBy": state.client_id,
        "createdAt": format_time(state.now()),
    }
    run.logs.append(log)
    return log


def _list_logs(state: SandboxState, request: ApiRequest, run_id: str) -> ApiAnswer:
    check_query(request, most=_MOST_LOGS)
    run, made_up = _find(state, run_id)
    start = int(request.query.get("offset", "0"))
    logs = run.logs[start : start + int(request.query.get("limit", _MOST_LOGS))]
    return _shown(run, made_up, {"runLogs": logs})


def _list_runs(state: SandboxState, request: ApiRequest) -> ApiAnswer:
    check_query(request, most=_MOST_RUNS)
    wanted = request.query
    runs = [run for run in state.runs.values() if not is_node_run(run.id) and _matches(run, wanted)]
    shown = runs[: int(wanted.get("limit", _DEFAULT_RUNS))]
    return ApiAnswer(
        status=200, document={"ok": True, "runs": [run.document() for run in shown]}, note=f"{len(shown)} runs"
    )


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


def _find(state: SandboxState, run_id: str) -> tuple[SandboxRun, bool]:
    run, made_up = state.find_run(run_id)
    if run is None:
        raise Refused(404, "not_found", f'The action run with identifier "{run_id}" was not found')
    return run, made_up


def _check_open(run: SandboxRun) -> None:
    if run.ended:
        raise Refused(409, "run_exhausted", f'Action run "{run.id}" already finished execution')


def _shown(
    run: SandboxRun, made_up: bool, document: Mapping[str, Any], note: str = "", *, status: int = 200
) -> ApiAnswer:
    notes = (note, "made this run up, as its id was not known" if made_up else "")
    return ApiAnswer(
        status=status, document={"ok": True, **document}, run_id=run.id, note="; ".join(filter(None, notes))
    )


def _told(body: Mapping[str, Any]) -> str:
    ends = [f"{name} {body[name]}" for name in ("status", "result") if name in body]
    return ", ".join([*ends, *(name for name in body if name not in {"status", "result"})])


def _no_route(request: ApiRequest) -> Refused:
    path = "/".join(("", *request.segments))
    return Refused(404, "not_found", f"Route {request.method} {path} is not part of this sandbox")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
