"""Tests of the handler. FastAPI's test client finishes background work before it returns the response."""

from __future__ import annotations

from dataclasses import replace
from secrets import token_hex

import pytest
from fastapi.testclient import TestClient
from fastapi_handler import app

from port_hook_cli.pytest_plugin import PortHook, PortRequest, PortSandbox


@pytest.fixture
def client(port_sandbox: PortSandbox, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    for name, value in port_sandbox.environ.items():
        monkeypatch.setenv(name, value)
    return TestClient(app)


def send(client: TestClient, request: PortRequest) -> int:
    response = client.request(request.method, request.path, headers=request.headers, content=request.body)
    return int(response.status_code)


def test_a_vm_is_created(port_hook: PortHook, port_sandbox: PortSandbox, client: TestClient) -> None:
    request = port_hook.request("create_vm.yaml", {"title": "dev-env"})
    assert send(client, request) == 202
    run = port_sandbox.wait_for_end(request.run_id)
    assert run.status == "SUCCESS"
    assert run.summary == "dev-env is up"
    assert run.logs == ("creating dev-env with 2 CPUs",)
    assert run.link == "https://vms.example.com/dev-env"


def test_a_changed_request_is_refused(port_hook: PortHook, client: TestClient) -> None:
    request = port_hook.request("create_vm.yaml", {"title": "dev-env", "cpu": 2})
    assert send(client, replace(request, body=request.body.replace(b'"cpu":2', b'"cpu":64'))) == 401


def test_an_old_request_is_refused(port_hook: PortHook, client: TestClient) -> None:
    headers, body = port_hook.sign({"runId": "r_0123456789abcdef"}, timestamp=1_700_000_000)
    assert client.post("/port/create-vm", headers=headers, content=body).status_code == 401


def test_a_run_that_is_delivered_twice_is_done_once(
    port_hook: PortHook, port_sandbox: PortSandbox, client: TestClient
) -> None:
    request = port_hook.request("create_vm.yaml", {"title": "dev-env"})
    assert [send(client, request), send(client, request)] == [202, 202]
    assert port_sandbox.wait_for_end(request.run_id).logs == ("creating dev-env with 2 CPUs",)


def test_the_run_fails_when_an_input_is_invalid(
    port_hook: PortHook, port_sandbox: PortSandbox, client: TestClient
) -> None:
    # The form refuses such a number, so the test makes the request itself.
    run = port_sandbox.add_run(f"r_{token_hex(8)}")
    headers, body = port_hook.sign({"runId": run.id, "vm": {"title": "dev-env", "cpu": "many"}})
    assert client.post("/port/create-vm", headers=headers, content=body).status_code == 202
    ended = port_sandbox.wait_for_end(run.id)
    assert ended.status == "FAILURE"
    assert ended.summary is not None
    assert ended.summary.startswith("The VM was not created: 1 validation error for Vm\ncpu\n")


@pytest.mark.parametrize("payload", [None, [], {"runId": "r_0123456789abcdef"}, {"runId": 1, "vm": {}}])
def test_a_body_of_another_template_is_refused(port_hook: PortHook, client: TestClient, payload: object) -> None:
    headers, body = port_hook.sign(payload)
    assert client.post("/port/create-vm", headers=headers, content=body).status_code == 422


def test_every_request_is_refused_without_a_secret(
    port_hook: PortHook, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers, body = port_hook.sign({"runId": "r_0123456789abcdef", "vm": {}})
    monkeypatch.delenv("PORT_CLIENT_SECRET")
    assert client.post("/port/create-vm", headers=headers, content=body).status_code == 401
