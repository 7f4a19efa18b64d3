"""Tests of the handler, with Flask's test client and over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from secrets import token_hex

import pytest
from flask_handler import app
from werkzeug.serving import make_server

from port_hook_cli.pytest_plugin import PortHook, PortSandbox


@pytest.fixture(autouse=True)
def _credentials(port_sandbox: PortSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in port_sandbox.environ.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_vm_is_created(port_hook: PortHook, port_sandbox: PortSandbox) -> None:
    request = port_hook.request("create_vm.yaml", {"title": "dev-env", "cpu": 4})
    response = app.test_client().open(
        request.path, method=request.method, headers=dict(request.headers), data=request.body
    )
    assert response.status_code == 202
    run = port_sandbox.wait_for_end(request.run_id)
    assert (run.status, run.summary) == ("SUCCESS", "dev-env is up")
    assert run.logs == ("creating dev-env with 4 CPUs",)


def test_a_vm_is_created_over_http(port_hook: PortHook, url: str) -> None:
    run = port_hook.invoke("create_vm.yaml", {"title": "dev-env"}, to=url)
    assert run.status == "SUCCESS"
    assert run.handler_response is not None
    assert run.handler_response.json() == {"accepted": run.id}


def test_the_run_fails_when_the_name_is_forbidden(port_hook: PortHook, url: str) -> None:
    run = port_hook.invoke("create_vm.yaml", {"title": "forbidden-name"}, to=url)
    assert run.status == "FAILURE"
    assert run.summary is not None
    assert run.summary.startswith("The VM was not created: it needs a title that is not forbidden")


def test_a_request_of_another_organization_is_refused(port_hook: PortHook) -> None:
    headers, body = port_hook.sign({"runId": "r_0123456789abcdef"}, secret="another")
    assert app.test_client().post("/port/create-vm", headers=headers, data=body).status_code == 401


def test_a_run_that_is_delivered_twice_is_done_once(port_hook: PortHook, port_sandbox: PortSandbox, url: str) -> None:
    run = port_sandbox.add_run(f"r_{token_hex(8)}")
    for seconds in (5, 0):  # the second request has another signature
        payload = {"runId": run.id, "vm": {"title": "dev-env", "cpu": 2}}
        headers, body = port_hook.sign(payload, timestamp=int(time.time()) - seconds)
        assert app.test_client().post("/port/create-vm", headers=headers, data=body).status_code == 202
    port_hook.invoke("create_vm.yaml", {"title": "another"}, to=url)
    assert port_sandbox.wait_for_end(run.id).logs == ("creating dev-env with 2 CPUs",)


def test_a_body_of_another_template_is_refused(port_hook: PortHook) -> None:
    headers, body = port_hook.sign({"runId": "r_0123456789abcdef", "bucket": {}})
    assert app.test_client().post("/port/create-vm", headers=headers, data=body).status_code == 422


def test_every_request_is_refused_without_a_secret(port_hook: PortHook, monkeypatch: pytest.MonkeyPatch) -> None:
    headers, body = port_hook.sign({"runId": "r_0123456789abcdef", "vm": {}})
    monkeypatch.delenv("PORT_CLIENT_SECRET")
    assert app.test_client().post("/port/create-vm", headers=headers, data=body).status_code == 401
