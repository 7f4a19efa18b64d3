"""The Python API of `port_hook_cli`."""

from __future__ import annotations

import asyncio
import json
import math
import re
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from pathlib import Path, PurePath
from typing import Any

import pytest
from hypothesis import strategies as st

import port_hook_cli
from port_hook_cli import UNDEFINED, Status, api, render, sign, verify
from port_hook_cli.actions.samples import create_vm, create_vm_action
from port_hook_cli.api import PortHookError, check, listen, replay, trigger
from port_hook_cli.engines.renderer import shared_renderer
from port_hook_cli.invocations.source import OpenSource, SourceContext
from port_hook_cli.listener import observers
from port_hook_cli.listener.handler_check import connection_problem
from port_hook_cli.listener.policy import Policy
from port_hook_cli.listener.serving import ListenPlan
from port_hook_cli.listener.session import Session, listening
from port_hook_cli.runtime import silent_runtime
from port_hook_cli.text.secret import Secret
from tests import prepared
from tests.check.corpus import HANDLERS, SOURCES
from tests.json_values import json_values
from tests.processes import environment_without_coverage
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import handler
from tests.sockets import free_port

SECRET = "a-secret"
RUN_ID = "r_QOz6WoOB1Q2lmhZZ"
AT = "2026-01-01T00:00:00Z"
OUTPUT: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
JSON = json_values(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text())


def test_sign_does_not_change_bytes_and_serializes_other_payloads_like_port() -> None:
    assert sign(b'{ "a": 1.0 }', SECRET)[1] == b'{ "a": 1.0 }'
    assert sign('{ "a": 1.0 }', SECRET)[1] == b'{"a":1}'
    assert sign({"a": 1.0, "é": [None]}, SECRET)[1] == '{"a":1,"é":[null]}'.encode()


def test_sign_uses_the_timestamp_of_the_caller() -> None:
    headers, body = sign({}, SECRET, timestamp=1_700_000_000)
    assert headers["x-port-timestamp"] == "1700000000"
    assert verify(headers, body, SECRET, now=1_700_000_100.0).status == "valid"
    late = verify(headers, body, SECRET, now=1_700_000_400.0)
    assert (late.status, late.slugs) == ("stale", ("clock-skew",))


def test_verify_accepts_any_kind_of_headers_and_returns_the_cause() -> None:
    headers, body = sign({"a": 1}, SECRET)
    pairs = [(name.upper(), value) for name, value in headers.items()]
    assert verify(pairs, body, SECRET).status is Status.VALID
    message = Message()  # the class of headers in http.server
    for name, value in pairs:
        message[name] = value
    assert verify(message, body, SECRET).status is Status.VALID
    wrong = verify(pairs, body, "another")
    assert (wrong.status, wrong.slugs) == (Status.INVALID, ("secret-or-body",))
    assert wrong.causes[0].fix
    assert verify({}, body, SECRET).status is Status.MISSING


def test_empty_secret_and_payloads_without_json_are_rejected() -> None:
    with pytest.raises(ValueError, match="PORT_CLIENT_SECRET"):
        sign({}, "")
    with pytest.raises(ValueError, match="PORT_CLIENT_SECRET"):
        verify(*sign({}, SECRET), "")


def test_sign_raises_value_error_when_the_payload_is_not_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        sign("{", SECRET)


def test_template_is_rendered_like_in_port() -> None:
    assert render({"cpu": "{{ .inputs.cpu }}", "x": "{{ .nope | empty }}"}, {"inputs": {"cpu": 2}}) == {"cpu": 2}

    assert render("{{ empty }}", {}) is UNDEFINED
    assert render("{{ null }}", {}) is None

    assert render(["{{ infinite }}", {"a": "{{ -infinite }}"}, "x{{ 1e1000 }}"], {}) == [None, {"a": None}, "xnull"]


def test_threads_share_one_jq_process() -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: render("{{ .a }}", {"a": number}), range(100)))
    assert results == list(range(100))
    assert shared_renderer() is shared_renderer()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_forked_process_renders_with_its_own_jq_and_the_parent_continues() -> None:
    program = textwrap.dedent("""
        import os
        from port_hook_cli import render
        assert render("{{ .a }}", {"a": 1}) == 1
        pid = os.fork()
        for number in range(50):
            assert render("{{ .a }}", {"a": (pid, number)}) == [pid, number]
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
            assert render("{{ .a }}", {"a": 2}) == 2
            print("done")
    """)
    done = prepared.run([sys.executable, "-c", program], timeout=60, **OUTPUT)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_every_name_of_the_api_is_on_its_page_and_others_raise_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nope"):
        port_hook_cli.__getattr__("nope")
    page = (Path(__file__).parents[1] / "docs" / "reference" / "python.md").read_text("utf-8")
    assert [name for name in api.__all__ if not re.search(rf"\b{name}\b", page)] == []


async def test_triggered_request_is_received_verified_and_replayed_with_changes(tmp_path: Path) -> None:
    store = tmp_path / "captures.db"
    async with listen(secret=SECRET, store=store) as listener:
        sent = await trigger(create_vm_action(), {"title": "a"}, to=listener.url, secret=SECRET)
        received = await listener.next(20)
        changes = {"payload.properties.title": "b"}
        again = await replay(to=listener.url, changes=changes, secret=SECRET, store=store)
        changed = await listener.next(20)
    with handler() as receiver:
        saved = await replay(again.run_id or "", to=receiver.url, secret=SECRET, store=store)
    assert (sent.delivery.status, received.verdict.status, received.payload.run_id) == (200, "valid", sent.run_id)
    assert received.invocation.body == sent.body
    for request in (received.invocation, changed.invocation):
        assert verify(request.headers, request.body, SECRET).status is Status.VALID
    headers = received.invocation.headers
    assert (headers["Content-Type"], "X-PORT-signature" in headers, "x-nope" in headers, len(headers)) == (
        "application/json",
        True,
        False,
        len(list(headers)),
    )
    with pytest.raises(KeyError, match="x-nope"):
        headers["x-nope"]
    assert (again.delivery.ok, again.run_id, again.capture) == (True, sent.run_id, "")
    assert (saved.delivery.ok, len(saved.capture), saved.body) == (True, 12, sent.body)
    assert changed.verdict.status == "valid"
    assert json.loads(changed.invocation.body)["payload"]["properties"]["title"] == "b"


async def test_listener_forwards_to_a_handler_and_rejects_another_secret(tmp_path: Path) -> None:
    with handler() as receiver:
        async with listen(forward_to=receiver.port, secret=SECRET, store=tmp_path / "captures.db") as listener:
            accepted = await trigger(create_vm_action(), {"title": "a"}, to=listener.url, secret=SECRET)
            rejected = await trigger(create_vm_action(), {"title": "a"}, to=listener.url, secret="another")
            verdicts = [(await listener.next(20)).verdict.status for _ in range(2)]
            with pytest.raises(TimeoutError):
                await listener.next(0.01)
    assert (accepted.delivery.status, rejected.delivery.status) == (200, 401)
    assert verdicts == [Status.VALID, Status.INVALID]
    assert len(receiver.requests) == 1


async def test_trigger_raises_port_hook_errors_and_returns_failed_deliveries() -> None:
    with handler() as gone:
        port = gone.port
    sent = await trigger(create_vm_action(), {"title": "a"}, to=port, secret=SECRET)
    assert (sent.delivery.status, sent.delivery.fault) == (None, "unreachable")
    with pytest.raises(PortHookError, match="title is required") as refused:
        await trigger(create_vm_action(), to=port, secret=SECRET)
    assert refused.value.code == "usage"
    with pytest.raises(PortHookError, match="which is not on this machine"):
        await trigger(create_vm_action(), {"title": "a"}, secret=SECRET)


async def test_automation_not_matching_the_event_is_an_error() -> None:
    condition = {"type": "JQ", "expressions": [".diff.after.n > 1"]}
    automation = {
        "identifier": "tell",
        "trigger": {"type": "automation", "event": {"type": "ENTITY_UPDATED"}, "condition": condition},
        "invocationMethod": {"type": "WEBHOOK", "url": "http://127.0.0.1:1"},
    }
    with pytest.raises(PortHookError, match=r"does not run for this event: .diff.after.n > 1 is false"):
        await trigger(automation, event={"diff": {"after": {"n": 1}}}, secret=SECRET)


async def test_replay_needs_a_target_and_changes_only_newly_signed_requests(tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_text("{}")
    with pytest.raises(PortHookError, match="was not forwarded to a handler on this machine"):
        await replay(str(tmp_path / "payload.json"), secret=SECRET)
    with pytest.raises(PortHookError, match="sends the captured body unchanged"):
        await replay("last", changes={"a": 1}, as_captured=True)


async def calls(name: str, arguments: dict[str, Any]) -> None:
    """Call a coroutine of the API by name, or open and close `listen`, without reaching anything."""
    if name == "listen":
        async with listen(**{"secret": SECRET, **arguments}):
            return
    required: dict[str, dict[str, Any]] = {
        "trigger": {"action": create_vm_action(), "inputs": {"title": "a"}, "to": 1, "secret": SECRET},
        "replay": {"source": "payload.json", "to": 1, "secret": SECRET},
        "report_run": {"run_id": RUN_ID},
        "check": {"source": {}, "to": 1, "secret": SECRET},
    }
    await getattr(api, name)(**{**required[name], **arguments})


INVALID: list[tuple[str, dict[str, Any]]] = [
    *(("trigger", {name: 5}) for name in ("action", "inputs", "entity", "secrets", "secret", "run_id")),
    *(("trigger", {name: {"a": object()}}) for name in ("event", "by")),
    ("trigger", {"action": {**create_vm_action(), "title": object()}}),
    ("trigger", {"entity": []}),
    ("trigger", {"secrets": {"a": 5}}),
    *(("trigger", {"to": to}) for to in (0, 65536, True, 1.5, b"", "x:70000")),
    *(("trigger", {"timeout_s": seconds}) for seconds in (-1, math.nan, math.inf, 10**400, "1")),
    *(("check", {name: 5}) for name in ("source", "inputs", "secret", "store")),
    *(("check", {"source": source}) for source in ({"a": object()}, "\0")),
    ("check", {"within_s": math.nan}),
    *(("replay", {name: 5}) for name in ("source", "changes", "secret")),
    *(("replay", {name: value}) for name, value in (("to", -1), ("timeout_s", -1), ("source", "\ud800"))),
    ("replay", {"changes": {"a": object()}}),
    *((name, {"store": f"a{char}b"}) for name, char in (("replay", "\0"), ("listen", "\ud800"))),
    *((name, {"secret": ""}) for name in ("trigger", "replay", "listen", "check")),
    *(("report_run", {name: 5}) for name in ("run_id", "org", "label", "output")),
    ("report_run", {"output": {"a": object()}}),
    *(("listen", {"port": port}) for port in (-1, 65536, True, "80", None)),
    *(("listen", {"forward_to": to}) for to in (0, 65536, True)),
    *(("listen", {name: value}) for name, value in (("store", 5), ("secret", 5), ("forward_timeout_s", math.nan))),
]


@pytest.mark.parametrize("name", ["trigger", "replay", "report_run", "check", "listen"])
async def test_invalid_value_is_a_usage_error_with_the_argument(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (arguments for called, arguments in INVALID if called == name):
        given = {"status": "success", **arguments} if name == "report_run" else arguments
        with pytest.raises(PortHookError, match=f"`{next(iter(arguments))}") as refused:
            await calls(name, given)
        assert refused.value.code == "usage"
        assert len(refused.value.message) < 300


async def test_run_id_is_checked_like_on_the_command_line() -> None:
    with pytest.raises(PortHookError, match="run ID"):
        await calls("trigger", {"run_id": "r_a b"})


@pytest.mark.parametrize(
    ("name", "arguments", "error", "message"),
    [
        ("trigger", {"entitty": {}}, TypeError, "unknown arguments: entitty (known: entity, event, by"),
        ("report_run", {"link": "x", "log": "y"}, TypeError, "unknown arguments: link, log (known: status, label"),
        ("check", {"onli": ["old"]}, TypeError, "unknown arguments: onli (known: only, skip, within_s"),
        ("check", {"only": "old"}, TypeError, "`only` must be an iterable of strings, not str"),
        ("check", {"command": "python app.py"}, TypeError, "`command` must be an iterable of strings, not str"),
        ("check", {"only": ["nothing"]}, PortHookError, "Unknown check or group: 'nothing'"),
        ("check", {"only": ["old"], "skip": ["signature"]}, PortHookError, "exclude all checks"),
        ("check", {"to": None}, PortHookError, "The handler to check is unknown."),
        ("check", {"to": "http://192.0.2.1/"}, PortHookError, "is not on this machine"),
        ("check", {}, PortHookError, "Nothing listens on http://127.0.0.1:1"),
        ("report_run", {"logs": "done"}, TypeError, "`logs` must be an iterable of strings, not str"),
        ("report_run", {"logs": ["a", b"b"]}, TypeError, "`logs` must contain only strings, not bytes"),
        ("report_run", {"status": "done"}, ValueError, "must be success, failure, failed or cancelled, not 'done'"),
    ],
)
async def test_call_error_lists_known_arguments(
    name: str, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        await calls(name, arguments)


async def test_handler_is_checked_with_a_payload_and_the_requests_of_findings_are_saved(tmp_path: Path) -> None:
    store = tmp_path / "new" / "captures.db"
    with handler() as careless:
        report = await check(
            create_vm(RUN_ID, at=AT), to=careless.port, only=["no-signature"], secret=SECRET, store=store
        )
        (finding,) = report.findings
        again = await replay(finding.captures[0], to=careless.port, secret=SECRET, store=store)
    assert repr(report) == "<CheckReport 1 failed (no-signature)>"
    assert repr(finding).startswith("<CheckFinding no-signature failed: a request without a signature got 200")
    assert not report.ok()
    assert again.delivery.status == 200


async def test_handler_is_started_and_its_reports_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    port = free_port()
    command = [sys.executable, str(HANDLERS / "std.py"), str(port), "none"]
    action = SOURCES / "create_vm.yaml"
    report = await check(action, {"title": "a"}, to=port, command=command, only=["old", "terminal"])
    assert [(each.check.slug, str(each.status)) for each in report.findings] == [
        ("old", "passed"),
        ("terminal", "passed"),
    ]
    assert not (tmp_path / ".port-hook").exists(), "without a store, nothing is saved"
    assert await connection_problem("127.0.0.1", port), "the handler has ended"


async def test_notes_equal_the_command_line_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORT_CLIENT_SECRET", raising=False)
    (tmp_path / ".env").write_text(f"PORT_CLIENT_SECRET={SECRET}\n")
    (tmp_path / "payload.json").write_text("{}")
    with handler() as receiver:
        sent = await trigger(create_vm_action(), {"title": "a"}, to=receiver.port)
        again = await replay(PurePath("payload.json"), to=receiver.port, store="captures.db")
    assert [each.notes[0] for each in (sent, again)] == ["client secret from ./.env"] * 2


async def test_unread_captures_are_discarded_beyond_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observers, "MAX_UNREAD", 3)
    monkeypatch.setattr(observers, "MAX_UNREAD_BYTES", 4_000)
    async with listen(secret=SECRET, store=str(tmp_path / "captures.db")) as listener:
        long = "x" * 5_000
        for titles, left in (("abcde", ["c", "d", "e"]), (["f", long], [long])):
            for title in titles:
                await trigger(create_vm_action(), {"title": title}, to=listener.url, secret=SECRET)
            assert [(await listener.next(20)).payload.inputs["title"] for _ in left] == left
        with pytest.raises(TimeoutError):
            await listener.next(0.01)
        with pytest.raises(PortHookError, match="`timeout_s`"):
            await listener.next(math.nan)


async def never_opens(_: SourceContext) -> Any:
    await asyncio.Event().wait()


@pytest.mark.parametrize("sources", [[never_opens], []], ids=["while it opens", "while it waits"])
async def test_canceled_listener_does_not_leave_a_task(sources: list[OpenSource], tmp_path: Path) -> None:
    plan = ListenPlan(policy=Policy(secret=Secret(SECRET)), port=0, store=tmp_path / "captures.db")
    before = asyncio.all_tasks()

    async def run() -> None:
        async with listening(Session(plan=plan, sources=sources), silent_runtime(), [], asyncio.Event()) as running:
            await running.wait()

    task = asyncio.create_task(run())
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before


async def test_run_is_reported_with_the_settings_of_the_process() -> None:
    program = textwrap.dedent("""
        import asyncio
        from port_hook_cli.api import PortHookError, report_run
        run_id = "r_QOz6WoOB1Q2lmhZZ"
        print(asyncio.run(report_run(run_id, status="success", logs=["done"])))
        try:
            asyncio.run(report_run(run_id, summary="late"))
        except PortHookError as problem:
            print(problem.code)
        try:
            asyncio.run(report_run(run_id))
        except PortHookError as problem:
            print(problem.message)
    """)
    with a_sandbox() as sandbox:
        environ = {**environment_without_coverage(), **environ_of(sandbox)}
        command = [sys.executable, "-c", program]
        done = await asyncio.to_thread(prepared.run, command, env=environ, timeout=60, **OUTPUT)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "Reported(run_id='r_QOz6WoOB1Q2lmhZZ', logs_sent=1, fields=(), status='SUCCESS')",
        "run-ended",
        "The report is empty.",
    ]
