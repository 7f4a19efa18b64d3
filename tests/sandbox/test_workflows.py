"""Workflows in the sandbox: every response matches the transcription of Port's routes, if this machine has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.engines.renderer import Renderer
from tests.sandbox.claims import AGENT, RESERVED, claim_nodes
from tests.sandbox.workflow_runs import ended, run_workflow, running, started, waiting
from tests.sandbox_clients import rejection, require_invalid
from tests.sandboxes import a_sequence, a_webhook, one_node, saved_state
from tests.servers import application

OURS = "https://api.getport.io/v1"


def deploy(url: str) -> dict[str, Any]:
    check = a_webhook(
        "check",
        f"{url}/check",
        headers={"X-Key": "{{ .secrets.HOOK }}"},
        body={"service": "{{ .outputs.trigger.service }}"},
    )
    ready = {"identifier": "ready", "title": "Ready", "expression": ".outputs.check.response.data.ready"}
    ship = {"synchronized": False, "body": {"nodeRunId": "{{ .workflowNodeRun.identifier }}"}}
    mapping = {"identifier": "{{ .outputs.ship.id }}", "properties": {"ok": True}}
    upsert = {"type": "UPSERT_ENTITY", "blueprintIdentifier": "deployment", "mapping": mapping}
    inputs = {"properties": {"service": {"type": "string"}}, "required": ["service"]}
    document = a_sequence(
        {**check, "title": "Check the service"},
        {"identifier": "is_ready", "config": {"type": "CONDITION", "outlets": [ready]}},
        a_webhook("ship", f"{url}/ship", **ship),
        {"identifier": "record", "config": upsert},
        identifier="deploy",
        trigger={"type": "SELF_SERVE_TRIGGER", "userInputs": inputs},
    )
    document["connections"][2]["sourceOutletIdentifier"] = "ready"
    return {**document, "title": "Deploy"}


class Handler:
    """A handler that records its requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Any, str | None]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append((request.path, json.loads(await request.read()), request.headers.get("x-key")))
        return web.json_response({"ready": True}, status=202 if request.path == "/ship" else 200)


@pytest.fixture
def handler() -> Iterator[Handler]:
    found = Handler()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    with application(app) as url:
        found.url = url
        yield found


async def test_workflow_is_created_read_replaced_and_deleted(renderer: Renderer) -> None:
    async with running(renderer) as (_, client):
        made = (await client.post("/v1/workflows", json=deploy("http://127.0.0.1:1"))).json()["workflow"]
        assert (made["identifier"], made["version"]) == ("deploy", 1)
        assert (await rejection(client.post("/v1/workflows", json=deploy("x://"))))[:2] == (409, "identifier_taken")
        changed = {**deploy("http://127.0.0.1:2"), "title": "Other"}
        replaced = (await client.put("/v1/workflows/deploy", json=changed)).json()["workflow"]
        assert (replaced["title"], replaced["version"], replaced["createdAt"]) == ("Other", 2, made["createdAt"])
        listed = (await client.get("/v1/workflows")).json()["workflows"]
        assert [each["identifier"] for each in listed] == ["deploy"]
        node = (await client.get("/v1/workflows/deploy/nodes/check")).json()["node"]
        assert node["config"]["url"] == "http://127.0.0.1:2/check"
        triggers = (await client.get("/v1/workflows/self-service-triggers")).json()["triggers"]
        assert [each["node"]["identifier"] for each in triggers] == ["start"]
        assert (await client.delete("/v1/workflows/deploy")).status_code == 200
        assert (await rejection(client.get("/v1/workflows/deploy")))[:2] == (404, "not_found")


async def test_invalid_workflow_gets_422_with_the_reason(renderer: Renderer) -> None:
    async with running(renderer) as (_, client):
        document = deploy("http://127.0.0.1:1")
        document["connections"][0]["targetIdentifier"] = "nowhere"
        await require_invalid(client.post("/v1/workflows", json=document), "a node that it does not have: nowhere")
        document = deploy("http://127.0.0.1:1")
        del document["connections"][2]["sourceOutletIdentifier"]
        expected = "The workflow has a connection from the CONDITION node is_ready to ship without a `sourceOutlet"
        await require_invalid(client.post("/v1/workflows", json=document), expected)


async def test_run_follows_its_graph_and_ends_when_its_asynchronous_node_is_reported(
    renderer: Renderer, handler: Handler
) -> None:
    async with running(renderer, deploy(handler.url), secrets={"HOOK": "k1"}) as (sandbox, client):
        run_id = await started(client, "deploy", service="cart")
        node_run_id = await waiting(sandbox, run_id, "ship")
        assert handler.requests == [("/check", {"service": "cart"}, "k1"), ("/ship", {"nodeRunId": node_run_id}, None)]
        path = f"/v1/workflows/nodes/runs/{node_run_id}"
        begun = {"status": "IN_PROGRESS", "externalRunId": "job-7", "output": {"id": "d1"}}
        assert (await client.patch(path, json=begun)).status_code == 200
        logs = {"logs": [{"level": "INFO", "message": "shipping"}]}
        assert (await client.post(f"{path}/logs", json=logs)).status_code == 201
        found = (await client.get("/v1/workflows/nodes/runs", params={"external_run_id": "job-7"})).json()
        assert [each["identifier"] for each in found["nodeRuns"]] == [node_run_id]
        completed = await client.patch(path, json={"status": "COMPLETED", "result": "SUCCESS"})
        reported = completed.json()["run"]
        assert (completed.status_code, reported["status"], reported["result"]) == (200, "COMPLETED", "SUCCESS")
        assert (reported["output"], reported["completedAt"]) == ({"id": "d1"}, reported["updatedAt"])
        assert (await ended(sandbox, run_id)).result == "SUCCESS"
        shown = (await client.get(f"/v1/workflows/runs/{run_id}")).json()["workflowRun"]
        assert [each["node"]["identifier"] for each in shown["nodeRuns"]] == [
            "start", "check", "is_ready", "ship", "record",
        ]  # fmt: skip
        assert shown["workflow"]["identifier"] == shown["workflowVersion"]["workflow"]["identifier"] == "deploy"
        assert [each["nodeTitle"] for each in shown["nodeRuns"][:3]] == [None, "Check the service", None]
        assert shown["nodeRuns"][1]["output"] == {"response": {"status": 200, "data": {"ready": True}}}
        assert sandbox.entities["deployment", "d1"]["properties"] == {"ok": True}
        messages = (await client.get(f"/v1/workflows/runs/{run_id}/logs")).json()["logs"]
        assert [each["message"] for each in messages] == ["shipping"]
        assert (await client.patch(path, json={"status": "IN_PROGRESS"})).status_code == 422


async def test_report_of_completed_without_a_result_is_rejected(renderer: Renderer, handler: Handler) -> None:
    document = one_node(type="WEBHOOK", url=f"{handler.url}/do", synchronized=False, body={})
    async with running(renderer, document) as (sandbox, client):
        node_run_id = await waiting(sandbox, await started(client))
        path = f"/v1/workflows/nodes/runs/{node_run_id}"
        await require_invalid(client.patch(path, json={"status": "COMPLETED"}), "'result'")


async def test_start_gets_422_for_invalid_inputs_and_404_for_an_unknown_workflow(renderer: Renderer) -> None:
    async with running(renderer, deploy("http://127.0.0.1:1")) as (_, client):
        path = "/v1/workflows/deploy/runs"
        assert (await rejection(client.post(path, json={"inputs": {}})))[0] == 422
        assert (await rejection(client.post(path, json={"inputs": {"service": "a", "x": 1}})))[0] == 422
        assert (await rejection(client.post("/v1/workflows/other/runs", json={})))[0] == 404


async def test_run_list_is_filtered_and_sorted_latest_first_without_outputs(
    renderer: Renderer, handler: Handler
) -> None:
    document = one_node(type="WEBHOOK", url=f"{handler.url}/do", body={})
    async with running(renderer, document, deploy(handler.url)) as (sandbox, client):
        first, second = await started(client), await started(client)
        for run_id in (first, second):
            assert (await ended(sandbox, run_id)).result == "SUCCESS"
        other = await started(client, "deploy", service="cart")
        query = {"workflowIdentifiers": "one", "results": "SUCCESS", "unknown": "x"}
        listed = (await client.get("/v1/workflows/runs", params=query)).json()["workflowRuns"]
        assert [each["identifier"] for each in listed] == [second, first]
        assert listed[0]["nodeRuns"][1]["output"] == {}
        assert listed[0]["workflowVersion"]["workflow"]["identifier"] == "one"
        page = (await client.get("/v1/workflows/runs", params={"limit": 1, "offset": 0})).json()["workflowRuns"]
        assert [each["identifier"] for each in page] == [other]
        for limit in ("x", "-1", "\u00b2", "1" * 10):
            rejected = await client.get("/v1/workflows/runs", params={"limit": limit})
            assert rejected.status_code == 422
            assert "querystring/limit must be a whole number" in rejected.text


async def test_canceled_run_ends_and_rejects_updates(renderer: Renderer, handler: Handler) -> None:
    document = one_node(type="WEBHOOK", url=f"{handler.url}/do", synchronized=False, body={})
    async with running(renderer, document) as (sandbox, client):
        run_id = await started(client)
        node_run_id = await waiting(sandbox, run_id)
        assert (await client.post(f"/v1/workflows/runs/{run_id}/cancel")).status_code == 200
        assert (await ended(sandbox, run_id)).result == "CANCELLED"
        assert (await client.post(f"/v1/workflows/runs/{run_id}/cancel")).status_code == 422
        path = f"/v1/workflows/nodes/runs/{node_run_id}"
        assert (await client.patch(path, json={"status": "IN_PROGRESS"})).status_code == 422


async def test_start_that_port_has_disabled_gets_a_note(renderer: Renderer) -> None:
    told: list[str] = []
    document, action = one_node(type="CONDITION"), {**create_vm_action(), "publish": False}
    document["nodes"][0]["config"]["published"] = False
    options: Any = {"actions": [action], "on_event": lambda event: told.append(event.note)}
    async with running(renderer, document, **options) as (sandbox, client):
        await ended(sandbox, await started(client))
        await client.post("/v1/actions/create_vm/runs", json={"properties": {"title": "a"}})
    assert sum("`published: false` disables it in Port" in note for note in told) == 1
    assert sum("`publish: false` disables it in Port" in note for note in told) == 1


async def test_input_node_waits_for_the_number_of_responders_of_its_outlet(renderer: Renderer) -> None:
    outlets = [{"identifier": "approve", "title": "Approve", "numOfResponders": 2}]
    properties = {"of": {"type": "string", "default": "{{ .workflow.identifier }}"}}
    form = {"properties": properties, "buttons": outlets}
    document = one_node(type="INPUT", description="{{ .workflow.identifier }}?", outlets=outlets, userInputs=form)
    told: list[str] = []
    async with running(renderer, document, on_run=lambda event: told.append(event.note)) as (sandbox, client):
        run_id = await started(client)
        path = f"/v1/workflows/nodes/runs/{await waiting(sandbox, run_id)}/responses"
        assert (await rejection(client.post(path, json={"buttonIdentifier": "maybe"})))[0] == 422
        for _ in range(2):
            response = await client.post(path, json={"buttonIdentifier": "approve", "inputs": {"reason": "ok"}})
            assert response.status_code == 200
        run = await ended(sandbox, run_id)
        assert run.result == "SUCCESS"
        assert (await client.post(path, json={"buttonIdentifier": "approve"})).status_code == 409
        output = run.node_runs[-1].output
        assert output["selectedOutlet"] == {"identifier": "approve"}
        assert [each["inputs"] for each in output["responses"]] == [{"of": "one", "reason": "ok"}] * 2
    waits = f"do ({run.node_runs[-1].id}) waits for a response: POST {path}; one?"
    assert [note for note in told if "waits for a response" in note] == [waits]


async def test_node_that_only_port_runs_fails_with_a_log_unless_its_output_is_given(renderer: Renderer) -> None:
    told: list[str] = []
    for kind in ("AI", "CURSOR_AGENT"):
        told.clear()
        run, logs = await run_workflow(renderer, one_node(type=kind), on_run=lambda event: told.append(event.note))
        assert (run.result, run.node_runs[-1].result) == ("FAILED", "FAILED")
        reason = f"port-hook does not run {kind} nodes. Pass its output to the sandbox with --outputs FILE."
        assert [(log["level"], log["message"]) for log in logs] == [("ERROR", reason)]
        assert f"do ended with FAILED; {reason}" in told
        output = {"response": "ok", "invocationIdentifier": "i1"}
        run, logs = await run_workflow(renderer, one_node(type=kind), outputs={"do": output})
        assert (run.result, run.node_runs[-1].output, logs) == ("SUCCESS", output, [])


@pytest.mark.parametrize("base", ["/v1/workflows/runs", "/v1/org/org_1/workflows/runs"])
async def test_agent_claims_acknowledges_and_reports_a_node(renderer: Renderer, base: str) -> None:
    document = one_node(
        type="WEBHOOK", url="https://internal.example/do", agent=True, body={"n": "{{ .workflow.identifier }}"}
    )
    async with running(renderer, document) as (sandbox, client):
        run_id = await started(client)
        node_run_id = await waiting(sandbox, run_id)
        (claimed,) = await claim_nodes(client, base, installationId=AGENT, limit=100)
        assert (claimed["identifier"], claimed["config"]["url"]) == (node_run_id, "https://internal.example/do")
        assert claimed["config"]["body"] == {"n": "one"}
        assert await claim_nodes(client, base, installationId=AGENT, limit=100) == []
        ack = {"nodeRunIdentifier": node_run_id}
        first = await client.patch(f"{base}/ack", json=ack, headers=RESERVED)
        assert (first.status_code, first.json()["acked"]) == (200, True)
        assert (await client.patch(f"{base}/ack", json=ack, headers=RESERVED)).status_code == 409
        report = {"status": "COMPLETED", "result": "FAILED"}
        assert (await client.patch(f"/v1/workflows/nodes/runs/{node_run_id}", json=report)).status_code == 200
        assert (await ended(sandbox, run_id)).result == "FAILED"


async def test_node_for_the_agent_is_reported_and_can_be_claimed_after_a_restart(
    renderer: Renderer, tmp_path: Path
) -> None:
    told: list[str] = []
    document = one_node(type="WEBHOOK", url="https://internal.example/do", agent=True)
    state = tmp_path / "state.db"
    async with running(renderer, document, state=state, on_run=lambda event: told.append(event.note)) as (
        sandbox,
        client,
    ):
        node_run_id = await waiting(sandbox, await started(client))
        assert told[-1] == f"do ({node_run_id}) waits for Port's agent"
    async with running(renderer, state=state) as (_, client):
        (claimed,) = await claim_nodes(client, installationId=AGENT)
        assert claimed["identifier"] == node_run_id


async def test_claim_lasts_from_one_second_to_ten_minutes(renderer: Renderer) -> None:
    for milliseconds in (999, 600_001, 10**400, True):
        async with running(renderer) as (_, client):
            body = {"installationId": "a", "visibilityTimeoutMs": milliseconds}
            await require_invalid(client.post("/v1/workflows/runs/claim-pending", json=body), "visibilityTimeoutMs")


async def test_report_accepts_logs_in_the_older_format(renderer: Renderer, handler: Handler) -> None:
    document = one_node(type="WEBHOOK", url=f"{handler.url}/do", synchronized=False, body={})
    async with running(renderer, document) as (sandbox, client):
        known = await waiting(sandbox, await started(client))
        logs = [{"logLevel": "WARN", "log": "slow", "tags": {"step": "1"}}, {"logLevel": "INFO"}]
        wrong = {"logs": [{"level": "INFO", "message": "x"}]}
        for node_run_id in (known, "wfnr_QOz6WoOB1Q2lmhZZ"):
            path = f"/v1/workflows/nodes/runs/{node_run_id}"
            assert (await client.patch(path, json={"status": "IN_PROGRESS", "logs": logs})).status_code == 200
            kept = (await client.get(f"{path}/logs")).json()["logs"]
            assert [(log["level"], log["message"]) for log in kept] == [("WARN", "slow"), ("INFO", "")]
            assert (await rejection(client.patch(path, json=wrong)))[0] == 422


async def test_unacknowledged_claim_is_offered_again_after_its_visibility_timeout(renderer: Renderer) -> None:
    clock = [1_700_000_000.0]
    document = one_node(type="WEBHOOK", url="https://internal.example/do", agent=True)
    async with running(renderer, document, now=lambda: clock[0]) as (sandbox, client):
        await waiting(sandbox, await started(client))
        body: dict[str, Any] = {"installationId": AGENT, "visibilityTimeoutMs": 2000}
        assert len(await claim_nodes(client, **body)) == 1
        clock[0] += 1.9
        assert await claim_nodes(client, **body) == []
        clock[0] += 0.2
        assert await claim_nodes(client, **body, exclude=["one:do"]) == []
        assert len(await claim_nodes(client, **body)) == 1


async def test_restarted_sandbox_continues_its_workflow_runs(
    renderer: Renderer, handler: Handler, tmp_path: Path
) -> None:
    state = tmp_path / "state.db"
    async with running(renderer, deploy(handler.url), state=state) as (sandbox, client):
        run_id = await started(client, "deploy", service="cart")
        node_run_id = await waiting(sandbox, run_id, "ship")
    async with running(renderer, state=state) as (sandbox, client):
        report = {"status": "COMPLETED", "result": "SUCCESS", "output": {"id": "d2"}}
        assert (await client.patch(f"/v1/workflows/nodes/runs/{node_run_id}", json=report)).status_code == 200
        assert (await ended(sandbox, run_id)).result == "SUCCESS"
        assert ("deployment", "d2") in sandbox.entities
        assert [path for path, _, _ in handler.requests] == ["/check", "/ship"]


async def test_run_keeps_its_workflow_version_when_the_workflow_changes(renderer: Renderer, handler: Handler) -> None:
    async with running(renderer, deploy(handler.url)) as (sandbox, client):
        run_id = await started(client, "deploy", service="cart")
        node_run_id = await waiting(sandbox, run_id, "ship")
        await client.put(
            "/v1/workflows/deploy", json={**one_node(type="WEBHOOK", url="http://127.0.0.1:1/"), "identifier": "deploy"}
        )
        report = {"status": "COMPLETED", "result": "SUCCESS", "output": {"id": "d3"}}
        await client.patch(f"/v1/workflows/nodes/runs/{node_run_id}", json=report)
        assert (await ended(sandbox, run_id)).result == "SUCCESS"
        assert (await client.get(f"/v1/workflows/runs/{run_id}")).json()["workflowRun"]["workflow"]["version"] == 1


async def test_only_verbose_nodes_log_the_bodies_of_their_requests_and_responses(
    renderer: Renderer, handler: Handler
) -> None:
    def a_document() -> dict[str, Any]:
        return one_node(type="WEBHOOK", url=f"{handler.url}/check", body={"service": "zo\u00eb"})

    run, logs = await run_workflow(renderer, a_document())
    assert (run.result, logs) == ("SUCCESS", [])
    on_the_node, in_its_config = a_document(), a_document()
    on_the_node["nodes"][1]["verbose"] = in_its_config["nodes"][1]["config"]["verbose"] = True
    for document in (on_the_node, in_its_config):
        run, logs = await run_workflow(renderer, document)
        assert run.result == "SUCCESS"
        assert [(log["level"], log["message"]) for log in logs] == [
            ("INFO", 'Request body: {"service":"zo\u00eb"}'),
            ("INFO", 'Response body (status 200): {"ready": true}'),
        ]


async def test_verbose_node_without_a_response_logs_why(renderer: Renderer) -> None:
    document = one_node(type="WEBHOOK", url="http://127.0.0.1:9/", method="GET", verbose=True)
    run, logs = await run_workflow(renderer, document)
    assert run.result == "FAILED"
    assert logs[0]["message"] == "Request body: (empty)"
    assert logs[1]["level"] == "ERROR"
    assert logs[1]["message"].startswith("No response: nothing listens on 127.0.0.1:9")


async def test_verbose_node_logs_the_beginning_of_a_long_body(renderer: Renderer, handler: Handler) -> None:
    body = {"text": "\u00eb" * 50_000}
    run, logs = await run_workflow(
        renderer, one_node(type="WEBHOOK", url=f"{handler.url}/check", body=body, verbose=True)
    )
    assert run.result == "SUCCESS"
    size = len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())
    assert logs[0]["message"].endswith(f"\u00eb\u2026 (64 KiB of {size} bytes)")
    assert len(logs[0]["message"].encode()) < 66_000


async def test_verbose_node_log_does_not_contain_organization_secrets(
    renderer: Renderer, handler: Handler, tmp_path: Path
) -> None:
    body = {"service": "billing", "key": "{{ .secrets.HOOK }}"}
    document = one_node(type="WEBHOOK", url=f"{handler.url}/check", body=body, verbose=True)
    secrets = {"HOOK": "a-very-secret-value"}
    run, logs = await run_workflow(renderer, document, state=tmp_path / "state.db", secrets=secrets)
    assert run.result == "SUCCESS"
    assert logs[0]["message"] == 'Request body: {"service":"billing","key":"***"}'
    assert handler.requests[0][1]["key"] == "a-very-secret-value"
    assert b"a-very-secret-value" not in saved_state(tmp_path)


async def test_verbose_node_log_does_not_contain_credentials_or_truncated_secrets(renderer: Renderer) -> None:
    secret = "a-very-secret-value"
    app = web.Application()

    async def echo(_: web.Request) -> web.Response:
        return web.Response(body=b"." * (64 * 1024 - 6) + secret.encode())  # 64 KiB of a response are read

    app.router.add_post("/echo", echo)
    with application(app) as url:
        document = one_node(type="WEBHOOK", url=f"{url}/echo", verbose=True)
        run, logs = await run_workflow(renderer, document, secrets={"HOOK": secret})
    assert run.result == "SUCCESS"
    (log,) = [each["message"] for each in logs if each["message"].startswith("Response body")]
    assert log.endswith("...***")
    assert "a-ve" not in log
    credentials = one_node(type="WEBHOOK", url=f"{OURS}/kafka-credentials", method="GET", verbose=True)
    run, logs = await run_workflow(renderer, credentials, kafka_brokers=["127.0.0.1:9"])
    assert run.result == "SUCCESS"
    assert '"password": "***"' in logs[1]["message"]


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        ({"url": "https://api.getport.io/v1/blueprints/{{ .secrets.HOOK }}", "method": "GET"}, "404"),
        (
            {"url": "http://{{ .secrets.HOOK }}/do"},
            "another machine. Point the URL at this machine with `port-hook listen",
        ),
        ({"url": "ftp://127.0.0.1/{{ .secrets.HOOK }}"}, "which is not a URL"),
        ({"type": "UPSERT_ENTITY", "blueprintIdentifier": "{{ .secrets.HOOK }}"}, "was not found"),
    ],
)
async def test_secret_in_a_url_or_error_is_neither_shown_nor_saved(
    renderer: Renderer, tmp_path: Path, config: dict[str, Any], shown: str
) -> None:
    told: list[Any] = []
    document = one_node(**{"type": "WEBHOOK", "mapping": {"identifier": "a"}, **config})
    options: Any = {"state": tmp_path / "state.db", "secrets": {"HOOK": "a-very-secret-value"}, "strict": True}
    run, _ = await run_workflow(renderer, document, on_event=told.append, on_run=told.append, **options)
    assert run.result == "FAILED"
    error = run.node_runs[-1].output["error"]["message"]
    assert shown in error
    assert "a-very" not in f"{error} {told}"
    assert "***" in f"{error} {told}"
    assert b"a-very-secret-value" not in saved_state(tmp_path)


async def test_state_file_does_not_contain_secrets_of_the_organization(renderer: Renderer, tmp_path: Path) -> None:
    headers = {"Authorization": "Bearer {{ .secrets.HOOK }}"}
    document = one_node(type="WEBHOOK", url="https://internal.example/do", agent=True, headers=headers)
    secrets = {"HOOK": "a-very-secret-value"}
    async with running(renderer, document, state=tmp_path / "state.db", secrets=secrets) as (sandbox, client):
        await waiting(sandbox, await started(client))
        (claimed,) = await claim_nodes(client, installationId=AGENT)
        config = claimed["config"]
        assert config["headers"]["Authorization"] == "Bearer a-very-secret-value"
    kept = saved_state(tmp_path)
    assert b"internal.example" in kept
    assert b"a-very-secret-value" not in kept
