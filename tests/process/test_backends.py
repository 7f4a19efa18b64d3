"""Backends of the kind that Port publishes do their work against `port-hook sandbox`, given its credentials and URL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from port_hook_cli.actions.samples import create_vm_action
from tests.conftest import Run
from tests.processes import environment

BACKEND = Path(__file__).parents[1] / "standins" / "python_backend.py"


class Records:
    """A running `port-hook sandbox --json`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.ready = self.record()

    def record(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read().decode() if self.process.stderr else ""
        record: dict[str, Any] = json.loads(line)
        return record

    def until(self, beginning: str) -> list[dict[str, Any]]:
        """Read up to the step of a run that begins so."""
        records = [self.record()]
        while records[-1]["type"] != "run" or not records[-1]["note"].startswith(beginning):
            records.append(self.record())
        return records

    def client(self) -> httpx.Client:
        body = {"clientId": self.ready["client_id"], "clientSecret": self.ready["client_secret"]}
        answer = httpx.post(f"{self.ready['url']}/v1/auth/access_token", json=body).json()
        token = {"authorization": f"Bearer {answer['accessToken']}"}
        return httpx.Client(base_url=self.ready["url"], headers=token)


@contextmanager
def a_sandbox_process(folder: Path, *options: str) -> Iterator[Records]:
    process = subprocess.Popen(
        [sys.executable, "-m", "port_hook_cli", "sandbox", "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(folder),
        cwd=folder,
    )
    try:
        yield Records(process)
    finally:
        process.kill()
        process.communicate()


@contextmanager
def a_backend(pattern: str, ready: Mapping[str, Any], api_url: str) -> Iterator[str]:
    credentials = {"PORT_CLIENT_ID": ready["client_id"], "PORT_CLIENT_SECRET": ready["client_secret"]}
    process = subprocess.Popen(
        [sys.executable, str(BACKEND), pattern],
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **credentials, "PORT_API_URL": api_url},
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def point(client: httpx.Client, url: str, **method: Any) -> None:
    """Point the sample action at `url`, as its owner does in Port."""
    action = create_vm_action()
    action["invocationMethod"] |= {"url": url, **method}
    assert client.put("/v1/actions/create_vm", json=action).status_code == 200


def start(client: httpx.Client, **inputs: Any) -> str:
    answer = client.post("/v1/actions/create_vm/runs", json={"properties": inputs})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["run"]["id"])


@pytest.mark.parametrize("suffix", ["/v1", ""])
def test_a_backend_with_the_older_payload_creates_its_entity_and_ends_its_run(tmp_path: Path, suffix: str) -> None:
    with (
        a_sandbox_process(tmp_path, "--timestamp-unit", "ms") as sandbox,
        a_backend("bucket", sandbox.ready, sandbox.ready["url"] + suffix) as url,
        sandbox.client() as client,
    ):
        point(client, url)
        run_id = start(client, title="bücket")
        assert sandbox.until("ended")[-1]["status"] == "SUCCESS"
        entity = client.get("/v1/blueprints/bucket/entities/bücket").json()["entity"]
        assert entity["properties"] == {"acl": "private"}
        start(client, title="bücket")  # there already, and the backend does not upsert
        assert sandbox.until("ended")[-1]["status"] == "FAILURE"
        statuses = [run["status"] for run in client.get("/v1/actions/runs?action=create_vm").json()["runs"]]
        assert statuses == ["SUCCESS", "FAILURE"]
        assert client.get(f"/v1/actions/runs/{run_id}").json()["run"]["payload"]["url"] == url


def test_a_backend_with_the_newer_payload_logs_and_ends_its_run(tmp_path: Path) -> None:
    with (
        a_sandbox_process(tmp_path) as sandbox,
        a_backend("service", sandbox.ready, sandbox.ready["url"]) as url,
        sandbox.client() as client,
    ):
        # Without templates the id has to be known: the run is made, waits, and is approved when the action holds it.
        action = create_vm_action()
        action["requiredApproval"] = True
        client.put("/v1/actions/create_vm", json=action)
        run_id = start(client, title="x")
        point(client, url, body={"port_context": {"runId": run_id}, "service": "chéckout", "10": 1, "2": 2})
        client.patch(f"/v1/actions/runs/{run_id}/approval", json={"status": "APPROVE"})
        records = sandbox.until("responded 202")
        assert [record["note"].split()[0] for record in records if record["type"] == "run"] == [
            "waiting",
            "sending",
            "ended",
            "responded",
        ]
        run = client.get(f"/v1/actions/runs/{run_id}").json()["run"]
        assert (run["status"], run["summary"], run["statusLabel"]) == ("SUCCESS", "3 replicas", "Scaled")
        logs = client.get(f"/v1/actions/runs/{run_id}/logs").json()["runLogs"]
        assert [log["message"] for log in logs] == ["Scaling chéckout", "Done"]
        assert client.get("/v1/blueprints/service/entities/chéckout").json()["entity"]["properties"] == {"replicas": 3}


def test_replay_sends_a_run_of_the_sandbox_again(tmp_path: Path, run: Run) -> None:
    with (
        a_sandbox_process(tmp_path, "--timestamp-unit", "ms") as sandbox,
        a_backend("bucket", sandbox.ready, sandbox.ready["url"]) as url,
        sandbox.client() as client,
    ):
        point(client, url)
        run_id = start(client, title="one")
        sandbox.until("responded")
        env = {
            "PORT_CLIENT_ID": sandbox.ready["client_id"],
            "PORT_CLIENT_SECRET": sandbox.ready["client_secret"],
            "PORT_API_URL": sandbox.ready["url"],
        }
        result = run("replay", run_id, "--to", url, "--timestamp-unit", "ms", "--expect-status", "200", env=env)
    assert (result.code, result.err) == (0, result.err)


def test_a_killed_sandbox_continues_after_its_restart(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "sandbox.db"))
    with a_sandbox_process(tmp_path, *state) as sandbox, sandbox.client() as client:
        action = create_vm_action()
        client.put("/v1/actions/create_vm", json={**action, "requiredApproval": True})
        run_id = start(client, title="x")
        before = sandbox.ready
        sandbox.process.send_signal(signal.SIGKILL)
        sandbox.process.wait(30)
    with a_sandbox_process(tmp_path, *state) as sandbox, sandbox.client() as client:
        assert (sandbox.ready["client_id"], sandbox.ready["client_secret"]) == (
            before["client_id"],
            before["client_secret"],
        )
        run = client.get(f"/v1/actions/runs/{run_id}").json()["run"]
        assert run["status"] == "WAITING_FOR_APPROVAL"
        other = subprocess.run(
            [sys.executable, "-m", "port_hook_cli", "sandbox", *state],
            env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert other.returncode == 8
        assert "is open in another sandbox" in other.stderr
