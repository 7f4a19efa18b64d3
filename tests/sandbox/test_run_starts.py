from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from port_hook_cli.actions.made_request import MadeRequest
from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.errors import RenderError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Status
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.replay.sources import from_run
from port_hook_cli.sandbox import RunEvent, Sandbox, Sending
from port_hook_cli.signatures.signing import TimestampUnit
from port_hook_cli.signatures.verification import verify_signature
from port_hook_cli.text.secret import Secret
from port_hook_cli.trigger.open_invoker import SandboxInvoker, invoking
from tests.factories import NOW
from tests.plain_invoker import PlainInvoker
from tests.sandbox.action_runs import INPUTS, RUNS, SYNCHRONIZED, Steps, an_action, ended, running, start
from tests.sandbox.claims import CLAIM, claim
from tests.sandbox_clients import a_client, rejection, require_invalid
from tests.sandboxes import sandbox_with, saved_state
from tests.servers import Handler, handler


async def run_of(client: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    run: dict[str, Any] = (await client.get(f"/v1/actions/runs/{run_id}", params={"version": "v2"})).json()["run"]
    return run


async def logs_of(client: httpx.AsyncClient, run_id: str) -> list[str]:
    return [log["message"] for log in (await client.get(f"/v1/actions/runs/{run_id}/logs")).json()["runLogs"]]


def answering(status: str, body: str = "", kind: str = "application/json") -> bytes:
    raw = body.encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(raw)}\r\n\r\n"
    return head.encode() + raw


async def test_run_is_signed_and_sent_and_stays_in_progress_until_it_is_reported(
    webhook: Handler, steps: Steps
) -> None:
    async with running(an_action(f"{webhook.url}/hook?a=1"), now=lambda: NOW, on_run=steps) as (sandbox, client):
        run_id = await start(client, f"{RUNS}?run_as=zo%C3%AB@example.com")
        await steps.reach("responded")
        (request,) = webhook.requests
        assert request.line == "POST /hook?a=1 HTTP/1.1"
        headers = Headers(tuple(request.fields))
        verdict = verify_signature(headers, request.body, sandbox.client_secret, now=NOW, tolerance_s=1)
        assert (verdict.status, headers.get("content-type")) == (Status.VALID, "application/json")
        payload = read_payload(request.body, headers)
        assert (payload.run_id, payload.action, payload.user) == (run_id, "create_vm", "zoë@example.com")
        assert payload.inputs == INPUTS["properties"]
        assert (await run_of(client, run_id))["status"] == "IN_PROGRESS"
        await client.patch(f"/v1/actions/runs/{run_id}", json={"status": "SUCCESS"})
        assert (await ended(sandbox, run_id)).report.status == "SUCCESS"
    assert [(step.run_id, step.action) for step in steps.seen] == [(run_id, "create_vm")] * 3
    assert [step.note.partition(" ")[0] for step in steps.seen] == ["sending", "responded", "ended"]
    assert [step.status for step in steps.seen] == ["IN_PROGRESS", "IN_PROGRESS", "SUCCESS"]


async def test_run_payload_equals_the_sent_request(webhook: Handler, steps: Steps) -> None:
    method = {"headers": {"RUN_ID": "é", "X-Team": "a"}, "method": "PUT", "body": {"ä": [1, "x"], "b": None}}
    async with running(an_action(f"{webhook.url}/hook?a=1", method=method), on_run=steps) as (_, client):
        run_id = await start(client)
        await steps.reach("responded")
        run = await run_of(client, run_id)
        kept = run["payload"]
        assert kept == {
            "type": "WEBHOOK",
            "url": f"{webhook.url}/hook?a=1",
            "agent": False,
            "synchronized": False,
            **method,
        }
        source = from_run(run_id, run["payload"])
        (request,) = webhook.requests
        assert (source.invocation.body, source.invocation.target) == (request.body, "/hook?a=1")
        assert source.invocation.method == request.line.split()[0] == "PUT"
        assert request.value("run_id") == "é".encode().decode("latin-1")


async def test_response_ends_a_synchronized_run(webhook: Handler) -> None:
    cases: list[tuple[bytes, str, Any, str | None]] = [
        (answering("200 OK", '{"ip": "10.0.0.1"}'), "SUCCESS", {"ip": "10.0.0.1"}, None),
        (answering("201 Created", "[1]"), "SUCCESS", [1], None),
        (answering("204 No Content"), "SUCCESS", None, None),
        (answering("200 OK", "done", "text/plain"), "SUCCESS", "done", None),
        (answering("200 OK", "17"), "SUCCESS", "17", None),
        (answering("302 Found", "x"), "FAILURE", "x", "The webhook responded with 302."),
        (answering("500 Oops", '{"error": "no"}'), "FAILURE", {"error": "no"}, "The webhook responded with 500."),
    ]
    async with running(an_action(webhook.url, method=SYNCHRONIZED)) as (sandbox, client):
        for webhook.answer, status, response, summary in cases:
            run_id = await start(client)
            await ended(sandbox, run_id)
            run = await run_of(client, run_id)
            assert (run["status"], run.get("response"), run.get("summary")) == (status, response, summary)
            assert run["endedAt"]


async def test_synchronized_run_accepts_logs_but_rejects_a_status(webhook: Handler, steps: Steps) -> None:
    webhook.delay_s = 30
    async with running(an_action(webhook.url, method=SYNCHRONIZED), on_run=steps) as (_, client):
        run = f"/v1/actions/runs/{await start(client)}"
        await steps.reach("sending")
        assert (await client.post(f"{run}/logs", json={"message": "hi"})).status_code == 201
        assert (await client.patch(run, json={"summary": "s"})).status_code == 200
        for call in (
            client.patch(run, json={"status": "SUCCESS"}),
            client.post(f"{run}/logs", json={"message": "x", "terminationStatus": "SUCCESS"}),
        ):
            assert (await rejection(call))[:2] == (422, "run_synchronized_error")


async def test_report_before_the_response_ends_the_run(webhook: Handler, steps: Steps) -> None:
    webhook.delay_s = 0.2
    async with running(an_action(webhook.url), on_run=steps) as (_, client):
        run_id = await start(client)
        await steps.reach("sending")
        await client.patch(f"/v1/actions/runs/{run_id}", json={"status": "FAILURE", "summary": "mine"})
        await steps.reach("responded")
        run = await run_of(client, run_id)
    assert (run["status"], run["summary"]) == ("FAILURE", "mine")


async def test_run_fails_when_its_url_is_on_another_machine() -> None:
    for url in (
        "https://example.com",
        "http://10.0.0.1/",
        "http://localhost.example.com/",
        "http://127.0.0.1@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://0.0.0.0:1/",
        "http://2130706433/",
        "http://127.999.0.1/",
    ):
        async with running(an_action(url)) as (sandbox, client):
            run = await ended(sandbox, await start(client))
        assert run.report.status == "FAILURE"
        assert "--allow-remote" in (run.report.summary or "")
        assert f"`port-hook listen --retarget {run.start.action} --yes`" in (run.report.summary or "")


async def test_run_fails_when_its_url_is_invalid() -> None:
    for url in ("ftp://127.0.0.1/", "/hook", "", "http://"):
        async with running(an_action(url)) as (sandbox, client):
            run = await ended(sandbox, await start(client))
        assert "is not an http or https URL" in (run.report.summary or "")


async def test_approval_sends_the_invocation(webhook: Handler, steps: Steps) -> None:
    action = an_action(webhook.url, method=SYNCHRONIZED, requiredApproval={"type": "ANY"})
    async with running(action, on_run=steps) as (sandbox, client):
        run_id = await start(client)
        run = await run_of(client, run_id)
        assert (run["status"], run["requiredApproval"]) == ("WAITING_FOR_APPROVAL", {"type": "ANY"})
        rejected = client.post(f"/v1/blueprints/vm/entities?run_id={run_id}", json={"identifier": "a"})
        assert (await rejection(rejected))[0] == 422
        assert webhook.requests == []
        approval = f"/v1/actions/runs/{run_id}/approval"
        approvers = (await client.get(f"/v1/actions/runs/{run_id}/approvers")).json()["approvers"]
        assert [each["email"] for each in approvers] == ["you@example.com", "member@example.com"]
        approved = await client.patch(approval, json={"status": "APPROVE", "description": "go"})
        assert approved.status_code == 201
        assert (await ended(sandbox, run_id)).report.status == "SUCCESS"
        run = await run_of(client, run_id)
        assert (run["approval"]["state"], run["approval"]["description"]) == ("APPROVED", "go")
        assert (await rejection(client.patch(approval, json={"status": "DECLINE"})))[0] == 422
    assert len(webhook.requests) == 1
    assert steps.seen[0].status == "WAITING_FOR_APPROVAL"


async def test_declined_run_is_not_sent(webhook: Handler) -> None:
    async with running(an_action(webhook.url, requiredApproval=True)) as (_, client):
        run_id = await start(client)
        declined = await client.patch(f"/v1/actions/runs/{run_id}/approval", json={"status": "DECLINE"})
        assert declined.json()["run"]["status"] == "DECLINED"
        assert (await rejection(client.patch(f"/v1/actions/runs/{run_id}", json={"summary": "x"})))[0] == 422
    assert webhook.requests == []


async def test_approval_is_rejected_when_the_run_does_not_wait_for_it(webhook: Handler) -> None:
    async with running(an_action(webhook.url)) as (_, client):
        run_path = f"/v1/actions/runs/{await start(client)}"
        path = f"{run_path}/approval"
        assert (await client.get(f"{run_path}/approvers")).json() == {"ok": True, "approvers": []}
        assert (await rejection(client.patch(path, json={"status": "APPROVE"})))[0] == 422
        assert (await rejection(client.patch(path, json={"status": "MAYBE"})))[0] == 422


async def test_start_run_rejects_invalid_inputs() -> None:
    cases: list[tuple[Any, str]] = [
        ({}, "'properties'"),
        ({"properties": []}, "body/properties must be object"),
        ({"properties": {"title": "x"}, "entity": 1}, "body/entity"),
        ({"properties": {"title": "x"}, "user": "me"}, "'user'"),
        ({"properties": {}}, "'title'"),
        ({"properties": {"title": None}}, "'title'"),
        ({"properties": {"title": "x", "disk": 1}}, "'disk'"),
        ({"properties": {"title": "x", "cpu": "2"}}, "body/properties/cpu must be number"),
    ]
    async with running(an_action("http://127.0.0.1:1")) as (sandbox, client):
        for body, expected in cases:
            await require_invalid(client.post(RUNS, json=body), expected)
        assert sandbox.runs == {}


async def test_start_run_fills_in_defaults_and_checks_choices() -> None:
    action = an_action("http://127.0.0.1:1")
    asked = {"size": {"type": "string", "enum": ["s", "m"], "default": "s"}, "who": {"default": {"jqQuery": ".x"}}}
    action["trigger"]["userInputs"] = {"properties": asked, "required": {"jqQuery": ".a"}}
    async with running(action) as (_, client):
        run = (await client.post(RUNS, json={"properties": {}})).json()["run"]
        assert run["properties"] == {"size": "s"}
        assert "s, m" in (await rejection(client.post(RUNS, json={"properties": {"size": "l"}})))[2]


async def test_payload_contains_the_whole_entity_of_the_run(webhook: Handler) -> None:
    async with running(an_action(webhook.url, method=SYNCHRONIZED)) as (sandbox, client):
        entity = {"identifier": "dev", "title": "Dev", "properties": {"cpu": 2}, "relations": {}}
        await client.post("/v1/blueprints/vm/entities", json=entity)
        for name in ("dev", "other"):
            await ended(sandbox, await start(client, body={**INPUTS, "entity": name}))
    known, made_up = [json.loads(request.body)["payload"]["entity"] for request in webhook.requests]
    assert known == {**entity, "blueprint": "vm"}
    assert (made_up["identifier"], made_up["properties"]) == ("other", {})


async def test_timestamp_has_the_selected_unit(webhook: Handler) -> None:
    action = an_action(webhook.url, method=SYNCHRONIZED)
    async with running(action, sending=Sending(unit=TimestampUnit.MILLISECONDS)) as (sandbox, client):
        await ended(sandbox, await start(client))
    assert len(webhook.requests[0].value("x-port-timestamp") or "") == 13


async def test_get_request_has_no_default_body(webhook: Handler) -> None:
    action = an_action(webhook.url, method={"synchronized": True, "method": "GET"})
    async with running(action) as (sandbox, client):
        assert (await ended(sandbox, await start(client))).report.status == "SUCCESS"
    assert (webhook.requests[0].line, webhook.requests[0].body) == ("GET / HTTP/1.1", b"")


async def test_run_of_another_invocation_method_stays_in_progress_until_it_is_reported() -> None:
    action = {**create_vm_action(), "invocationMethod": {"type": "KAFKA"}}
    async with running(action) as (_, client):
        run_id = await start(client)
        assert (await client.patch(f"/v1/actions/runs/{run_id}", json={"status": "SUCCESS"})).status_code == 200


async def test_start_run_rejects_automations_and_unknown_actions() -> None:
    action = {**create_vm_action(), "trigger": {"type": "automation", "event": {}}}
    async with running(action) as (_, client):
        assert (await rejection(client.post(RUNS, json=INPUTS)))[0] == 422
        assert (await rejection(client.post("/v1/actions/other/runs", json=INPUTS)))[0] == 404
        assert (await rejection(client.post(f"{RUNS}?run_as=me", json=INPUTS)))[0] == 422


class Held:
    """An invoker that never finishes. It records when it is called and canceled."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.given_up = False

    async def request(self, action: Mapping[str, Any], **asked: Any) -> MadeRequest:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.given_up = True
            raise
        raise AssertionError("the event is never set")


class Template:
    """An invoker whose request contains its parameters, or that fails."""

    def __init__(self, url: str, problem: Exception | None = None) -> None:
        self.url = url
        self.problem = problem

    async def request(self, action: Mapping[str, Any], **asked: Any) -> MadeRequest:
        if self.problem:
            raise self.problem
        return MadeRequest(
            method="PATCH", url=self.url, body=json.dumps(asked).encode(), headers=(("Content-Type", "text/x"),)
        )


async def test_sandbox_sends_the_request_of_its_invoker(webhook: Handler, steps: Steps) -> None:
    action = an_action("https://{{ .x }}")
    async with running(action, invoker=Template(webhook.url), on_run=steps) as (_, client):
        run_id = await start(client, body={**INPUTS, "entity": "e"})
        await steps.reach("responded")
        (request,) = webhook.requests
        assert request.line.startswith("PATCH ")
        assert [value for name, value in request.fields if name.lower() == "content-type"] == ["text/x"]
        asked = json.loads(request.body)
    assert (asked["run_id"], asked["properties"], asked["entity"]["identifier"]) == (run_id, INPUTS["properties"], "e")
    assert asked["by"]["user"]["email"] == "you@example.com"
    assert asked["at"].endswith("Z")


async def test_run_fails_when_its_request_cannot_be_made() -> None:
    for invoker, words in (
        (Template("", RenderError("the template is bad.", hint="Correct it.")), "the template is bad."),
        (Template("", ZeroDivisionError("oh")), "oh"),
        (None, "without an invoker"),
    ):
        async with running(an_action("http://127.0.0.1:1"), invoker=invoker) as (sandbox, client):
            run = await ended(sandbox, await start(client))
        assert (run.report.status, run.invocation.payload) == ("FAILURE", None)
        assert words in (run.report.summary or "")


async def approve(client: Any, run_id: str) -> None:
    response = await client.patch(f"/v1/actions/runs/{run_id}/approval", json={"status": "APPROVE"})
    assert response.status_code == 201, response.text


async def test_approved_run_is_sent_after_a_restart_when_it_was_not_sent_before(
    tmp_path: Path, webhook: Handler
) -> None:
    file, held = tmp_path / "sandbox.db", Held()
    action = an_action(webhook.url, method=SYNCHRONIZED, requiredApproval=True)
    async with running(action, state=file, invoker=held) as (sandbox, client):
        run_id = await start(client)
        await approve(client, run_id)
        await asyncio.wait_for(held.asked.wait(), 10)
    assert webhook.requests == []
    async with sandbox_with(state=file, invoker=PlainInvoker()) as sandbox:
        run = await ended(sandbox, run_id)
    assert run.report.status == "SUCCESS"
    assert [json.loads(request.body)["context"]["runId"] for request in webhook.requests] == [run_id]


async def test_run_waiting_for_approval_still_waits_after_a_restart_and_is_sent_when_approved(
    tmp_path: Path, webhook: Handler
) -> None:
    file = tmp_path / "sandbox.db"
    action = an_action(webhook.url, method=SYNCHRONIZED, requiredApproval=True)
    async with running(action, state=file) as (sandbox, client):
        run_id = await start(client)
    async with running(state=file) as (sandbox, client):
        assert sandbox.runs[run_id].report.status == "WAITING_FOR_APPROVAL"
        assert webhook.requests == []
        await approve(client, run_id)
        run = await ended(sandbox, run_id)
        assert run.report.status == "SUCCESS"
    assert len(webhook.requests) == 1


async def test_run_fails_with_the_reason_when_its_action_is_gone_at_approval(webhook: Handler) -> None:
    action = an_action(webhook.url, method=SYNCHRONIZED, requiredApproval=True)
    async with sandbox_with(actions=[action]) as sandbox, a_client(sandbox) as client:
        run_id = await start(client)
        renamed = {key: action[key] for key in ("trigger", "invocationMethod")} | {"identifier": "other"}
        assert (await client.put("/v1/actions/create_vm", json=renamed)).status_code == 200
        await approve(client, run_id)
        run = await ended(sandbox, run_id)
        logs = (await client.get(f"/v1/actions/runs/{run_id}/logs")).json()["runLogs"]
    assert (run.report.status, run.report.summary) == ("FAILURE", "The action create_vm no longer exists.")
    assert [log["message"] for log in logs] == ["The action create_vm no longer exists."]
    assert webhook.requests == []


KEY = "a-very-secret-value"


@pytest.fixture(scope="module")
def invoker() -> Iterator[SandboxInvoker]:
    with invoking(lambda: Secret("not used")) as made:
        yield SandboxInvoker(made)


def serving(
    invoker: SandboxInvoker, method: Mapping[str, Any], secrets: Mapping[str, str], **options: Any
) -> AbstractAsyncContextManager[Sandbox]:
    base = create_vm_action()
    synchronized = {"synchronized": True, "headers": {"X-Key": "{{ .secrets.KEY }}"}}
    action = {**base, "invocationMethod": {**base["invocationMethod"], **synchronized, **method}}
    return sandbox_with(actions=[action], invoker=invoker, secrets=secrets, **options)


async def test_secrets_are_sent_in_url_headers_and_body_and_masked_elsewhere(
    invoker: SandboxInvoker, tmp_path: Path
) -> None:
    events: list[RunEvent] = []
    method = {"url": "{{ .secrets.URL }}/api/now?k={{ .secrets.KEY }}", "body": {"key": "{{ .secrets.KEY }}"}}
    with handler() as webhook:
        secrets = {"URL": webhook.url, "KEY": KEY}
        options: dict[str, Any] = {"state": tmp_path / "state.db", "on_run": events.append}
        async with serving(invoker, method, secrets, **options) as sandbox, a_client(sandbox) as client:
            run_id = await start(client)
            run = await ended(sandbox, run_id)
            shown = (await client.get(f"/v1/actions/runs/{run_id}")).json()["run"]
    (request,) = webhook.requests
    assert request.line == f"POST /api/now?k={KEY} HTTP/1.1"
    assert (request.value("x-key"), request.body) == (KEY, f'{{"key":"{KEY}"}}'.encode())
    assert run.report.status == "SUCCESS"
    payload = shown["payload"]
    assert (payload["url"], payload["headers"]["X-Key"]) == ("***/api/now?k=***", "***")
    assert payload["body"] == {"key": "***"}
    assert any(event.note == "sending POST ***/api/now?k=***" for event in events)
    assert KEY not in repr(events)
    assert KEY.encode() not in saved_state(tmp_path)


@pytest.mark.parametrize(
    ("secret", "url", "host"),
    [
        (KEY, "https://{{ .secrets.KEY }}.example/hook", "***.example"),
        ("https://hidden-host.example", "{{ .secrets.KEY }}/hook", "***"),
    ],
)
async def test_failure_of_a_run_does_not_quote_secrets(
    invoker: SandboxInvoker, tmp_path: Path, secret: str, url: str, host: str
) -> None:
    async with (
        serving(invoker, {"url": url}, {"KEY": secret}, state=tmp_path / "state.db") as sandbox,
        a_client(sandbox) as client,
    ):
        run_id = await start(client)
        run = await ended(sandbox, run_id)
        logs = (await client.get(f"/v1/actions/runs/{run_id}/logs")).text
    assert (run.report.status, f"and {host} is another machine" in (run.report.summary or "")) == ("FAILURE", True)
    hidden = secret.removeprefix("https://")
    assert hidden not in logs
    assert hidden.encode() not in saved_state(tmp_path)


async def test_agent_claims_a_request_with_its_secrets(invoker: SandboxInvoker, tmp_path: Path, steps: Steps) -> None:
    options: dict[str, Any] = {"state": tmp_path / "state.db", "on_run": steps}
    method = {"url": "https://x.example/", "agent": True}
    async with serving(invoker, method, {"KEY": KEY}, **options) as sandbox, a_client(sandbox) as client:
        run_id = await start(client)
        await steps.reach("waiting for Port's agent")
        claimed = await claim(client, **CLAIM)
        shown = (await client.get(f"/v1/actions/runs/{run_id}")).json()["run"]
    assert [run["payload"]["headers"]["X-Key"] for run in claimed] == [KEY]
    assert shown["payload"]["headers"]["X-Key"] == "***"
    assert KEY.encode() not in saved_state(tmp_path)
