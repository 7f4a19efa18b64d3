"""Tests of the function, without AWS: they make its event from the request."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from lambda_handler import handler

from port_hook_cli.pytest_plugin import PortHook, PortRequest, PortSandbox, Run

VM = {"identifier": "vm-1", "title": "VM 1", "blueprint": "vm", "properties": {"cpu": 2}, "relations": {}}


@pytest.fixture(autouse=True)
def _credentials(port_sandbox: PortSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in port_sandbox.environ.items():
        monkeypatch.setenv(name, value)


def event(request: PortRequest) -> dict[str, Any]:
    """Return the event that AWS makes of a request (payload format 2.0), with the fields that the function reads."""
    return {
        "version": "2.0",
        "rawPath": request.path,
        "headers": {name.lower(): value for name, value in request.headers.items()},
        "requestContext": {"http": {"method": request.method}},
        "body": base64.b64encode(request.body).decode(),
        "isBase64Encoded": True,
    }


def responded(port_hook: PortHook, request: PortRequest) -> Run:
    response = handler(event(request), None)
    return port_hook.responded(request, response["statusCode"], response["body"])


def test_a_vm_is_resized(port_hook: PortHook) -> None:
    run = responded(port_hook, port_hook.request("resize_vm.yaml", {"cpu": 8}, entity=VM))
    assert run.status == "SUCCESS"
    assert run.response == {"vm": "vm-1", "cpu": 8}
    assert run.logs == ("resizing vm-1 to 8 CPUs",)


def test_the_run_fails_without_a_vm(port_hook: PortHook) -> None:
    run = responded(port_hook, port_hook.request("resize_vm.yaml", {"cpu": 8}))
    assert (run.status, run.summary) == ("FAILURE", "The webhook responded with 422.")


def test_an_unsigned_request_is_rejected(port_hook: PortHook) -> None:
    request = port_hook.request("resize_vm.yaml", {"cpu": 8}, entity=VM)
    assert handler(event(replace(request, headers={})), None)["statusCode"] == 401


def test_a_run_that_is_delivered_twice_is_done_once(port_hook: PortHook) -> None:
    request = port_hook.request("resize_vm.yaml", {"cpu": 8}, entity=VM)
    first, again = handler(event(request), None), responded(port_hook, request)
    assert again.response == json.loads(first["body"])
    assert again.logs == ("resizing vm-1 to 8 CPUs",)


@pytest.mark.parametrize("payload", [None, [], {"runId": "r_0123456789abcdef"}, {"runId": 1, "vm": {}}])
def test_a_body_of_another_template_is_refused(port_hook: PortHook, payload: object) -> None:
    request = port_hook.request("resize_vm.yaml", {"cpu": 8}, entity=VM)
    headers, body = port_hook.sign(payload)
    assert handler(event(replace(request, headers=headers, body=body)), None)["statusCode"] == 422
