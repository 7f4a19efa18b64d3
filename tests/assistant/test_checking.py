"""The tool that checks a handler: what it finds, and what it does not sign or send."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Status, Verdict
from port_hook_cli.runtime import Runtime
from tests.assistant.assistants import Assistant
from tests.factories import SECRET, a_capture, an_invocation
from tests.servers import application, handler, status_of

ACTION = {
    "identifier": "scale",
    "trigger": {"type": "self-service", "operation": "CREATE", "userInputs": {"properties": {"n": {"type": "number"}}}},
    "invocationMethod": {"type": "WEBHOOK", "url": "https://example.com/scale?a=1"},
}
OLD = ["no-signature", "old"]


def a_handler(seen: list[Any] | None = None) -> web.Application:
    """Return a handler that does not check the age of requests. It adds accepted bodies to `seen`."""

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        if status_of(request, body, SECRET, tolerance_s=1e9) != "valid":
            return web.Response(status=401, text="the signature is wrong")
        if seen is not None:
            seen.append(json.loads(body))
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    return app


def test_handler_is_checked_with_a_capture_and_the_requests_of_findings_can_be_shown(assistant: Assistant) -> None:
    assistant.save(a_capture())
    with application(a_handler()) as url:
        document = assistant.document("check_handler", to=url, only=OLD)
    found = {record["check"]: record for record in document["result"][:-1]}
    assert {slug: record["status"] for slug, record in found.items()} == {"no-signature": "passed", "old": "failed"}
    assert found["old"]["fix"].startswith("Respond with 401 if x-port-timestamp ")
    assert document["result"][-1]["failed"] == 1
    assert document["notes"][0] == "note: the check uses the latest capture with a valid signature, 0123456789ab"
    assert "that does not verify requests starts real work about " in document["notes"][1]
    shown = assistant.result("show_capture", capture=found["old"]["captures"][0])
    assert (shown["replay_of"], shown["handler_response"]["status"]) == ("0123456789ab", 202)
    headers = dict(shown["request"]["headers"])
    assert (headers["x-port-signature"], headers["user-agent"]) == ("***", "port-hook-check/old")


def test_handler_is_checked_with_an_action_and_completed_inputs(assistant: Assistant) -> None:
    (assistant.workspace.runtime.cwd / "scale.json").write_text(json.dumps(ACTION))
    seen: list[Any] = []
    with application(a_handler(seen)) as url:
        (passed, counts) = assistant.result(
            "check_handler", to=url, action="scale.json", inputs={"n": 7}, only=["header-case"]
        )
    assert (passed["status"], counts["passed"]) == ("passed", 1)
    assert {document["payload"]["properties"]["n"] for document in seen} == {7}


def test_unsigned_capture_is_not_used(assistant: Assistant) -> None:
    unsigned = Headers((("x-port-signature", "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
                        ("x-port-timestamp", "1700000000")))  # fmt: skip
    with handler() as target:
        assistant.save(a_capture(an_invocation(headers=unsigned), verdict=Verdict(status=Status.INVALID)))
        named = assistant.error("check_handler", to=target.url, capture="last")
        assistant.result("check_handler", to=target.url, only=["old"])  # with the sample action
        assert all(b'"create_vm"' in request.body for request in target.requests)
        target.requests.clear()
        assistant.save(a_capture(an_invocation(headers=unsigned, id="f" * 12), verdict=Verdict(status=Status.VALID)))
        texts = [
            named,
            *(assistant.error("check_handler", to=target.url, **which) for which in ({"capture": "ffff"}, {})),
        ]
        assert all("is invalid, so no tool signs this request" in text for text in texts)
        assert target.requests == []


def test_capture_is_never_a_file(assistant: Assistant) -> None:
    (assistant.workspace.runtime.cwd / "scale.json").write_text(json.dumps(ACTION))
    assistant.save(a_capture())
    with handler() as target:
        for name in ("scale.json", "-", "/etc/hostname"):
            assert assistant.error("check_handler", to=target.url, capture=name)
        assert "is not a JSON or YAML file" in assistant.error("check_handler", to=target.url, action="/etc/hostname")
        assert target.requests == []


def test_other_machine_is_never_checked_even_if_the_user_allows_it_for_replays(runtime: Callable[..., Runtime]) -> None:
    assistant = Assistant.at(runtime, to="https://staging.example.com/hook")
    assistant.save(a_capture())
    (assistant.workspace.runtime.cwd / "scale.json").write_text(json.dumps(ACTION))
    for arguments in ({}, {"to": "https://staging.example.com/other"}, {"to": "http://192.0.2.1/"}):
        error = assistant.error("check_handler", **arguments)
        assert "is not on this machine" in error
        assert "so nothing was sent." in error
    assistant = Assistant.at(runtime)
    assert "is not on this machine" in assistant.error("check_handler", action="scale.json")


UNUSABLE: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "Missing argument `to`"),
    ({"capture": "last"}, "Missing argument `to`"),
    ({"to": "1", "capture": "last", "action": "scale.json"}, "cannot be combined"),
    ({"to": "1", "inputs": {}}, "need an `action`"),
    ({"to": "1", "only": ["nothing"]}, "Unknown check or group: 'nothing'"),
    ({"to": "1", "within_s": 46}, "within_s"),
    ({"to": "1", "capture": "last"}, "Nothing listens on http://127.0.0.1:1"),
)


def test_unusable_arguments_are_rejected(assistant: Assistant) -> None:
    assistant.save(a_capture())
    for arguments, message in UNUSABLE:
        text = assistant.error("check_handler", **arguments)
        assert message in text
        assert "python app.py" not in text, "no tool starts a command"


def test_check_ends_in_time_when_the_handler_does_not_respond(assistant: Assistant) -> None:
    assistant.save(a_capture())
    began = time.monotonic()
    with handler(delay_s=30) as target:
        records = assistant.result("check_handler", to=target.url, within_s=0.5)
    assert time.monotonic() - began < 25
    assert records[-1]["passed"] == 0
    assert {record["status"] for record in records[:-1]} <= {"failed", "not-observed"}
