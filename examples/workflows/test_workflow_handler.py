"""Tests of the handler: the whole workflow, and one of its nodes."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from secrets import token_hex

import pytest
from workflow_handler import Server, Webhook

from port_hook_cli.pytest_plugin import PortHook, PortSandbox

SECRETS = {"HOOK": "made-up"}


@pytest.fixture
def url(port_sandbox: PortSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in port_sandbox.environ.items():
        monkeypatch.setenv(name, value)
    with Server(("127.0.0.1", 0), Webhook) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def post(url: str, headers: dict[str, str], body: bytes) -> int:
    """Send a request and return the status of the response."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_service_is_deployed(port_hook: PortHook, url: str) -> None:
    run = port_hook.run_workflow("deploy_service.json", {"service": "billing"}, to=url, secrets=SECRETS)
    assert run.result == "SUCCESS"
    assert list(run.nodes) == ["trigger", "check", "is_ready", "deploy"]
    assert run.nodes["check"].output == {"response": {"status": 200, "data": {"ready": True, "build": 7}}}
    assert run.nodes["is_ready"].outlet == "ready"
    deploy = run.nodes["deploy"]
    assert (deploy.result, deploy.output, deploy.logs) == ("SUCCESS", {"runId": "42"}, ("deploying billing",))


def test_a_build_that_is_not_ready_is_not_deployed(port_hook: PortHook, url: str) -> None:
    inputs = {"service": "billing", "version": "0.0"}
    run = port_hook.run_workflow("deploy_service.json", inputs, to=url, secrets=SECRETS)
    assert (run.result, "deploy" in run.nodes) == ("SUCCESS", False)


def test_a_failed_deployment_fails_the_run(port_hook: PortHook, url: str) -> None:
    run = port_hook.run_workflow("deploy_service.json", {"service": "forbidden"}, to=url, secrets=SECRETS)
    assert (run.result, run.nodes["deploy"].result) == ("FAILED", "FAILED")


def test_one_node_is_invoked(port_hook: PortHook, url: str) -> None:
    check = port_hook.invoke("deploy_service.json#check", {"service": "billing"}, to=url, secrets=SECRETS)
    assert (check.result, check.response) == ("SUCCESS", {"ready": True, "build": 7})


def test_a_node_that_is_delivered_twice_is_deployed_once(
    port_hook: PortHook, port_sandbox: PortSandbox, url: str
) -> None:
    node_run = port_sandbox.add_run(f"wfnr_{token_hex(8)}")
    headers, body = port_hook.sign({"nodeRunId": node_run.id, "service": "billing"})
    assert [post(url, headers, body) for _ in range(2)] == [202, 202]
    port_hook.run_workflow("deploy_service.json", {"service": "cart"}, to=url, secrets=SECRETS)
    assert port_sandbox.wait_for_end(node_run.id).logs == ("deploying billing",)


@pytest.mark.parametrize("payload", [None, [], {"service": "billing"}, {"nodeRunId": 1}])
def test_a_body_of_another_node_is_refused(port_hook: PortHook, url: str, payload: object) -> None:
    assert post(url, *port_hook.sign(payload)) == 422
