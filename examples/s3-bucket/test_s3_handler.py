"""Tests of the handler against a local AWS: moto's server."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from s3_handler import app
from werkzeug.serving import make_server

from port_hook_cli.pytest_plugin import PortHook, PortSandbox


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def _environment(port_sandbox: PortSandbox, aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)  # the tests never use a real account
    local = {"ENDPOINT_URL_S3": aws, "ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "CONFIG_FILE": os.devnull}
    variables = {**port_sandbox.environ, **{f"AWS_{name}": value for name, value in local.items()}}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3() -> Any:
    return boto3.client("s3", region_name="us-east-1")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_bucket_is_created(port_hook: PortHook, port_sandbox: PortSandbox, url: str, s3: Any) -> None:
    run = port_hook.invoke("action.json", {"name": "invoices", "region": "eu-west-1"}, to=url)
    assert (run.status, run.summary) == ("SUCCESS", "The bucket invoices is ready.")
    assert run.link == "https://eu-west-1.console.aws.amazon.com/s3/buckets/invoices"
    assert run.logs == ("Creating the bucket invoices in eu-west-1.", "Created arn:aws:s3:::invoices.")
    assert s3.get_bucket_location(Bucket="invoices")["LocationConstraint"] == "eu-west-1"
    assert s3.get_bucket_versioning(Bucket="invoices")["Status"] == "Enabled"
    properties = port_sandbox.entities["s3_bucket", "invoices"]["properties"]
    assert (properties["arn"], properties["versioning"]) == ("arn:aws:s3:::invoices", True)
    blueprint = json.loads(Path(__file__).with_name("blueprint.json").read_bytes())
    assert properties.keys() == blueprint["schema"]["properties"].keys()
    assert len(run.entities) == 1  # the entity belongs to the run


def test_a_bucket_is_created_in_the_default_region_of_s3_without_versioning(
    port_hook: PortHook, url: str, s3: Any
) -> None:
    inputs = {"name": "logs", "region": "us-east-1", "versioning": False}
    assert port_hook.invoke("action.json", inputs, to=url).status == "SUCCESS"
    assert s3.get_bucket_location(Bucket="logs")["LocationConstraint"] is None
    assert "Status" not in s3.get_bucket_versioning(Bucket="logs")


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1"])
def test_the_run_fails_when_the_name_is_taken(
    port_hook: PortHook, port_sandbox: PortSandbox, url: str, region: str
) -> None:
    inputs = {"name": f"taken-{region}", "region": region}
    assert port_hook.invoke("action.json", inputs, to=url).status == "SUCCESS"
    run = port_hook.invoke("action.json", {**inputs, "versioning": False}, to=url)
    assert run.status == "FAILURE"
    assert run.summary == f"The name taken-{region} is taken: it must be unique in all of AWS. Choose another name."
    assert port_sandbox.entities["s3_bucket", f"taken-{region}"]["properties"]["versioning"] is True


@pytest.mark.parametrize("name", ["ab", "my bucket"])
def test_the_run_fails_when_the_name_is_not_valid(port_hook: PortHook, port_sandbox: PortSandbox, name: str) -> None:
    # The form refuses such a name, so the test makes the request itself.
    run = port_sandbox.add_run(f"r_{token_hex(8)}", action="create_s3_bucket")
    bucket = {"name": name, "region": "eu-west-1", "versioning": True}
    headers, body = port_hook.sign({"runId": run.id, "bucket": bucket})
    assert app.test_client().post("/port/create-s3-bucket", headers=headers, data=body).status_code == 202
    ended = port_sandbox.wait_for_end(run.id)
    assert ended.status == "FAILURE"
    assert ended.summary is not None
    assert ended.summary.startswith(f"The name {name} is not valid. A name has 3 to 63 lowercase letters")


def test_the_run_fails_when_aws_does_not_respond(
    port_hook: PortHook, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    run = port_hook.invoke("action.json", {"name": "orders"}, to=url)
    assert run.status == "FAILURE"
    assert run.summary is not None
    assert run.summary.startswith("The bucket orders is not ready. Could not connect to the endpoint URL")


def test_a_changed_request_is_refused(port_hook: PortHook) -> None:
    request = port_hook.request("action.json", {"name": "invoices"})
    changed = replace(request, body=request.body.replace(b'"invoices"', b'"payroll"'))
    response = app.test_client().post(request.path, headers=dict(request.headers), data=changed.body)
    assert response.status_code == 401


def test_an_old_request_is_refused(port_hook: PortHook) -> None:
    headers, body = port_hook.sign({"runId": "r_0123456789abcdef"}, timestamp=1_700_000_000)
    assert app.test_client().post("/port/create-s3-bucket", headers=headers, data=body).status_code == 401


def test_a_body_of_another_template_is_refused(port_hook: PortHook) -> None:
    headers, body = port_hook.sign({"runId": "r_0123456789abcdef", "vm": {"cpu": 2}})
    assert app.test_client().post("/port/create-s3-bucket", headers=headers, data=body).status_code == 422


def test_the_run_fails_when_an_input_is_missing(port_hook: PortHook, port_sandbox: PortSandbox) -> None:
    run = port_sandbox.add_run(f"r_{token_hex(8)}", action="create_s3_bucket")
    headers, body = port_hook.sign({"runId": run.id, "bucket": {"name": "invoices"}})
    assert app.test_client().post("/port/create-s3-bucket", headers=headers, data=body).status_code == 202
    ended = port_sandbox.wait_for_end(run.id)
    assert ended.status == "FAILURE"
    assert ended.summary is not None
    assert ended.summary.startswith("The bucket invoices is not ready. Bucket.__init__() missing 2 required")


def test_a_run_that_is_delivered_twice_is_done_once(port_hook: PortHook, port_sandbox: PortSandbox, url: str) -> None:
    request = port_hook.request("action.json", {"name": "twice"})
    client = app.test_client()
    responses = [client.post(request.path, headers=dict(request.headers), data=request.body) for _ in range(2)]
    assert [response.status_code for response in responses] == [202, 202]
    port_hook.invoke("action.json", {"name": "another"}, to=url)
    run = port_sandbox.wait_for_end(request.run_id)
    assert (run.status, len(run.logs)) == ("SUCCESS", 2)
