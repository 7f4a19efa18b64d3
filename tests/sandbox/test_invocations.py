from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.errors import RenderError
from port_hook_cli.invocations.models import Headers, Status
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.replay.sources import from_run
from port_hook_cli.sandbox import RunEvent, Sandbox, SandboxRequest, SandboxRun, Sending
from port_hook_cli.signatures.signing import TimestampUnit
from port_hook_cli.signatures.verification import verify_signature
from tests.factories import NOW
from tests.plain_invoker import PlainInvoker
from tests.sandbox_clients import a_client, refusal
from tests.servers import Handler, handler

RUNS = "/v1/actions/create_vm/runs"
INPUTS = {"properties": {"title": "dev-env", "cpu": 2}}


def an_action(url: str, *, method: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    action = create_vm_action()
    return {**action, **fields, "invocationMethod": {**action["invocationMethod"], "url": url, **(method or {})}}


class Steps:
    """The steps of runs as they are told; `reach` waits for the first that begins so."""

    def __init__(self) -> None:
        self.seen: list[RunEvent] = []
        self._news: asyncio.Queue[RunEvent] = asyncio.Queue()

    def __call__(self, event: RunEvent) -> None:
        self.seen.append(event)
        self._news.put_nowait(event)

    async def reach(self, beginning: str) -> None:
        while not (await asyncio.wait_for(self._news.get(), 10)).note.startswith(beginning):
            pass


@pytest.fixture
def steps() -> Steps:
    return Steps()


@asynccontextmanager
async def running(action: Mapping[str, Any], **options: Any) -> AsyncIterator[tuple[Sandbox, httpx.AsyncClient]]:
    options = {"invoker": PlainInvoker(), **options}
    async with Sandbox.start(actions=[action], **options) as sandbox, a_client(sandbox) as client:
        yield sandbox, client


async def start(client: httpx.AsyncClient, path: str = RUNS, body: Any = INPUTS) -> str:
    answer = await client.post(path, json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["run"]["id"])


async def run_of(client: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    run: dict[str, Any] = (await client.get(f"/v1/actions/runs/{run_id}", params={"version": "v2"})).json()["run"]
    return run


async def logs_of(client: httpx.AsyncClient, run_id: str) -> list[str]:
    return [log["message"] for log in (await client.get(f"/v1/actions/runs/{run_id}/logs")).json()["runLogs"]]


async def ended(sandbox: Sandbox, run_id: str) -> SandboxRun:
    return await asyncio.wait_for(sandbox.wait_for_end(run_id), 10)


def answering(status: str, body: str = "", kind: str = "application/json") -> bytes:
    raw = body.encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(raw)}\r\n\r\n"
    return head.encode() + raw


@pytest.fixture
def webhook() -> Iterator[Handler]:
    with handler() as it:
        yield it


async def test_a_run_is_signed_and_sent_and_stays_in_progress_until_it_is_reported(
    webhook: Handler, steps: Steps
) -> None:
    async with running(an_action(f"{webhook.url}/hook?a=1"), now=lambda: NOW, on_run=steps) as (sandbox, client):
        run_id = await start(client, f"{RUNS}?run_as=zo%C3%AB@example.com")
        await steps.reach("answered")
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
        assert (await ended(sandbox, run_id)).status == "SUCCESS"
    assert [(step.run_id, step.action) for step in steps.seen] == [(run_id, "create_vm")] * 3
    assert [step.note.partition(" ")[0] for step in steps.seen] == ["sends", "answered", "ended"]
    assert [step.status for step in steps.seen] == ["IN_PROGRESS", "IN_PROGRESS", "SUCCESS"]


async def test_the_run_keeps_exactly_the_request_that_was_sent(webhook: Handler, steps: Steps) -> None:
    method = {"headers": {"RUN_ID": "é", "X-Team": "a"}, "method": "PUT", "body": {"ä": [1, "x"], "b": None}}
    async with running(an_action(f"{webhook.url}/hook?a=1", method=method), on_run=steps) as (_, client):
        run_id = await start(client)
        await steps.reach("answered")
        run = await run_of(client, run_id)
        kept = run["payload"]
        assert kept == {
            "type": "WEBHOOK",
            "url": f"{webhook.url}/hook?a=1",
            "agent": False,
            "synchronized": False,
            **method,
        }
        source = from_run(run_id, run)
        (request,) = webhook.requests
        assert (source.invocation.body, source.invocation.target) == (request.body, "/hook?a=1")
        assert source.invocation.method == request.line.split()[0] == "PUT"
        assert request.value("run_id") == "é".encode().decode("latin-1")


@pytest.mark.parametrize(
    ("answer", "status", "response", "summary"),
    [
        (answering("200 OK", '{"ip": "10.0.0.1"}'), "SUCCESS", {"ip": "10.0.0.1"}, None),
        (answering("201 Created", "[1]"), "SUCCESS", [1], None),
        (answering("204 No Content"), "SUCCESS", None, None),
        (answering("200 OK", "done", "text/plain"), "SUCCESS", "done", None),
        (answering("200 OK", "17"), "SUCCESS", "17", None),
        (answering("302 Found", "x"), "FAILURE", "x", "The webhook answered 302."),
        (answering("500 Oops", '{"error": "no"}'), "FAILURE", {"error": "no"}, "The webhook answered 500."),
    ],
)
async def test_the_answer_ends_a_synchronized_run(
    answer: bytes, status: str, response: Any, summary: str | None
) -> None:
    with handler(answer) as webhook:
        async with running(an_action(webhook.url, method={"synchronized": True})) as (sandbox, client):
            run_id = await start(client)
            await ended(sandbox, run_id)
            run = await run_of(client, run_id)
    assert (run["status"], run.get("response"), run.get("summary")) == (status, response, summary)
    assert run["endedAt"]


async def test_a_failing_answer_ends_no_asynchronous_run_but_is_logged(steps: Steps) -> None:
    with handler(answering("503 Busy")) as webhook:
        async with running(an_action(webhook.url), on_run=steps) as (_, client):
            run_id = await start(client)
            await steps.reach("answered")
            assert await logs_of(client, run_id) == ["The webhook answered 503."]
            assert (await run_of(client, run_id))["status"] == "IN_PROGRESS"


async def test_a_synchronized_run_takes_logs_but_no_status(webhook: Handler, steps: Steps) -> None:
    webhook.delay_s = 30
    async with running(an_action(webhook.url, method={"synchronized": True}), on_run=steps) as (_, client):
        run = f"/v1/actions/runs/{await start(client)}"
        await steps.reach("sends")
        assert (await client.post(f"{run}/logs", json={"message": "hi"})).status_code == 201
        assert (await client.patch(run, json={"summary": "s"})).status_code == 200
        for call in (
            client.patch(run, json={"status": "SUCCESS"}),
            client.post(f"{run}/logs", json={"message": "x", "terminationStatus": "SUCCESS"}),
        ):
            assert (await refusal(call))[:2] == (422, "run_synchronized_error")


async def test_a_webhook_that_nobody_serves_fails_the_run_and_says_why() -> None:
    with handler() as gone:
        url = gone.url
    async with running(an_action(url)) as (sandbox, client):
        run = await ended(sandbox, await start(client))
        logs = await logs_of(client, run.id)
    assert run.status == "FAILURE"
    assert run.summary
    assert "nothing listens" in run.summary
    assert logs == [run.summary]
    assert run.payload
    assert run.payload["url"] == url


async def test_a_webhook_that_does_not_answer_in_time_fails_the_run(webhook: Handler) -> None:
    webhook.delay_s = 20
    async with running(an_action(webhook.url), sending=Sending(timeout_s=0.05)) as (sandbox, client):
        run = await ended(sandbox, await start(client))
    assert (run.status, run.summary) == ("FAILURE", "The webhook could not be invoked: no response within 0.05 s.")


async def test_a_report_that_comes_before_the_answer_counts(webhook: Handler, steps: Steps) -> None:
    webhook.delay_s = 0.2
    async with running(an_action(webhook.url), on_run=steps) as (_, client):
        run_id = await start(client)
        await steps.reach("sends")
        await client.patch(f"/v1/actions/runs/{run_id}", json={"status": "FAILURE", "summary": "mine"})
        await steps.reach("answered")
        run = await run_of(client, run_id)
    assert (run["status"], run["summary"]) == ("FAILURE", "mine")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://10.0.0.1/",
        "http://localhost.example.com/",
        "http://127.0.0.1@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://0.0.0.0:1/",
        "http://2130706433/",
    ],
)
async def test_nothing_leaves_this_machine_unless_that_is_allowed(url: str) -> None:
    async with running(an_action(url)) as (sandbox, client):
        run = await ended(sandbox, await start(client))
    assert run.status == "FAILURE"
    assert "--allow-remote" in (run.summary or "")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "/hook", "", "http://"])
async def test_what_is_no_url_fails_the_run(url: str) -> None:
    async with running(an_action(url)) as (sandbox, client):
        run = await ended(sandbox, await start(client))
    assert "no URL" in (run.summary or "")


async def test_an_approval_sends_the_invocation(webhook: Handler, steps: Steps) -> None:
    action = an_action(webhook.url, method={"synchronized": True}, requiredApproval={"type": "ANY"})
    async with running(action, on_run=steps) as (sandbox, client):
        run_id = await start(client)
        run = await run_of(client, run_id)
        assert (run["status"], run["requiredApproval"]) == ("WAITING_FOR_APPROVAL", {"type": "ANY"})
        refused = client.post(f"/v1/blueprints/vm/entities?run_id={run_id}", json={"identifier": "a"})
        assert (await refusal(refused))[0] == 409
        approval = f"/v1/actions/runs/{run_id}/approval"
        approved = await client.patch(approval, json={"status": "APPROVE", "description": "go"})
        assert approved.status_code == 201
        assert webhook.requests == [] or sandbox.runs[run_id].phase != "approval"
        assert (await ended(sandbox, run_id)).status == "SUCCESS"
        run = await run_of(client, run_id)
        assert (run["approval"]["state"], run["approval"]["description"]) == ("APPROVED", "go")
        assert (await refusal(client.patch(approval, json={"status": "DECLINE"})))[0] == 409
    assert len(webhook.requests) == 1
    assert steps.seen[0].status == "WAITING_FOR_APPROVAL"


async def test_a_declined_run_is_never_sent(webhook: Handler) -> None:
    async with running(an_action(webhook.url, requiredApproval=True)) as (_, client):
        run_id = await start(client)
        declined = await client.patch(f"/v1/actions/runs/{run_id}/approval", json={"status": "DECLINE"})
        assert declined.json()["run"]["status"] == "DECLINED"
        assert (await refusal(client.patch(f"/v1/actions/runs/{run_id}", json={"summary": "x"})))[0] == 409
    assert webhook.requests == []


async def test_a_run_that_does_not_wait_cannot_be_approved(webhook: Handler) -> None:
    async with running(an_action(webhook.url)) as (_, client):
        path = f"/v1/actions/runs/{await start(client)}/approval"
        assert (await refusal(client.patch(path, json={"status": "APPROVE"})))[0] == 422
        assert (await refusal(client.patch(path, json={"status": "MAYBE"})))[0] == 422


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "'properties'"),
        ({"properties": []}, "body/properties must be object"),
        ({"properties": {"title": "x"}, "entity": 1}, "body/entity"),
        ({"properties": {"title": "x"}, "user": "me"}, "'user'"),
        ({"properties": {}}, "'title'"),
        ({"properties": {"title": None}}, "'title'"),
        ({"properties": {"title": "x", "disk": 1}}, "'disk'"),
        ({"properties": {"title": "x", "cpu": "2"}}, "body/properties/cpu must be number"),
    ],
)
async def test_inputs_that_do_not_fit_start_nothing(body: Any, words: str) -> None:
    async with running(an_action("http://127.0.0.1:1")) as (sandbox, client):
        status, slug, message = await refusal(client.post(RUNS, json=body))
        assert (status, slug) == (422, "invalid_request")
        assert words in message
        assert sandbox.runs == {}


async def test_defaults_are_filled_in_and_choices_are_held_to() -> None:
    action = an_action("http://127.0.0.1:1")
    asked = {"size": {"type": "string", "enum": ["s", "m"], "default": "s"}, "who": {"default": {"jqQuery": ".x"}}}
    action["trigger"]["userInputs"] = {"properties": asked, "required": {"jqQuery": ".a"}}
    async with running(action) as (_, client):
        run = (await client.post(RUNS, json={"properties": {}})).json()["run"]
        assert run["properties"] == {"size": "s"}
        assert "s, m" in (await refusal(client.post(RUNS, json={"properties": {"size": "l"}})))[2]


async def test_the_entity_of_a_run_travels_whole(webhook: Handler) -> None:
    async with running(an_action(webhook.url, method={"synchronized": True})) as (sandbox, client):
        entity = {"identifier": "dev", "title": "Dev", "properties": {"cpu": 2}, "relations": {}}
        await client.post("/v1/blueprints/vm/entities", json=entity)
        for name in ("dev", "other"):
            await ended(sandbox, await start(client, body={**INPUTS, "entity": name}))
    known, made_up = [json.loads(request.body)["payload"]["entity"] for request in webhook.requests]
    assert known == {**entity, "blueprint": "vm"}
    assert (made_up["identifier"], made_up["properties"]) == ("other", {})


@pytest.mark.parametrize(("unit", "digits"), [(TimestampUnit.SECONDS, 10), (TimestampUnit.MILLISECONDS, 13)])
async def test_the_timestamp_is_in_the_unit_that_the_backend_reads(
    webhook: Handler, unit: TimestampUnit, digits: int
) -> None:
    action = an_action(webhook.url, method={"synchronized": True})
    async with running(action, sending=Sending(unit=unit)) as (sandbox, client):
        await ended(sandbox, await start(client))
    assert len(webhook.requests[0].value("x-port-timestamp") or "") == digits


async def test_a_get_has_no_body_of_its_own(webhook: Handler) -> None:
    action = an_action(webhook.url, method={"synchronized": True, "method": "GET"})
    async with running(action) as (sandbox, client):
        assert (await ended(sandbox, await start(client))).status == "SUCCESS"
    assert (webhook.requests[0].line, webhook.requests[0].body) == ("GET / HTTP/1.1", b"")


async def test_an_action_that_is_invoked_otherwise_starts_a_run_that_only_waits_for_reports() -> None:
    action = {**create_vm_action(), "invocationMethod": {"type": "KAFKA"}}
    async with running(action) as (_, client):
        run_id = await start(client)
        assert (await client.patch(f"/v1/actions/runs/{run_id}", json={"status": "SUCCESS"})).status_code == 200


async def test_an_automation_and_an_unknown_action_cannot_be_run() -> None:
    action = {**create_vm_action(), "trigger": {"type": "automation", "event": {}}}
    async with running(action) as (_, client):
        assert (await refusal(client.post(RUNS, json=INPUTS)))[0] == 422
        assert (await refusal(client.post("/v1/actions/other/runs", json=INPUTS)))[0] == 404
        assert (await refusal(client.post(f"{RUNS}?run_as=me", json=INPUTS)))[0] == 422


class Template:
    """An invoker of a test: what it is asked for is what it sends, or it fails."""

    def __init__(self, url: str, problem: Exception | None = None) -> None:
        self.url = url
        self.problem = problem

    async def request(self, action: Mapping[str, Any], **asked: Any) -> SandboxRequest:
        if self.problem:
            raise self.problem
        return SandboxRequest(
            method="PATCH", url=self.url, body=json.dumps(asked).encode(), headers=(("Content-Type", "text/x"),)
        )


async def test_another_maker_of_requests_can_be_plugged_in(webhook: Handler, steps: Steps) -> None:
    action = an_action("https://{{ .x }}")
    async with running(action, invoker=Template(webhook.url), on_run=steps) as (_, client):
        run_id = await start(client, body={**INPUTS, "entity": "e"})
        await steps.reach("answered")
        (request,) = webhook.requests
        assert request.line.startswith("PATCH ")
        assert [value for name, value in request.fields if name.lower() == "content-type"] == ["text/x"]
        asked = json.loads(request.body)
    assert (asked["run_id"], asked["properties"], asked["entity"]["identifier"]) == (run_id, INPUTS["properties"], "e")
    assert asked["by"]["user"]["email"] == "you@example.com"
    assert asked["at"].endswith("Z")


@pytest.mark.parametrize("problem", [RenderError("the template is bad.", hint="Mend it."), ZeroDivisionError("oh")])
async def test_a_request_that_cannot_be_made_fails_the_run(problem: Exception) -> None:
    async with running(an_action("http://x"), invoker=Template("", problem)) as (sandbox, client):
        run = await ended(sandbox, await start(client))
    assert (run.status, run.payload) == ("FAILURE", None)
    assert str(problem) in (run.summary or "")


async def test_run_fails_when_the_sandbox_has_no_invoker() -> None:
    async with running(an_action("http://127.0.0.1:1"), invoker=None) as (sandbox, client):
        run = await ended(sandbox, await start(client))
    assert (run.status, run.payload) == ("FAILURE", None)
    assert "without an invoker" in (run.summary or "")
