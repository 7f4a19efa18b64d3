"""`port_sandbox` and `port_hook` in the tests of a handler."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from port_hook_cli import Status, verify
from port_hook_cli.actions.inputs import InvalidInputs
from port_hook_cli.engines.encryption import decrypt_aes_gcm
from port_hook_cli.errors import RenderError, TargetError, UsageError
from port_hook_cli.invocations.targets import BadTarget
from port_hook_cli.pytest_plugin import PortHook, PortSandbox, Run, RunNotEnded
from port_hook_cli.text.secret import Secret
from tests.port_clients import authorized
from tests.servers import NO_TLS, application

SCALE: dict[str, Any] = {
    "identifier": "scale",
    "trigger": {
        "type": "self-service",
        "operation": "DAY-2",
        "blueprintIdentifier": "service",
        "userInputs": {"properties": {"replicas": {"type": "number", "default": 1}, "why": {"type": "string"}}},
    },
    "invocationMethod": {
        "type": "WEBHOOK",
        "url": "http://127.0.0.1:9/scale?by={{ .trigger.by.user.email }}",
        "method": "PUT",
        "headers": {"RUN_ID": "{{ .run.id }}", "x-name": "zoë"},
        "body": {"run": "{{ .run.id }}", "replicas": "{{ .inputs.replicas }}", "service": "{{ .entity.identifier }}"},
    },
}
SYNCHRONIZED = {**SCALE, "invocationMethod": {**SCALE["invocationMethod"], "synchronized": True}}
ON_DELETION: dict[str, Any] = {
    "identifier": "on_deletion",
    "trigger": {
        "type": "automation",
        "event": {"type": "ENTITY_DELETED", "blueprintIdentifier": "service"},
        "condition": {"type": "JQ", "expressions": ['.diff.before.identifier == "billing"'], "combinator": "and"},
    },
    "invocationMethod": {"type": "WEBHOOK", "url": "http://127.0.0.1:9/", "body": {"gone": "{{ .event.diff.before }}"}},
}


def a_handler(environ: Mapping[str, str], *, status: int = 202, reports: bool = True) -> web.Application:
    """A handler that verifies requests, and reports before it responds. It finds the run only by RUN_ID."""

    async def take(request: web.Request) -> web.Response:
        verdict = verify(request.headers, await request.read(), environ["PORT_CLIENT_SECRET"])
        if verdict.status is not Status.VALID:
            return web.json_response({"error": verdict.slugs}, status=401)
        name = request.headers["x-name"].encode("utf-8", "surrogateescape").decode()
        if reports:
            await asyncio.to_thread(report, environ, request.headers["RUN_ID"], name)
        return web.json_response({"path": request.path_qs, "name": name}, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", take)
    return app


def report(environ: Mapping[str, str], run_id: str, name: str) -> None:
    fields = {"status": "SUCCESS", "summary": "scaled", "link": "https://ci.example.com/1", "statusLabel": "done"}
    with authorized(environ) as port:
        port.post(f"/v1/actions/runs/{run_id}/logs", json={"message": f"scaling for {name}"}).raise_for_status()
        port.patch(f"/v1/actions/runs/{run_id}", json=fields).raise_for_status()


def status_responded(run: Run) -> int | None:
    return None if run.handler_response is None else run.handler_response.status


@contextmanager
def serving(sandbox: PortSandbox, **behavior: Any) -> Iterator[str]:
    with application(a_handler(sandbox.environ, **behavior)) as url:
        yield url


class TestSandbox:
    @pytest.mark.parametrize("test", ["one", "another"])
    def test_sandbox_is_empty_at_the_start_of_each_test(
        self, port_sandbox: PortSandbox, port_hook: PortHook, test: str
    ) -> None:
        assert (port_sandbox.runs, port_sandbox.calls, port_sandbox.entities) == ({}, (), {})
        assert list(port_sandbox.actions) == ["create_vm"]
        port_hook.request(SCALE)
        assert (len(port_sandbox.runs), list(port_sandbox.actions)) == (1, ["create_vm", "scale"])

    def test_environ_has_the_url_and_masks_the_secret(
        self, port_sandbox: PortSandbox, port_environ: dict[str, str]
    ) -> None:
        assert port_sandbox.environ == port_environ
        assert port_environ["PORT_API_URL"] == port_sandbox.url
        assert port_environ["PORT_CLIENT_SECRET"] == port_sandbox.client_secret
        assert port_sandbox.client_secret not in repr(port_sandbox)
        for environ in (port_environ, port_environ.copy(), port_environ | {}, {**port_environ}):
            assert port_sandbox.client_secret not in repr(environ)

    def test_entity_is_rejected_unless_it_matches_a_declared_blueprint(
        self, port_sandbox: PortSandbox, tmp_path: Path
    ) -> None:
        def save(**fields: Any) -> tuple[int, str]:
            answer = port.post("/v1/blueprints/vm/entities", json={"identifier": "dev", **fields})
            return answer.status_code, answer.json().get("message", "")

        with authorized(port_sandbox.environ) as port:
            assert save() == (404, 'Blueprint with identifier "vm" was not found')
            file = tmp_path / "vm.yaml"
            file.write_text("{identifier: vm, schema: {properties: {cpu: {type: number}}}}")
            assert port_sandbox.add_blueprint(file) == "vm"
            relations = {"owner": {"target": "squad", "many": False, "required": False}}
            known = port_sandbox.blueprints["vm"]
            port_sandbox.add_blueprint({**known, "relations": relations})
            assert save(properties={"ram": 1})[0] == 422
            assert save(relations={"owner": "a"})[0] == 404
            port_sandbox.add_blueprint({"identifier": "squad", "schema": {}})
            assert port_sandbox.add_entity("squad", {"identifier": "a"}) == "a"
            assert save(properties={"cpu": 1}, relations={"owner": "a"}) == (201, "")
        assert port_sandbox.entities["vm", "dev"]["relations"] == {"owner": "a"}

    def test_definitions_may_be_responses_of_ports_api(self, port_sandbox: PortSandbox) -> None:
        assert port_sandbox.add_action({"ok": True, "action": SCALE}) == "scale"
        assert port_sandbox.actions["scale"]["invocationMethod"] == SCALE["invocationMethod"]
        blueprint = {"identifier": "disk", "schema": {"properties": {}}}
        assert port_sandbox.add_blueprint({"ok": True, "blueprint": blueprint}) == "disk"

    @pytest.mark.parametrize("blueprint", [{"identifier": "vm"}, "missing.json"])
    def test_add_blueprint_rejects_an_invalid_blueprint(self, port_sandbox: PortSandbox, blueprint: Any) -> None:
        with pytest.raises(UsageError):
            port_sandbox.add_blueprint(blueprint)
        with pytest.raises(UsageError, match="does not accept this entity: Blueprint with identifier"):
            port_sandbox.add_entity("vm", {"identifier": "a"})

    def test_report_to_a_run_of_an_earlier_test_is_rejected(self, port_sandbox: PortSandbox) -> None:
        with authorized(port_sandbox.environ) as port:
            answer = port.patch("/v1/actions/runs/r_0123456789abcdef", json={"status": "SUCCESS"})
        assert answer.status_code == 404
        assert port_sandbox.runs == {}
        assert [call.status for call in port_sandbox.calls] == [200, 404]

    def test_run_started_by_a_handler_is_rendered_and_sent(self, port_sandbox: PortSandbox) -> None:
        with serving(port_sandbox) as url, authorized(port_sandbox.environ) as port:
            port_sandbox.add_action(
                {**SCALE, "invocationMethod": {**SCALE["invocationMethod"], "url": f"{url}/é/{{{{ .inputs.why }}}}"}}
            )
            started = port.post("/v1/actions/scale/runs", json={"properties": {"why": "load"}})
            run = port_sandbox.wait_for_end(started.json()["run"]["id"])
        assert (run.status, run.logs) == ("SUCCESS", ("scaling for zoë",))

    def test_secret_input_is_encrypted_after_the_request_was_sent(self, port_sandbox: PortSandbox) -> None:
        method = {"type": "WEBHOOK", "synchronized": True, "body": {"key": "{{ .inputs.key }}"}}
        asked = {"properties": {"key": {"type": "string", "encryption": "aes256-gcm"}}}
        with serving(port_sandbox) as url, authorized(port_sandbox.environ) as port:
            port_sandbox.add_action(
                {
                    "identifier": "seal",
                    "trigger": {"type": "self-service", "operation": "CREATE", "userInputs": asked},
                    "invocationMethod": {**method, "url": url, "headers": {"x-name": "a", "RUN_ID": "{{ .run.id }}"}},
                }
            )
            started = port.post("/v1/actions/seal/runs", json={"properties": {"key": "hunter2"}})
            run_id = started.json()["run"]["id"]
            port_sandbox.wait_for_end(run_id)
            run = port.get(f"/v1/actions/runs/{run_id}").json()["run"]
        assert run["properties"] == run["payload"]["body"]
        assert decrypt_aes_gcm(Secret(port_sandbox.client_secret), run["properties"]["key"]) == b"hunter2"

    def test_wait_for_end_fails_for_an_unknown_run(self, port_sandbox: PortSandbox) -> None:
        with pytest.raises(UsageError, match="no run r_x") as caught:
            port_sandbox.wait_for_end("r_x")
        assert "add_run" in caught.value.__notes__[0]


class TestRequest:
    def test_request_equals_the_request_of_port(self, port_hook: PortHook, port_sandbox: PortSandbox) -> None:
        service = {"identifier": "billing", "blueprint": "service"}
        request = port_hook.request(SCALE, {"replicas": 3}, entity=service, by={"email": "me@example.com"})
        assert (request.method, request.path) == ("PUT", "/scale?by=me@example.com")
        assert request.json() == {"run": request.run_id, "replicas": 3, "service": "billing"}
        assert request.headers["RUN_ID"] == request.run_id
        assert verify(request.headers, request.body, port_sandbox.client_secret).status == "valid"
        run = port_sandbox.runs[request.run_id]
        assert (run.action, run.status, run.properties) == ("scale", "IN_PROGRESS", {"replicas": 3})

    @pytest.mark.parametrize("name", ["scale.json", "all.json#scale", "scale.yaml"])
    def test_action_can_be_a_file(self, name: str, tmp_path: Path, port_hook: PortHook) -> None:
        file = name.partition("#")[0]
        other = {**SCALE, "identifier": "other"}
        (tmp_path / file).write_text(json.dumps([other, SCALE] if file == "all.json" else SCALE))
        assert port_hook.request(f"{tmp_path}/{name}").action == "scale"
        assert port_hook.request("scale").action == "scale"

    @pytest.mark.parametrize(
        ("action", "expected"),
        [
            ("nothing", "no action nothing. Its actions are: create_vm"),
            ("nothing.yaml", "File not found"),
            ({"identifier": "a"}, "The action a has no `trigger`"),
            ({}, "has no `identifier`"),
            ({**SCALE, "invocationMethod": {"type": "GITHUB"}}, "invoked by GITHUB"),
        ],
    )
    def test_request_fails_for_an_invalid_action(self, action: Any, expected: str, port_hook: PortHook) -> None:
        with pytest.raises(UsageError, match=expected):
            port_hook.request(action)

    def test_request_error_has_a_hint_for_an_action_without_a_request(self, port_hook: PortHook) -> None:
        with pytest.raises(UsageError, match="invoked by KAFKA") as caught:
            port_hook.request({**SCALE, "invocationMethod": {"type": "KAFKA"}})
        assert caught.value.__notes__[0].startswith("hint: Use a WEBHOOK action here")

    def test_file_with_several_actions_needs_an_identifier(self, tmp_path: Path, port_hook: PortHook) -> None:
        (tmp_path / "all.json").write_text(json.dumps([SCALE, {**SCALE, "identifier": "other"}]))
        with pytest.raises(UsageError, match="has 2 actions: scale, other") as caught:
            port_hook.request(tmp_path / "all.json")
        assert "all.json#IDENTIFIER" in caught.value.__notes__[0]

    def test_request_rejects_invalid_inputs(self, port_hook: PortHook, port_sandbox: PortSandbox) -> None:
        with pytest.raises(InvalidInputs, match="replicas") as caught:
            port_hook.request(SCALE, {"replicas": "three"})
        assert not hasattr(caught.value, "__notes__")  # its hint is about the command line
        assert port_sandbox.runs == {}

    def test_automation_runs_for_an_event_when_its_condition_is_met(self, port_hook: PortHook) -> None:
        event = {"diff": {"before": {"identifier": "billing"}, "after": None}}
        assert port_hook.request(ON_DELETION, event=event).json() == {"gone": {"identifier": "billing"}}
        with pytest.raises(UsageError, match="does not run for this event"):
            port_hook.request(ON_DELETION, event={"diff": {"before": {"identifier": "other"}}})
        with pytest.raises(UsageError, match="needs an event"):
            port_hook.request(ON_DELETION)


class TestSign:
    def test_sign_adds_the_run_of_the_payload(self, port_hook: PortHook, port_sandbox: PortSandbox) -> None:
        payload = {"action": "create_vm", "context": {"runId": "r_0123456789abcdef"}, "title": "zoë"}
        headers, body = port_hook.sign(payload)
        assert verify(headers, body, port_sandbox.client_secret).status == "valid"
        assert port_sandbox.runs["r_0123456789abcdef"].status == "IN_PROGRESS"

    def test_sign_can_use_another_secret_and_timestamp(self, port_hook: PortHook, port_sandbox: PortSandbox) -> None:
        wrong = port_hook.sign({}, secret="another")
        late = port_hook.sign({}, timestamp=1_700_000_000)
        assert [verify(*each, port_sandbox.client_secret).status for each in (wrong, late)] == ["invalid", "stale"]
        assert port_sandbox.runs == {}


class TestAnswered:
    @pytest.mark.parametrize(
        ("status", "body", "ends", "response"),
        [(200, '{"a": 1}', "SUCCESS", {"a": 1}), (500, b"broken", "FAILURE", "broken"), (204, b"", "SUCCESS", None)],
    )
    def test_responded_ends_a_synchronized_run(
        self, port_hook: PortHook, status: int, body: bytes | str, ends: str, response: Any
    ) -> None:
        run = port_hook.responded(port_hook.request(SYNCHRONIZED), status, body)
        assert (run.status, run.response) == (ends, response)

    def test_responded_does_not_end_an_asynchronous_run(self, port_hook: PortHook) -> None:
        run = port_hook.responded(port_hook.request(SCALE), 200, "{}")
        assert (run.status, run.ended, status_responded(run)) == ("IN_PROGRESS", False, 200)


class TestInvoke:
    def test_invoke_returns_the_ended_run(self, port_hook: PortHook, port_sandbox: PortSandbox) -> None:
        with serving(port_sandbox) as url:
            run = port_hook.invoke(SCALE, {"replicas": 2}, to=url, by={"email": "zoë@example.com", "firstName": "zoë"})
        assert (run.status, run.status_label, run.summary) == ("SUCCESS", "done", "scaled")
        assert run.logs == ("scaling for zoë",)
        assert run.link == "https://ci.example.com/1"
        assert run.handler_response is not None
        assert run.handler_response.json() == {"path": "/scale?by=zo%C3%AB@example.com", "name": "zoë"}
        assert run.request is not None
        assert (run.request.url.partition("/scale")[0], run.request.json()["replicas"]) == (url, 2)
        assert repr(run) == (
            f"<Run {run.id} of scale: SUCCESS, responded 202, label 'done', summary 'scaled', "
            "last log 'scaling for zoë'>"
        )

    def test_mapping_in_the_format_before_version_2_is_converted(self, port_sandbox: PortSandbox) -> None:
        old = {
            "identifier": "old",
            "trigger": "CREATE",
            "invocationMethod": {"type": "WEBHOOK", "url": "http://[::1]/"},
        }
        assert port_sandbox.add_action(old) == "old"
        assert port_sandbox.actions["old"]["trigger"]["operation"] == "CREATE"
        with pytest.raises(UsageError, match="is in the format before version 2"):
            port_sandbox.add_action({**old, "trigger": "OTHER"})

    def test_target_is_enough_for_an_action_with_a_placeholder_url(
        self, port_hook: PortHook, port_sandbox: PortSandbox
    ) -> None:
        action = {**SCALE, "invocationMethod": {**SCALE["invocationMethod"], "url": "<WEBHOOK_URL>"}}
        with pytest.raises(RenderError, match="which is not a URL"):
            port_hook.invoke(action)
        with serving(port_sandbox) as target:
            run = port_hook.invoke(action, to=target)
        assert run.status == "SUCCESS"
        assert run.request is not None
        assert (run.request.url, run.request.path) == (f"{target}/", "/")

    def test_invoke_ends_a_synchronized_run_with_the_response(
        self, port_hook: PortHook, port_sandbox: PortSandbox
    ) -> None:
        with serving(port_sandbox, status=503, reports=False) as url:
            run = port_hook.invoke(SYNCHRONIZED, to=url)
        assert (run.status, run.summary) == ("FAILURE", "The webhook responded with 503.")

    async def test_ainvoke_works_with_a_handler_in_the_same_event_loop(
        self, port_hook: PortHook, port_sandbox: PortSandbox
    ) -> None:
        async with TestServer(a_handler(port_sandbox.environ)) as server:
            run = await port_hook.ainvoke(SCALE, to=server.port)
            assert (await port_sandbox.await_end(run.id)).status == run.status == "SUCCESS"

    async def test_invoke_error_reports_the_blocked_event_loop(
        self, port_hook: PortHook, port_sandbox: PortSandbox
    ) -> None:
        async with TestServer(a_handler(port_sandbox.environ)) as server:
            with pytest.raises(RunNotEnded, match="without a response") as caught:
                port_hook.invoke(SCALE, to=server.port, timeout_s=0.1)
        assert "await ainvoke" in str(caught.value)

    def test_invoke_fails_immediately_when_the_handler_rejects_the_request(
        self, port_hook: PortHook, port_sandbox: PortSandbox
    ) -> None:
        wrong = {**port_sandbox.environ, "PORT_CLIENT_SECRET": "another"}
        with application(a_handler(wrong)) as url, pytest.raises(RunNotEnded) as caught:
            port_hook.invoke(SCALE, to=url)
        assert (caught.value.run.status, status_responded(caught.value.run)) == ("IN_PROGRESS", 401)
        expected = str(caught.value)
        assert "stays so: the handler responded with 401" in expected
        assert "secret-or-body" in expected
        assert "Does the handler read PORT_CLIENT_SECRET from port_sandbox.environ" in expected
        assert port_sandbox.client_secret not in expected

    async def test_ainvoke_fails_immediately_when_the_handler_rejects_the_request(
        self, port_hook: PortHook, port_sandbox: PortSandbox
    ) -> None:
        async with TestServer(a_handler(port_sandbox.environ, status=500, reports=False)) as server:
            with pytest.raises(RunNotEnded, match=r"does not end the run in Port either\. With `wait=False`"):
                await port_hook.ainvoke(SCALE, to=server.port)

    def test_interrupt_ends_only_the_waiting(self, port_hook: PortHook, port_sandbox: PortSandbox) -> None:
        request = port_hook.request(SCALE)
        waits = threading.get_ident()
        interrupt = threading.Timer(0.1, signal.pthread_kill, (waits, signal.SIGINT))
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            port_sandbox.wait_for_end(request.run_id, timeout_s=20)
        interrupt.join()
        assert list(port_sandbox.runs) == [request.run_id]

    def test_invoke_returns_a_rejected_run_when_it_does_not_wait(
        self, port_hook: PortHook, port_sandbox: PortSandbox
    ) -> None:
        with serving(port_sandbox, status=500, reports=False) as url:
            run = port_hook.invoke(SCALE, to=url, wait=False)
        assert (run.status, status_responded(run)) == ("IN_PROGRESS", 500)

    def test_error_explains_a_missing_report(self, port_hook: PortHook, port_sandbox: PortSandbox) -> None:
        with serving(port_sandbox, reports=False) as url, pytest.raises(RunNotEnded, match=r"after 0\.1 s") as caught:
            port_hook.invoke(SCALE, to=url, timeout_s=0.1)
        assert "has not called the sandbox: does it read PORT_API_URL" in str(caught.value)

    def test_error_explains_other_credentials_of_the_handler(
        self, port_hook: PortHook, port_sandbox: PortSandbox
    ) -> None:
        with (
            serving(port_sandbox, reports=False) as url,
            httpx.Client(base_url=port_sandbox.url, verify=NO_TLS) as port,
        ):
            port.post("/v1/auth/access_token", json={"clientId": "mine", "clientSecret": "mine"})
            with pytest.raises(RunNotEnded, match="The sandbox rejected the handler"):
                port_hook.invoke(SCALE, to=url, timeout_s=0.1)

    @pytest.mark.parametrize(
        ("method", "path", "body", "words"),
        [
            ("GET", "/v1/blueprints", None, "called the sandbox, but never about this run."),
            ("POST", "/v1/actions/runs/{run}/logs", {"message": "x"}, "about this run, but reported no status."),
            (
                "PATCH",
                "/v1/actions/runs/{run}",
                {"summary": "x"},
                "that the sandbox accepted has a `status`.",
            ),
        ],
    )
    def test_error_explains_a_report_without_a_status(
        self, port_hook: PortHook, port_sandbox: PortSandbox, method: str, path: str, body: Any, words: str
    ) -> None:
        request = port_hook.request(SCALE)
        with authorized(port_sandbox.environ) as port:
            port.request(method, path.format(run=request.run_id), json=body).raise_for_status()
        with pytest.raises(RunNotEnded) as caught:
            port_sandbox.wait_for_end(request.run_id, timeout_s=0.1)
        assert words in str(caught.value)
        assert f"PATCH /v1/actions/runs/{request.run_id} with the `status`" in str(caught.value)

    def test_error_shows_failed_expressions(self, port_hook: PortHook, port_sandbox: PortSandbox) -> None:
        action = {**SCALE, "invocationMethod": {**SCALE["invocationMethod"], "body": {"x": "{{ .inputs | nope }}"}}}
        port_hook.request(action)
        assert "{{ .inputs | nope }} became null" in port_sandbox.summary()

    def test_summary_escapes_control_characters(self, port_hook: PortHook, port_sandbox: PortSandbox) -> None:
        port_hook.responded(port_hook.request(SCALE), 200, b"\x1b[2J")
        assert "responded 200  \\x1b[2J" in port_sandbox.summary()

    def test_invoke_raises_target_error_and_the_run_fails_when_nothing_listens(
        self, port_hook: PortHook, port_sandbox: PortSandbox
    ) -> None:
        with pytest.raises(TargetError, match=r"scale could not be invoked: nothing listens on 127\.0\.0\.1:9"):
            port_hook.invoke(SCALE, to=9)
        (run,) = port_sandbox.runs.values()
        assert (run.status, run.logs) == ("FAILURE", (run.summary,))
        assert "nothing listens on 127.0.0.1:9" in (run.summary or "")

    def test_sandbox_responds_to_an_action_with_the_url_of_ports_own_api(
        self, port_hook: PortHook, port_sandbox: PortSandbox
    ) -> None:
        port_sandbox.add_blueprint({"identifier": "vm", "schema": {}})
        url = "https://api.getport.io/v1/blueprints/vm/entities?upsert=true"
        method = {"type": "WEBHOOK", "url": url, "synchronized": True, "body": {"identifier": "{{ .inputs.why }}"}}
        run = port_hook.invoke({**SCALE, "invocationMethod": method}, {"why": "vm1"})
        assert (run.status, run.response) == ("SUCCESS", {"ok": True, "entity": port_sandbox.entities["vm", "vm1"]})

    def test_sandbox_does_not_respond_to_the_agents_request_to_ports_own_api(self, port_hook: PortHook) -> None:
        method = {"type": "WEBHOOK", "url": "https://api.getport.io/v1/blueprints", "method": "GET", "agent": True}
        with pytest.raises(UsageError, match="the execution agent calls without Port's credentials"):
            port_hook.invoke({**SCALE, "invocationMethod": method}, {"why": "vm1"})

    def test_invoke_sends_to_another_machine_only_when_the_test_chooses_it(self, port_hook: PortHook) -> None:
        with pytest.raises(UsageError, match=r"https://example\.com, which is not on this machine"):
            port_hook.invoke("create_vm", {"title": "x"})
        with pytest.raises(BadTarget):
            port_hook.invoke("create_vm", {"title": "x"}, to="ftp://x")


def test_unknown_keyword_is_rejected(port_hook: PortHook) -> None:
    with pytest.raises(TypeError, match=r"unknown arguments: entiti \(known: entity, event, by, secrets"):
        port_hook.request(SCALE, entiti={})  # type: ignore[call-arg]
