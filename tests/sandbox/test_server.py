from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.errors import ListenError, RunEndedError
from port_hook_cli.runs.updates import REQUEST_LIMIT
from port_hook_cli.sandbox import ApiEvent, CallRate, Sandbox
from port_hook_cli.sandbox.limits import parse_rate
from port_hook_cli.sandbox.messages import ApiRequest
from port_hook_cli.sandbox.routes import ROUTES, respond
from port_hook_cli.sandbox.state import SandboxState
from tests.factories import NOW, RUN_ID
from tests.port_clients import port_client
from tests.sandbox_clients import a_client, rejection, require_invalid, token_of
from tests.sandboxes import sandbox_with
from tests.servers import NO_TLS
from tests.sockets import LOOPBACK, bound_addresses

NODE_RUN = "wfnr_abc123"
RUN = f"/v1/actions/runs/{RUN_ID}"
NODE = f"/v1/workflows/nodes/runs/{NODE_RUN}"
UNKNOWN = "r_" + "0" * 16


async def test_run_accepts_logs_and_fields_until_it_ends(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    logged = await client.post(f"{RUN}/logs", json={"message": "hello"})
    assert logged.status_code == 201
    patched = await client.patch(RUN, json={"link": ["https://x.example"], "summary": "s", "statusLabel": "l"})
    assert patched.json()["run"]["status"] == "IN_PROGRESS"
    await client.patch(RUN, json={"status": "SUCCESS"})
    run = (await client.get(RUN, params={"version": "v2"})).json()["run"]
    assert (run["status"], run["summary"], run["statusLabel"]) == ("SUCCESS", "s", "l")
    assert run["endedAt"]
    logs = (await client.get(f"{RUN}/logs")).json()["runLogs"]
    assert [log["message"] for log in logs] == ["hello"]


async def test_log_with_a_termination_status_ends_the_run_once(client: httpx.AsyncClient) -> None:
    end = {"message": "bye", "terminationStatus": "FAILURE", "statusLabel": "broken"}
    assert (await client.post(f"{RUN}/logs", json=end)).status_code == 201
    assert (await client.get(RUN)).json()["run"]["status"] == "FAILURE"
    assert (await rejection(client.post(f"{RUN}/logs", json=end)))[:2] == (422, "run_exhausted")
    label = {"message": "bye", "statusLabel": "changed"}
    assert (await rejection(client.post(f"{RUN}/logs", json=label)))[:2] == (422, "run_exhausted")
    run, logs = await client.get(RUN), await client.get(f"{RUN}/logs")
    assert (run.json()["run"]["statusLabel"], len(logs.json()["runLogs"])) == ("broken", 1)


async def test_ended_run_accepts_log_messages_of_published_clients(client: httpx.AsyncClient) -> None:
    await client.patch(RUN, json={"status": "SUCCESS"})
    ended = (await client.get(RUN)).json()["run"]
    added = await client.post(f"{RUN}/logs", json={"message": "Deployment completed successfully"})
    assert (added.status_code, added.json()["runLog"]["runId"]) == (201, ended["id"])
    await client.patch(NODE, json={"status": "COMPLETED", "result": "SUCCESS"})
    entry = {"level": "INFO", "message": "late"}
    assert (await client.post(f"{NODE}/logs", json={"logs": [entry]})).status_code == 201
    assert (await client.get(RUN)).json()["run"] == ended
    logs = (await client.get(f"{RUN}/logs")).json()["runLogs"]
    assert [log["message"] for log in logs] == ["Deployment completed successfully"]


async def test_ended_run_rejects_updates(client: httpx.AsyncClient) -> None:
    await client.patch(RUN, json={"status": "SUCCESS"})
    await client.patch(NODE, json={"status": "COMPLETED", "result": "CANCELLED"})
    cases: list[tuple[str, str, dict[str, Any], str]] = [
        ("PATCH", RUN, {"summary": "x"}, f'Action run "{RUN_ID}"'),
        ("PATCH", f"{RUN}/response", {"response": "x"}, f'Action run "{RUN_ID}"'),
        ("POST", f"{RUN}/logs", {"message": "x", "statusLabel": "x"}, f'Action run "{RUN_ID}"'),
        ("PATCH", NODE, {"output": {}}, f'Node run "{NODE_RUN}"'),
    ]
    for method, path, body, named in cases:
        status, slug, message = await rejection(client.request(method, path, json=body))
        assert (status, slug) == (422, "run_exhausted")
        assert message.startswith(named)


async def test_call_needs_a_valid_token_with_or_without_a_scheme(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    for token in ("Bearer wrong", ""):
        assert (await rejection(client.get(RUN, headers={"authorization": token})))[:2] == (401, "unauthorized")
    token = await token_of(client, sandbox)
    assert (await client.get(RUN, headers={"authorization": token})).status_code == 200


async def test_token_expires() -> None:
    clock = [NOW]
    async with (
        sandbox_with(now=lambda: clock[0], token_lifetime_s=60, runs=[RUN_ID]) as sandbox,
        httpx.AsyncClient(base_url=sandbox.url, verify=NO_TLS) as client,
    ):
        headers = {"authorization": f"Bearer {await token_of(client, sandbox)}"}
        assert (await client.get(RUN, headers=headers)).status_code == 200
        clock[0] += 60
        assert (await client.get(RUN, headers=headers)).status_code == 401


async def test_wrong_credentials_do_not_get_a_token(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    for wrong in ("clientId", "clientSecret"):
        body = {"clientId": sandbox.client_id, "clientSecret": sandbox.client_secret.reveal(), wrong: "\ud800é"}
        status, slug, _ = await rejection(client.post("/v1/auth/access_token", content=json.dumps(body)))
        assert (status, slug) == (401, "invalid_credentials")


async def test_invalid_body_is_rejected_with_the_name_of_the_field(client: httpx.AsyncClient) -> None:
    cases: list[tuple[str, str, Any, str]] = [
        ("PATCH", RUN, {"state": "SUCCESS"}, "'state'"),
        ("PATCH", RUN, {"status": "DONE"}, "body/status"),
        ("PATCH", RUN, {"status": ["SUCCESS"]}, "body/status"),
        ("PATCH", RUN, {"summary": 1}, "body/summary"),
        ("PATCH", RUN, {"link": ["x", 2]}, "body/link"),
        ("PATCH", RUN, {"message": "x"}, "body/message"),
        ("PATCH", RUN, [], "object"),
        ("POST", f"{RUN}/logs", {}, "'message'"),
        ("POST", f"{RUN}/logs", {"message": "x", "level": "INFO"}, "'level'"),
        ("POST", f"{RUN}/logs", {"message": None}, "body/message"),
        ("PATCH", f"{RUN}/response", {}, "'response'"),
        ("PATCH", f"{RUN}/response", {"response": 1}, "body/response"),
        ("PATCH", NODE, {"link": "x"}, "'link'"),
        ("PATCH", NODE, {"result": "FAILURE"}, "body/result"),
        ("POST", f"{NODE}/logs", {"message": "x"}, "'logs'"),
        ("POST", f"{NODE}/logs", {"logs": [{"level": "LOUD", "message": "x"}]}, "body/logs"),
        ("POST", f"{NODE}/logs", {"logs": [{"level": {}, "message": "x"}]}, "body/logs"),
        ("POST", f"{NODE}/logs", {"logs": ["x"]}, "body/logs"),
        ("POST", "/v1/auth/access_token", {"clientId": "x"}, "'clientSecret'"),
        ("POST", "/v1/auth/access_token", {"clientId": "x", "clientSecret": "y", "org": "z"}, "'org'"),
    ]
    for method, path, body, named in cases:
        await require_invalid(client.request(method, path, json=body), named)


async def test_body_is_rejected_when_it_is_not_json(client: httpx.AsyncClient) -> None:
    for body in (b"", b"{", b"\xff", b"[" * 100_000):
        assert (await rejection(client.patch(RUN, content=body)))[:2] == (422, "invalid_request")


async def test_body_over_1_mib_is_rejected(client: httpx.AsyncClient) -> None:
    room = REQUEST_LIMIT - len(b'{"message": ""}')
    largest = b'{"message": "' + b"x" * room + b'"}'
    assert len(largest) == REQUEST_LIMIT
    assert (await client.post(f"{RUN}/logs", content=largest)).status_code == 201
    status, slug, expected = await rejection(client.post(f"{RUN}/logs", content=largest + b" "))
    assert (status, slug) == (413, "payload_too_large")
    assert "1MiB" in expected


async def test_invalid_query_is_rejected(client: httpx.AsyncClient) -> None:
    client.event_hooks = {}  # Port's document does not have a status for it
    for query in ("limit=0", "limit=1001", "limit=x", "limit=" + "9" * 5000, "active=1", "source=CLI", "version=v9"):
        assert (await rejection(client.get(f"/v1/actions/runs?{query}")))[:2] == (422, "invalid_request")


async def test_list_runs_applies_all_filters() -> None:
    cases: list[tuple[str, str]] = [
        ("", "abc"),
        ("action=create_vm", "ab"),
        ("blueprint=vm", "a"),
        ("entity=e1", "b"),
        ("source=API", "c"),
        ("source=API&source=UI", "abc"),
        ("external_run_id=gh-7", "b"),
        ("user_email=z@example.com", "c"),
        ("active=true", "ab"),
        ("active=false", "abc"),
        ("limit=2", "ab"),
        ("action=create_vm&entity=e1", "b"),
        ("action=other", ""),
        ("exclude=payload", "abc"),
    ]
    async with Sandbox.start() as sandbox, httpx.AsyncClient(base_url=sandbox.url, verify=NO_TLS) as client:
        sandbox.add_run("a", blueprint="vm")
        sandbox.add_run("b", entity="e1", external_run_id="gh-7")
        sandbox.add_run("c", action="delete_vm", source="API", user_email="z@example.com", ended_at=NOW)
        sandbox.add_run(NODE_RUN)
        headers = {"authorization": f"Bearer {await token_of(client, sandbox)}"}
        for query, found in cases:
            runs = (await client.get(f"/v1/actions/runs?{query}", headers=headers)).json()["runs"]
            assert (query, "".join(run["id"] for run in runs)) == (query, found)


async def test_strict_sandbox_has_only_the_given_runs() -> None:
    async with (
        sandbox_with(strict_runs=True, runs=[RUN_ID]) as sandbox,
        httpx.AsyncClient(base_url=sandbox.url, verify=NO_TLS) as client,
    ):
        client.headers["authorization"] = f"Bearer {await token_of(client, sandbox)}"
        assert (await client.get(RUN)).status_code == 200
        assert (await rejection(client.get(f"/v1/actions/runs/{UNKNOWN}")))[:2] == (404, "not_found")
        _, _, message = await rejection(client.patch(NODE, json={"status": "IN_PROGRESS"}))
        assert message == f'The node run with identifier "{NODE_RUN}" was not found'


async def test_run_is_found_by_its_external_id(client: httpx.AsyncClient) -> None:
    status, slug, message = await rejection(client.get("/v1/actions/runs/r_short"))
    assert (status, slug, "r_short" in message) == (404, "not_found", True)
    await client.patch(RUN, json={"externalRunId": "gh/7"})
    assert (await client.get("/v1/actions/runs/gh%2F7")).json()["run"]["id"] == RUN_ID


async def test_node_run_stores_its_result_output_and_logs(client: httpx.AsyncClient) -> None:
    logs = [{"level": "INFO", "message": "a"}, {"level": "ERROR", "message": "b"}]
    assert (await client.post(f"{NODE}/logs", json={"logs": logs})).status_code == 201
    update = {"status": "COMPLETED", "result": "FAILED", "output": {"n": 1}, "links": ["https://x.example"]}
    run = (await client.patch(NODE, json=update)).json()["run"]
    assert {name: run[name] for name in update} == update
    kept = (await client.get(f"{NODE}/logs")).json()["logs"]
    assert [(log["level"], log["message"]) for log in kept] == [("INFO", "a"), ("ERROR", "b")]


async def test_logs_are_paged(client: httpx.AsyncClient) -> None:
    for number in range(4):
        await client.post(f"{RUN}/logs", json={"message": str(number)})
    page = (await client.get(f"{RUN}/logs?limit=2.0&offset=1.0")).json()["runLogs"]
    assert [log["message"] for log in page] == ["1", "2"]
    client.event_hooks = {}  # Port's document does not have a status for an invalid query
    assert (await rejection(client.get(f"{RUN}/logs?limit=51")))[0] == 422


async def test_unknown_route_is_not_found_by_its_name(client: httpx.AsyncClient) -> None:
    cases: list[tuple[str, str]] = [
        ("GET", "/"),
        ("GET", "/v2/actions"),
        ("GET", "/v1/pages"),
        ("DELETE", RUN),
        ("PUT", NODE),
        ("GET", f"{RUN}/nothing"),
        ("GET", f"{RUN}/"),
    ]
    for method, path in cases:
        expected = f"The sandbox does not have the route {method} {path}"
        assert await rejection(client.request(method, path)) == (404, "not_found", expected)


async def test_on_event_gets_every_call_with_a_note() -> None:
    events: list[ApiEvent] = []
    async with sandbox_with(now=lambda: NOW, on_event=events.append) as sandbox:
        fields: dict[str, Any] = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
        async with port_client(api_url=sandbox.url, now=lambda: NOW, **fields) as api:
            await api.add_log(RUN_ID, "hello " * 50)
            await api.patch_run(RUN_ID, {"status": "SUCCESS", "summary": "s"})
            with pytest.raises(RunEndedError):
                await api.patch_run(RUN_ID, {"summary": "late"})
    calls = [(event.method, event.status, event.run_id, event.note) for event in events]
    assert calls[0] == ("POST", 200, None, "issued a token")
    assert calls[1][:3] == ("POST", 201, RUN_ID)
    assert "created the unknown run" in calls[1][3]
    assert len(calls[1][3]) < 120
    assert calls[2] == ("PATCH", 200, RUN_ID, "status SUCCESS, summary")
    assert calls[3][1:2] == (422,)
    assert all(sandbox.client_secret.reveal() not in repr(event) for event in events)
    assert {event.at for event in events} == {NOW}


async def test_credentials_differ_between_starts_and_are_masked(sandbox: Sandbox) -> None:
    async with Sandbox.start() as other:
        assert other.client_secret != sandbox.client_secret
        assert other.client_id != sandbox.client_id
    assert repr(sandbox.client_secret) == "Secret(***)"


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's table of sockets")
async def test_sandbox_listens_only_on_loopback(sandbox: Sandbox) -> None:
    assert bound_addresses(urlsplit(sandbox.url).port or 0) == {LOOPBACK}


async def test_start_fails_with_a_hint_when_the_port_is_taken(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(ListenError, match=f"127.0.0.1:{port}: the port is already in use") as caught:
        async with sandbox_with(address=("127.0.0.1", port)):
            pass
    assert "--port" in caught.value.hint


async def test_non_http_input_is_rejected_without_terminal_output(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for raw in (
        b"garbage\r\n\r\n",
        b"GET /\x1b[2J HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"POST /v1/auth/access_token HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
        writer.write(raw)
        assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        await writer.wait_closed()
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


async def test_disconnected_caller_is_reported_and_others_are_served(caplog: pytest.LogCaptureFixture) -> None:
    events: asyncio.Queue[ApiEvent] = asyncio.Queue()
    async with sandbox_with(on_event=events.put_nowait) as sandbox:
        _, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
        writer.write(b"POST /v1/auth/access_token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nabc")
        await writer.drain()
        writer.close()
        assert "disconnected during its request" in (await asyncio.wait_for(events.get(), 5)).note
        async with httpx.AsyncClient(base_url=sandbox.url, verify=NO_TLS) as client:
            await token_of(client, sandbox)
    assert caplog.records == []


SEGMENT = st.sampled_from(["v1", "actions", "runs", "workflows", "nodes", "logs", "response", RUN_ID, NODE_RUN, ""])
PATH = st.sampled_from([tuple(route.path.split("/")[1:]) for route in ROUTES]).map(
    lambda parts: tuple({"{action}": "create_vm", "{run_id}": RUN_ID}.get(part, part) for part in parts)
)
FIELD = st.sampled_from(
    [
        "properties",
        "entity",
        "status",
        "identifier",
        "schema",
        "entities",
        "rules",
        "combinator",
        "relations",
        "runIds",
        "limit",
        "installationId",
        "invocationMethod",
    ]
)


@given(
    method=st.sampled_from(["GET", "POST", "PATCH", "PUT", "DELETE"]),
    segments=PATH | st.lists(SEGMENT | st.text(max_size=5), max_size=7).map(tuple),
    query=st.dictionaries(st.sampled_from(["limit", "offset", "active", "source", "version"]), st.text(max_size=12)),
    body=st.binary(max_size=40)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.just("WEBHOOK"),
        lambda inner: st.lists(inner) | st.dictionaries(FIELD, inner),
    ).map(lambda document: json.dumps(document).encode()),
)
def test_response_is_json_for_any_request(
    method: str, segments: tuple[str, ...], query: dict[str, str], body: bytes
) -> None:
    state = SandboxState(now=lambda: NOW)
    state.initialize(sample=True)
    token = state.issue_token()
    request = ApiRequest(method=method, segments=segments, query=query, token=token, body=body, reserved=True)
    given = respond(state, request)
    assert json.loads(json.dumps(given.document, allow_nan=False))["ok"] is (given.status < 400)
    # The changes can also be saved.
    other = SandboxState(now=lambda: NOW)
    rows = json.loads(json.dumps(state.changes(), allow_nan=False))
    other.restore(row for row in rows if row[2] is not None)  # the file has no rows of deleted parts
    assert (other.runs, other.actions, other.entities) == (state.runs, state.actions, state.entities)
    assert (other.blueprints, other.integrations) == (state.blueprints, state.integrations)


async def test_response_is_json_for_any_path(client: httpx.AsyncClient) -> None:
    for path in ("/v1/actions/a%0Ab", "/%0A", "//"):
        assert (await rejection(client.get(path)))[:2] == (404, "not_found")


async def test_path_with_no_version_or_two_gets_the_same_response(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    for path in (RUN.removeprefix("/v1"), f"/v1{RUN}"):
        run = await client.get(path)
        assert (run.status_code, run.json()["run"]["id"]) == (200, RUN_ID)
    own = {"clientId": sandbox.client_id, "clientSecret": sandbox.client_secret.reveal()}
    assert (await client.post("/v1/v1/auth/access_token", json=own)).status_code == 200
    assert (await client.get(f"/v1{RUN}", headers={"authorization": ""})).status_code == 401
    for path in (f"/v1/v1{RUN}", "/v1/v1", "/v1/v1/nothing"):
        expected = f"The sandbox does not have the route GET {path}"
        assert await rejection(client.get(path)) == (404, "not_found", expected)


async def test_run_with_an_empty_entity_identifier_shows_it() -> None:
    async with Sandbox.start() as sandbox, a_client(sandbox) as client:
        sandbox.add_run(RUN_ID, entity="", blueprint="")
        run = (await client.get(RUN)).json()["run"]
    assert (run["entity"], run["blueprint"]) == ({"identifier": ""}, {"identifier": ""})


async def test_calls_over_the_rate_limit_get_429_with_retry_after() -> None:
    clock = [NOW]
    async with (
        sandbox_with(now=lambda: clock[0], call_rate=CallRate(3), runs=[RUN_ID]) as sandbox,
        a_client(sandbox) as client,
    ):
        assert (await client.get(RUN)).status_code == 200
        clock[0] += 12.5
        assert (await client.get(RUN)).status_code == 200
        rejected = await client.get(RUN)
        assert (rejected.status_code, rejected.headers["retry-after"]) == (429, "48")
        assert rejected.json()["error"] == "rate_limit_exceeded"
        clock[0] += 48
        assert (await client.get(RUN)).status_code == 200


async def test_every_response_shows_the_rate_limit() -> None:
    clock = [NOW]
    async with (
        sandbox_with(now=lambda: clock[0], call_rate=CallRate(2, 1)) as sandbox,
        httpx.AsyncClient(base_url=sandbox.url, verify=NO_TLS) as client,
    ):
        shown = []
        for path in ("/v1/actions", "/v1/nothing", "/"):
            fields = (await client.get(path)).headers
            shown.append([fields[f"x-ratelimit-{name}"] for name in ("period", "limit", "remaining", "reset")])
        assert shown == [["1", "2", "1", "1"], ["1", "2", "0", "1"], ["1", "2", "0", "1"]]
        clock[0] += 1
        assert (await client.get("/")).headers["x-ratelimit-remaining"] == "1"


async def test_response_without_a_rate_limit_shows_remaining_calls(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    fields = (await client.get(RUN)).headers
    assert fields["x-ratelimit-remaining"] == fields["x-ratelimit-limit"] == "1000000"


def test_parse_rate_reads_a_rate_with_or_without_a_unit() -> None:
    cases: list[tuple[str, tuple[int, int]]] = [("0", (0, 60)), ("10", (10, 60)), ("10/m", (10, 60)), ("5/s", (5, 1))]
    for text, rate in cases:
        assert parse_rate(text) == CallRate(*rate)


def test_parse_rate_rejects_an_invalid_rate() -> None:
    for text in ("", "-1", "x", "5/h", "5/", "1.5", "٣"):
        with pytest.raises(ValueError, match="N/s"):
            parse_rate(text)


ACTION = "/v1/actions/create_vm"


async def test_put_replaces_an_action_except_fields_set_by_port(client: httpx.AsyncClient) -> None:
    before = (await client.get(ACTION)).json()["action"]
    body = {key: before[key] for key in ("identifier", "trigger", "invocationMethod")} | {"title": "Other"}
    after = (await client.put(ACTION, json=body)).json()["action"]
    assert after == (await client.get(ACTION)).json()["action"]
    kept = {name: before[name] for name in ("id", "createdAt", "createdBy")}
    assert {**after, "updatedAt": None, "updatedBy": None} == {**kept, **body, "updatedAt": None, "updatedBy": None}


async def test_put_rejects_an_invalid_field_of_an_action(client: httpx.AsyncClient) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"id": "action_1"}, "found 'id'"),
        ({"updatedAt": "now"}, "found 'updatedAt'"),
        ({"icon": None}, "body/icon must be string"),
        ({"trigger": {"type": "cron"}}, "body/trigger"),
        ({"invocationMethod": {"type": "WEBHOOK"}}, "body/invocationMethod must have required property 'url'"),
        ({"invocationMethod": {"type": "WEBHOOK", "url": "u", "secret": "s"}}, "found 'secret'"),
        ({"invocationMethod": {"type": "WEBHOOK", "url": "u", "agent": 1}}, "body/invocationMethod/agent"),
        ({"invocationMethod": {"type": "CARRIER_PIGEON"}}, "body/invocationMethod"),
    ]
    for change, expected in cases:
        before = (await client.get(ACTION)).json()["action"]
        body = {key: before[key] for key in ("identifier", "trigger", "invocationMethod")}
        await require_invalid(client.put(ACTION, json=body | change), expected)
        assert (await client.get(ACTION)).json()["action"] == before


async def test_put_rejects_an_unknown_action_and_a_taken_identifier(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    sandbox.add_action({**sandbox.actions["create_vm"], "identifier": "a/b"})
    body = {key: sandbox.actions["create_vm"][key] for key in ("identifier", "trigger", "invocationMethod")}
    assert (await rejection(client.get("/v1/actions/other")))[:2] == (404, "not_found")
    assert (await rejection(client.put("/v1/actions/other", json=body)))[:2] == (404, "not_found")
    assert (await rejection(client.put("/v1/actions/a%2Fb", json=body)))[:2] == (409, "identifier_taken")
    assert (await client.put("/v1/actions/a%2Fb", json={**body, "identifier": "c"})).status_code == 200
    assert set(sandbox.actions) == {"create_vm", "c"}
