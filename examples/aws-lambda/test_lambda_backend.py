"""The function's tests: no AWS, the event is made of the request."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from lambda_backend import handler

from port_hook_cli.pytest_plugin import PortHook, PortRequest, PortSandbox, Run

VM = {"identifier": "vm-1", "title": "VM 1", "blueprint": "vm", "properties": {"cpu": 2}, "relations": {}}


@pytest.fixture(autouse=True)
def _credentials(port_sandbox: PortSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in port_sandbox.environ.items():
        monkeypatch.setenv(name, value)


def event(request: PortRequest) -> dict[str, Any]:
    """Return what AWS makes of a request (payload format 2.0); of its fields, those that the function reads."""
    return {
        "version": "2.0",
        "rawPath": request.path,
        "headers": {name.lower(): value for name, value in request.headers.items()},
        "requestContext": {"http": {"method": request.method}},
        "body": base64.b64encode(request.body).decode(),
        "isBase64Encoded": True,
    }


def answered(port_hook: PortHook, request: PortRequest) -> Run:
    answer = handler(event(request), None)
    return port_hook.answered(request, answer["statusCode"], answer["body"])


def test_a_vm_is_resized(port_hook: PortHook) -> None:
    run = answered(port_hook, port_hook.request("resize_vm.yaml", {"cpu": 8}, entity=VM))
    assert run.status == "SUCCESS"
    assert run.response == {"vm": "vm-1", "cpu": 8}
    assert run.logs == ("resizing vm-1 to 8 CPUs",)


def test_without_a_vm_the_run_fails(port_hook: PortHook) -> None:
    run = answered(port_hook, port_hook.request("resize_vm.yaml", {"cpu": 8}))
    assert (run.status, run.summary) == ("FAILURE", "The webhook responded with 422.")


def test_what_was_not_signed_is_refused(port_hook: PortHook) -> None:
    request = port_hook.request("resize_vm.yaml", {"cpu": 8}, entity=VM)
    assert handler(event(replace(request, headers={})), None)["statusCode"] == 401
