"""`port_hook.check` and `port_hook_check`: what a test of a handler sees of the checks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from port_hook_cli.actions.samples import create_vm
from port_hook_cli.errors import TargetError, UsageError
from port_hook_cli.pytest_plugin import (
    HandlerCheckFailed,
    HandlerCheckWarning,
    PortHook,
    PortHookCheck,
    PortSandbox,
)
from port_hook_cli.text.secret import Secret
from tests.port_clients import authorized
from tests.servers import application, handler, status_of

SCALE: dict[str, Any] = {
    "identifier": "scale",
    "trigger": {"type": "self-service", "operation": "CREATE", "userInputs": {"properties": {"n": {"type": "number"}}}},
    "invocationMethod": {"type": "WEBHOOK", "url": "<WEBHOOK_URL>", "method": "PUT"},
}


def a_handler(
    environ: Mapping[str, str],
    *,
    tolerance_s: float = 300,
    reports: bool = True,
    remembers: bool = True,
    seen: list[Any] | None = None,
) -> web.Application:
    """Return a handler that verifies requests and `reports` each run, once if it `remembers` runs."""
    runs = set[str]()

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        if status_of(request, body, Secret(environ["PORT_CLIENT_SECRET"]), tolerance_s=tolerance_s) != "valid":
            return web.json_response({"error": "the signature is wrong"}, status=401)
        document = json.loads(body)
        run_id = document["context"]["runId"]
        if seen is not None:
            seen.append((request.method, document))
        if reports and not (remembers and run_id in runs):
            runs.add(run_id)
            await asyncio.to_thread(report, environ, run_id)
        return web.json_response({}, status=202)

    app = web.Application(client_max_size=2_000_000)
    app.router.add_route("*", "/{path:.*}", take)
    return app


def report(environ: Mapping[str, str], run_id: str) -> None:
    with authorized(environ) as port:
        port.patch(f"/v1/actions/runs/{run_id}", json={"status": "SUCCESS"})


@pytest.fixture
def url(port_sandbox: PortSandbox) -> Iterator[str]:
    with application(a_handler(port_sandbox.environ)) as at:
        yield at


@pytest.mark.parametrize("port_hook_check", ["old", "header-case", "terminal", "same-delivery"], indirect=True)
def test_single_check_passes_for_a_correct_handler(port_hook_check: PortHookCheck, url: str) -> None:
    assert str(port_hook_check(url).status) == "passed"


def test_failed_check_is_an_error_with_its_fix_and_requests(port_hook: PortHook, port_sandbox: PortSandbox) -> None:
    with (
        application(a_handler(port_sandbox.environ, tolerance_s=1e9)) as at,
        pytest.raises(HandlerCheckFailed) as caught,
    ):
        port_hook.check(at, only=["old", "prefix"])
    lines = str(caught.value).splitlines()
    assert lines[:2] == ["1 of 2 checks failed.", "old: The handler accepts an old timestamp."]
    assert lines[2].startswith("  seen      a request signed 10 minutes ago got 202 Accepted")
    assert lines[4].startswith("  fix       Respond with 401 if x-port-timestamp ")
    assert lines[5].startswith(f"  request   POST {at}/ (")
    assert lines[6].startswith("  responded 202 in ")
    assert {each.check.slug: str(each.status) for each in caught.value.report.findings} == {
        "prefix": "passed",
        "old": "failed",
    }
    assert port_sandbox.client_secret not in str(caught.value)


def test_secret_of_the_action_is_not_in_the_message(port_hook: PortHook, tmp_path: Path) -> None:
    method = {
        "type": "WEBHOOK",
        "url": "https://example.com/{{ .secrets.TOKEN }}",
        "body": {"t": "{{ .secrets.TOKEN }}"},
    }
    (tmp_path / "action.json").write_text(json.dumps({**SCALE, "invocationMethod": method}), "utf-8")
    gone = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
    with handler(gone) as other, pytest.raises(HandlerCheckFailed) as caught:
        port_hook.check(other.port, tmp_path / "action.json", secrets={"TOKEN": "t0k3n-0f-th3-0rg"}, only="valid")
    assert f"POST http://127.0.0.1:{other.port}/***" in str(caught.value)
    assert b"t0k3n-0f-th3-0rg" in other.requests[0].head
    assert "t0k3n" not in str(caught.value)


def test_warning_warns_at_the_line_of_the_test_and_fails_a_strict_check(
    port_hook: PortHook, port_sandbox: PortSandbox
) -> None:
    with application(a_handler(port_sandbox.environ, remembers=False)) as at:
        with pytest.warns(HandlerCheckWarning, match="same-run: the handler does its work twice") as warned:
            result = port_hook.check(at, only="same-run")
        with pytest.raises(HandlerCheckFailed, match="same-run: The handler does its work twice"):
            port_hook.check(at, only="same-run", strict=True)
    assert warned[0].filename == __file__
    assert (result.ok(), result.ok(strict=True)) == (True, False)


def test_unobserved_check_skips_the_test(port_hook: PortHook, url: str) -> None:
    with pytest.raises(pytest.skip.Exception, match="not observed: it applies only to synchronous actions"):
        port_hook.check(url, only="sync-status")


def test_handler_that_rejects_a_valid_request_fails_with_the_reason(port_hook: PortHook, url: str) -> None:
    with pytest.raises(HandlerCheckFailed, match=r"and \d\d wrong ways to sign it\.\n(?s:.)*client secret"):
        port_hook.check(url, only=["terminal"], secret="another")


def test_handler_with_its_own_secret_is_checked_without_the_sandbox(port_hook: PortHook) -> None:
    with application(a_handler({"PORT_CLIENT_SECRET": "own"}, reports=False)) as at:
        result = port_hook.check(at, only=["no-signature", "terminal"], secret="own")
    assert [each.seen for each in result.findings] == [
        "401 Unauthorized",
        "no sandbox shows what the handler reports",
    ]


@pytest.mark.parametrize("kind", ["file", "identifier", "mapping"])
def test_action_is_checked_with_inputs_of_the_test(
    port_hook: PortHook, port_sandbox: PortSandbox, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "scale.json"
    file.write_text(json.dumps(SCALE))
    if kind == "identifier":
        port_sandbox.add_action(SCALE)
    source: Any = {"file": file, "identifier": "scale", "mapping": SCALE}[kind]
    seen: list[Any] = []
    with application(a_handler(port_sandbox.environ, seen=seen)) as at:
        port_hook.check(at, source, {"n": 7}, only="header-case")
    assert {(method, document["payload"]["properties"]["n"]) for method, document in seen} == {("PUT", 7)}


@pytest.mark.parametrize("as_bytes", [True, False])
def test_payload_is_checked_as_a_new_run(port_hook: PortHook, port_sandbox: PortSandbox, as_bytes: bool) -> None:
    payload = create_vm("r_AAAAAAAAAAAAAAAA", at="2026-01-01T00:00:00Z")
    seen: list[Any] = []
    with application(a_handler(port_sandbox.environ, seen=seen)) as at:
        port_hook.check(at, json.dumps(payload).encode() if as_bytes else payload, only="header-case")
    assert {document["payload"]["properties"]["title"] for _, document in seen} == {
        payload["payload"]["properties"]["title"]
    }
    runs = [document["context"]["runId"] for _, document in seen]
    assert len(set(runs)) == len(runs) > 1
    assert "r_AAAAAAAAAAAAAAAA" not in runs


def test_payload_is_sent_with_the_method_of_the_handler(port_hook: PortHook) -> None:
    with handler() as target:
        port_hook.check(target.url, {"runId": "r_AAAAAAAAAAAAAAAA"}, only="header-case", method="PUT")
    assert {request.line for request in target.requests} == {"PUT / HTTP/1.1"}


def test_node_of_a_workflow_is_checked(port_hook: PortHook, port_sandbox: PortSandbox) -> None:
    file = Path(__file__).parents[2] / "examples" / "workflows" / "deploy_service.json"
    with handler() as target:
        port_hook.check(target.url, f"{file}#deploy", {"service": "billing"}, only="header-case")
    assert {request.line for request in target.requests} == {"POST /deploy HTTP/1.1"}


async def test_handler_in_the_loop_of_the_test_is_checked(
    port_hook: PortHook, port_sandbox: PortSandbox, aiohttp_server_url: str
) -> None:
    result = await port_hook.acheck(aiohttp_server_url, only=["old", "header-case"])
    assert [str(each.status) for each in result.findings] == ["passed", "passed"]
    with pytest.raises(pytest.skip.Exception, match="The test blocked its own event loop"):
        port_hook.check(aiohttp_server_url, only="old", within_s=0.1)
    with pytest.raises(HandlerCheckFailed, match="valid: The check valid has no result") as caught:
        port_hook.check(aiohttp_server_url, only="valid", within_s=0.1)
    assert "The test blocked its own event loop" in caught.value.__notes__[0]


@pytest.fixture
async def aiohttp_server_url(port_sandbox: PortSandbox) -> Any:
    runner = web.AppRunner(a_handler(port_sandbox.environ))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"to": 1}, TargetError, "Nothing listens on .*: port 1 refuses connections"),
        ({"to": "http://192.0.2.1/"}, UsageError, "is not on this machine"),
        ({"to": 1, "only": "nothing"}, UsageError, "Unknown check or group: 'nothing'"),
        ({"to": 1, "source": "nothing"}, UsageError, "The sandbox has no action nothing. Its actions are: create_vm"),
        ({"to": 1, "source": "nothing.yaml"}, UsageError, "File not found"),
        ({"to": 1, "onyl": "old"}, TypeError, r"unknown arguments: onyl \(known: "),
    ],
)
def test_mistake_in_a_call_is_an_error_of_the_test(
    port_hook: PortHook, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        port_hook.check(**arguments)
