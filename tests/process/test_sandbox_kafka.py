"""`sandbox --kafka` as a process, with a consumer that reports like Port's execution agent."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from port_hook_cli.actions.samples import create_vm_action
from tests.processes import environment
from tests.record_schemas import checked
from tests.servers import NO_TLS
from tests.topics import reading


def an_action() -> dict[str, Any]:
    method = {"type": "WEBHOOK", "url": "http://127.0.0.1:1/", "agent": True, "synchronized": True}
    return {**create_vm_action(), "invocationMethod": method}


@contextmanager
def a_sandbox_process(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run `sandbox --json` and yield the process and its first record."""
    (folder / "action.json").write_text(json.dumps(an_action()))
    with subprocess.Popen(
        [sys.executable, "-m", "port_hook_cli", "sandbox", "--json", "--actions", "action.json", *options],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, checked(json.loads(process.stdout.readline()))
        finally:
            process.kill()


def run_through_the_topic(ready: dict[str, Any]) -> dict[str, Any]:
    """Start a run, read its message, report it as the agent does, and return the run."""
    with httpx.Client(base_url=ready["url"], verify=NO_TLS) as client:
        credentials = {"clientId": ready["client_id"], "clientSecret": ready["client_secret"]}
        token = client.post("/v1/auth/access_token", json=credentials).json()["accessToken"]
        client.headers["authorization"] = f"Bearer {token}"
        given = client.get("/v1/kafka-credentials").json()["credentials"]
        assert given["brokers"] == ready["kafka"]["brokers"]
        started = client.post("/v1/actions/create_vm/runs", json={"properties": {"title": "a"}}).json()["run"]
        with reading(given["brokers"][0], f"{given['username']}.runs") as topic:
            assert topic.name == ready["kafka"]["topic"]
            assert topic.next_document()["context"]["runId"] == started["id"]
        path = f"/v1/actions/runs/{started['id']}"
        client.patch(path, json={"status": "SUCCESS"})
        return dict(client.get(path).json()["run"])


def test_embedded_broker_carries_a_run_from_the_sandbox_to_a_consumer(tmp_path: Path) -> None:
    with a_sandbox_process(tmp_path, "--kafka", "embedded") as (process, ready):
        assert ready["kafka"]["embedded"] is True
        assert run_through_the_topic(ready)["status"] == "SUCCESS"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    notes = [record["note"] for record in map(json.loads, out.splitlines()) if record["type"] == "run"]
    assert notes[0] == f"publishing to {ready['kafka']['topic']}"
    # The consumer may have reported the run before the sandbox learned that its message was published.
    assert any(note.startswith(f"published to {ready['kafka']['topic']}, partition ") for note in notes)
