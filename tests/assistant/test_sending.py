"""The tools that send: where they send, and what they sign or reject."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable

import pytest

from port_hook_cli.assistant.sending import allowed_target
from port_hook_cli.assistant.server import ToolResult
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import MessageOrigin, Status, Verdict
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import signed_message
from tests.assistant.assistants import Assistant, is_signed
from tests.factories import NOW, RUN_ID, SECRET, a_body, a_capture, a_document, an_invocation, signed
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import handler

ACTION = {
    "identifier": "scale",
    "trigger": {"type": "self-service", "operation": "CREATE", "userInputs": {"properties": {"n": {"type": "number"}}}},
    "invocationMethod": {"type": "WEBHOOK", "url": "https://example.com/scale?a=1"},
}


def test_capture_is_sent_to_the_given_handler_and_the_replay_is_saved(assistant: Assistant) -> None:
    with handler() as target:
        assistant.save(a_capture(an_invocation(target="/hook")))
        found = assistant.document(
            "replay_capture", capture="last", to=str(target.port), set={"payload.properties.cpu": 64}
        )
        assert is_signed(target)
        assert json.loads(target.requests[0].body)["payload"]["properties"]["cpu"] == 64
        assert target.requests[0].line.startswith("POST /hook ")
    (sent,) = found["result"]
    assert (sent["status"], sent["source"]) == (200, "0123456789ab")
    with handler() as target:  # `last` is the latest capture that is not a replay
        (again,) = assistant.result("replay_capture", capture="last", to=target.url)
    assert again["source"] == "0123456789ab"
    assert assistant.result("show_capture", capture=sent["capture"])["handler_response"]["body"]["text"] == "ok"


def test_edited_kafka_message_gets_no_new_signature_visible_to_an_agent(assistant: Assistant) -> None:
    value = signed_message(a_document(), SECRET, str(int(NOW)))
    captured = an_invocation(value, headers=message_headers(value), origin=MessageOrigin("org.runs", 0, 1, None))
    with handler() as target:
        assistant.save(a_capture(captured))
        assistant.result("replay_capture", capture="last", to=target.url, set={"payload.properties.cpu": 64})
        (request,) = target.requests
    assert json.loads(request.body)["headers"] == json.loads(value)["headers"]


def test_name_with_an_equals_sign_is_set_unchanged(assistant: Assistant) -> None:
    with handler() as target:
        assistant.save(a_capture())
        to_set = {'+payload.properties["a=b"]': "1", 'payload.properties["cpu"]': 2.0}
        assistant.result("replay_capture", capture="last", to=target.url, set=to_set)
        properties = json.loads(target.requests[0].body)["payload"]["properties"]
    assert (properties["a=b"], properties["cpu"]) == ("1", 2)


def test_path_with_a_value_in_it_or_an_unknown_name_is_rejected(assistant: Assistant) -> None:
    assistant.save(a_capture())
    assert "is invalid" in assistant.error("replay_capture", capture="last", to="1", set={"payload.a=1": 2})
    missing = assistant.error("replay_capture", capture="last", to="1", set={"payload.properties.cpus": 2})
    assert "Did you mean payload.properties.cpu? To add a value, put + before its path." in missing


@pytest.mark.parametrize(
    ("status", "signature"),
    [
        (Status.INVALID, "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        (Status.MISSING, None),
        (Status.MALFORMED, "?"),
        (Status.UNCHECKED, "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ],
)
def test_unsigned_capture_is_not_signed_for_an_agent(
    assistant: Assistant, status: Status, signature: str | None
) -> None:
    own = (("x-port-signature", signature),) if signature else (("x-other", "1"),)
    headers = Headers((*own, ("x-port-timestamp", "1700000000")))
    found = Status.INVALID if status is Status.UNCHECKED else status
    with handler() as target:
        assistant.save(a_capture(an_invocation(headers=headers), verdict=Verdict(status=status)))
        assert f"is {found}, so no tool signs" in assistant.error("replay_capture", capture="last", to=target.url)
        assert target.requests == []
        if signature:
            assistant.result("replay_capture", capture="last", to=target.url, as_captured=True)
            assert target.requests[0].value("x-port-timestamp") == "1700000000"


def test_request_without_a_signature_is_not_sent_as_captured(assistant: Assistant) -> None:
    unsigned = an_invocation(headers=Headers((("content-type", "application/json"),)))
    assistant.save(a_capture(unsigned))
    text = assistant.error("replay_capture", capture="last", to="1", as_captured=True)
    assert f"{unsigned.id} has no signature to send as captured.\nhint: Omit `as_captured`" in text


def test_replay_announces_the_action_and_the_inputs_of_the_run_to_a_sandbox_on_this_machine(
    runtime: Callable[..., Runtime],
) -> None:
    with a_sandbox() as sandbox, handler() as target:
        assistant = Assistant.at(runtime, env=environ_of(sandbox))
        body = a_body()
        headers = signed(body, secret=sandbox.client_secret)
        assistant.save(a_capture(an_invocation(body, headers=headers)))
        assistant.result("replay_capture", capture="last", to=target.url, set={"payload.properties.cpu": 8})
        found = sandbox.runs[RUN_ID]
    assert (found.start.action, found.start.properties["cpu"]) == ("create_vm", 8)


def test_changed_body_is_not_sent_as_captured(assistant: Assistant) -> None:
    assistant.save(a_capture())
    assert "Omit `set`" in assistant.error("replay_capture", capture="last", to="1", as_captured=True, unset=["action"])


def test_agent_does_not_choose_another_machine(assistant: Assistant) -> None:
    assistant.save(a_capture())
    (assistant.workspace.runtime.cwd / "scale.json").write_text(json.dumps(ACTION))
    for to in ("http://192.0.2.1/", "http://localhost.example.com", "http://user@127.0.0.1", "ftp://127.0.0.1", "x y"):
        for tool, name in (("replay_capture", {"capture": "last"}), ("trigger_action", {"action": "scale.json"})):
            assert "nothing was sent" in (text := assistant.error(tool, **name, to=to)) or "`to`: " in text


def test_user_can_allow_one_other_target(runtime: Callable[..., Runtime]) -> None:
    workspace = Assistant.at(runtime, to="https://staging.example.com/hook").workspace
    assert allowed_target(None, workspace) == "https://staging.example.com/hook"
    assert allowed_target("https://staging.example.com/other", workspace) == "https://staging.example.com/other"
    with pytest.raises(UsageError, match="is not on this machine"):
        allowed_target("http://staging.example.com/hook", workspace)


def test_action_is_signed_for_its_handler_and_the_agent_does_not_get_the_signature(assistant: Assistant) -> None:
    (assistant.workspace.runtime.cwd / "scale.json").write_text(json.dumps(ACTION))
    with handler() as target:
        (sent,) = assistant.result("trigger_action", action="scale.json", inputs={"n": 7}, to=str(target.port))
        assert is_signed(target)
        assert target.requests[0].line == "POST /scale?a=1 HTTP/1.1"
        assert json.loads(target.requests[0].body)["payload"]["properties"] == {"n": 7}
        assert str(target.requests[0].value("x-port-signature")) not in json.dumps(sent)
    assert {name.lower(): value for name, value in sent["headers"].items()}["x-port-signature"] == "***"
    assert (sent["delivery"]["status"], sent["run_status"]) == (200, "IN_PROGRESS")


def test_untrusted_file_does_not_choose_another_machine(assistant: Assistant) -> None:
    (assistant.workspace.runtime.cwd / "scale.json").write_text(json.dumps(ACTION))
    assert "is not on this machine" in assistant.error("trigger_action", action="scale.json")


def test_local_target_of_an_action_is_used_by_default(runtime: Callable[..., Runtime]) -> None:
    with handler() as own, handler() as target:
        action = {**ACTION, "invocationMethod": {"type": "WEBHOOK", "url": f"{own.url}/scale"}}
        for to in (None, target.url):
            assistant = Assistant.at(runtime, to=to)
            (assistant.workspace.runtime.cwd / "scale.json").write_text(json.dumps(action))
            assistant.result("trigger_action", action="scale.json", inputs={"n": 7})
        assert (len(own.requests), len(target.requests)) == (1, 1)


def test_event_of_an_automation_is_passed_as_a_value(assistant: Assistant) -> None:
    automation = {
        "identifier": "changed",
        "trigger": {"type": "automation", "event": {"type": "ENTITY_UPDATED", "blueprintIdentifier": "vm"}},
        "invocationMethod": {"type": "WEBHOOK", "url": "https://example.com/", "body": "{{ .event.diff.after.a }}"},
    }
    (assistant.workspace.runtime.cwd / "changed.json").write_text(json.dumps(automation))
    with handler() as target:
        assistant.result(
            "trigger_action", action="changed.json", event={"diff": {"after": {"a": {"b": 1}}}}, to=str(target.port)
        )
        assert json.loads(target.requests[0].body) == {"b": 1}


def test_workflow_is_run_up_to_the_waiting_node(assistant: Assistant) -> None:
    nodes = [
        {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER", "userInputs": {"properties": {}}}},
        {"identifier": "deploy", "config": {"type": "WEBHOOK", "url": "https://example.com/deploy", "method": "POST"}},
    ]
    edges = [{"sourceIdentifier": "start", "targetIdentifier": "deploy"}]
    workflow = {"identifier": "w", "nodes": nodes, "connections": edges}
    (assistant.workspace.runtime.cwd / "w.json").write_text(json.dumps(workflow))
    with handler() as target:
        found = assistant.result("trigger_action", action="w.json", to=str(target.port))
        assert is_signed(target)
    assert found[-1]["type"] == "workflow_run"
    assert "not sent" in assistant.error("trigger_action", action="w.json")
    condition = {"type": "JQ", "expressions": [".action == 1"]}
    nodes[0] = {"identifier": "start", "config": {"type": "EVENT_TRIGGER", "condition": condition}}
    (assistant.workspace.runtime.cwd / "w.json").write_text(json.dumps(workflow))
    (unmet,) = assistant.result("trigger_action", action="w.json", event={"action": 2})
    assert (unmet["type"], unmet["action"]) == ("unmet", "w")


def test_call_ends_when_the_handler_does_not_respond(assistant: Assistant) -> None:
    assistant.save(a_capture())
    with handler(delay_s=30) as target:
        (sent,) = assistant.result("replay_capture", capture="last", to=target.url, timeout_s=0.1)
    assert (sent["status"], sent["error"] is None) == (None, False)


def test_run_is_reported_to_port(runtime: Callable[..., Runtime]) -> None:
    with a_sandbox(runs=[RUN_ID]) as sandbox:
        assistant = Assistant.at(runtime, env=environ_of(sandbox))
        found = assistant.document("report_run", run_id=RUN_ID, status="success", logs=["one"], summary="@/etc/passwd")
        run = sandbox.runs[RUN_ID]
        assert (run.report.status, run.report.summary, [log["message"] for log in run.logs]) == (
            "SUCCESS",
            "@/etc/passwd",
            ["one"],
        )
        assert found["result"]["status"] == "SUCCESS"
        assert "has already ended" in assistant.error("report_run", run_id=RUN_ID, logs=["late"], status="failure")
        assistant.document("report_run", run_id=RUN_ID, logs=["late"])
        assert [log["message"] for log in run.logs] == ["one", "late"]


def test_credentials_of_the_environment_are_not_sent_to_a_url_of_the_current_directory(assistant: Assistant) -> None:
    (assistant.workspace.runtime.cwd / ".env").write_text("PORT_API_URL=http://127.0.0.1:9\nPORT_CLIENT_ID=x\n")
    text = assistant.error("report_run", run_id=RUN_ID, status="success")
    assert ".env" in text
    assert SECRET.reveal() not in text


def test_tools_write_no_file_but_the_store(assistant: Assistant) -> None:
    folder = assistant.workspace.runtime.cwd
    with handler() as target:
        assistant.save(a_capture(an_invocation(a_body())))
        (folder / "scale.json").write_text(json.dumps(ACTION))
        before = sorted(path for path in folder.rglob("*") if path.parent.name != ".port-hook")
        asyncio.run(assistant.answer("replay_capture", capture="last", to=target.url))
        asyncio.run(assistant.answer("trigger_action", action="scale.json", to=target.url))
        asyncio.run(assistant.answer("render_action", action="scale.json"))
        assert len(target.requests) == 2
    assert sorted(path for path in folder.rglob("*") if path.parent.name != ".port-hook") == before


def test_captures_can_be_read_while_requests_to_a_handler_hang(assistant: Assistant) -> None:
    assistant.save(a_capture())
    threads = min(32, (os.cpu_count() or 1) + 4)  # of asyncio's own pool

    async def read_meanwhile() -> ToolResult:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            to = str(server.getsockname()[1])
            sending = [
                asyncio.create_task(assistant.answer("replay_capture", capture="last", to=to, timeout_s=50))
                for _ in range(threads)
            ]
            async with asyncio.timeout(30):
                accepted = [(await loop.sock_accept(server))[0] for _ in sending]
            try:
                async with asyncio.timeout(20):
                    return await assistant.answer("list_captures")
            finally:
                for connection in accepted:
                    connection.close()
                await asyncio.gather(*sending)

    assert not asyncio.run(read_meanwhile()).is_error
