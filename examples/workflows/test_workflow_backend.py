"""Tests of the backend: the whole workflow, and one of its nodes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest
from workflow_backend import Webhook

from port_hook_cli.pytest_plugin import PortHook, PortSandbox

SECRETS = {"HOOK": "made-up"}


@pytest.fixture
def url(port_sandbox: PortSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in port_sandbox.environ.items():
        monkeypatch.setenv(name, value)
    with ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


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
