"""`sandbox --kafka` as a process, with a consumer that reports like Port's execution agent."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from port_hook_cli.actions.samples import create_vm_action
from tests.handlers.handlers import Records, a_sandbox_process
from tests.topics import reading


def run_through_the_topic(sandbox: Records) -> dict[str, Any]:
    """Start a run, read its message, report it as the agent does, and return the run."""
    kafka = sandbox.ready["kafka"]
    with sandbox.client() as client:
        given = client.get("/v1/kafka-credentials").json()["credentials"]
        assert given["brokers"] == kafka["brokers"]
        started = client.post("/v1/actions/create_vm/runs", json={"properties": {"title": "a"}}).json()["run"]
        with reading(given["brokers"][0], f"{given['username']}.runs") as topic:
            assert topic.name == kafka["topic"]
            assert topic.next_document()["context"]["runId"] == started["id"]
        path = f"/v1/actions/runs/{started['id']}"
        client.patch(path, json={"status": "SUCCESS"})
        return dict(client.get(path).json()["run"])


def test_embedded_broker_carries_a_run_from_the_sandbox_to_a_consumer(tmp_path: Path) -> None:
    method = {"type": "WEBHOOK", "url": "http://127.0.0.1:1/", "agent": True, "synchronized": True}
    (tmp_path / "action.json").write_text(json.dumps({**create_vm_action(), "invocationMethod": method}))
    with a_sandbox_process(tmp_path, "action.json", "--kafka", "embedded") as sandbox:
        topic = sandbox.ready["kafka"]["topic"]
        assert sandbox.ready["kafka"]["embedded"] is True
        assert run_through_the_topic(sandbox)["status"] == "SUCCESS"
        sandbox.process.send_signal(signal.SIGINT)
        out, err = sandbox.process.communicate(timeout=20)
    assert (sandbox.process.returncode, err) == (0, b"")
    notes = [record["note"] for record in map(json.loads, out.splitlines()) if record["type"] == "run"]
    assert notes[0] == f"publishing to {topic}"
    # The consumer may have reported the run before the sandbox learned that its message was published.
    assert any(note.startswith(f"published to {topic}, partition ") for note in notes)
