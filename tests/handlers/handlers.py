"""What the tests of whole handlers share: a program and a sandbox as processes, and runs of actions and workflows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from port_hook_cli.actions.samples import create_vm_action
from tests.factories import SECRET
from tests.installed import path_of
from tests.port_clients import authorized
from tests.prepared import Popen, run
from tests.processes import running

PROGRAMS = Path(__file__).with_name("programs")
EXAMPLES = Path(__file__).parents[2] / "examples"
ACTION = str(EXAMPLES / "actions" / "create_vm.json")
SIGNED_ALONE = {"PORT_CLIENT_ID": "tests", "PORT_CLIENT_SECRET": SECRET.reveal()}
BY_IDS = {"workflowRunId": "{{ .workflowRun.identifier }}", "nodeRunId": "{{ .workflowNodeRun.identifier }}"}


class Records:
    """A running `port-hook sandbox --json`."""

    def __init__(self, process: Popen) -> None:
        self.process = process
        self.ready = self.record()

    def record(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read().decode()
        record: dict[str, Any] = json.loads(line)
        return record

    def client(self) -> AbstractContextManager[httpx.Client]:
        return authorized(environ_for(self.ready))


@contextmanager
def a_sandbox_process(folder: Path, *options: str) -> Iterator[Records]:
    with running(folder, "sandbox", "--json", *options) as process:
        yield Records(process)


def point(client: httpx.Client, url: str, operation: str = "CREATE", **method: Any) -> None:
    """Point the sample action at `url`, like its owner in Port."""
    action = create_vm_action()
    action["trigger"]["operation"] = operation
    action["invocationMethod"] |= {"url": url, **method}
    assert client.put("/v1/actions/create_vm", json=action).status_code == 200


def start(client: httpx.Client, **inputs: Any) -> str:
    answer = client.post("/v1/actions/create_vm/runs", json={"properties": inputs})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["run"]["id"])


@contextmanager
def a_program(name: str, *arguments: str, env: Mapping[str, str] = SIGNED_ALONE) -> Iterator[str]:
    """Run a program of `programs/` with nothing but `env`, and yield the URL that it prints."""
    process = Popen(
        [*_interpreter(name), str(PROGRAMS / name), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **env},
        text=True,
    )
    try:
        url = process.stdout.readline().strip()
        assert url, process.stderr.read()
        yield url
    finally:
        process.kill()
        process.communicate()


def run_program(name: str, *, env: Mapping[str, str]) -> list[str]:
    """Run a program to its end, and return the lines that it prints."""
    command = [*_interpreter(name), str(PROGRAMS / name)]
    environ = {"PATH": os.environ["PATH"], **env}
    done = run(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    printed: str = done.stdout
    return printed.splitlines()


def _interpreter(name: str) -> list[str]:
    if not name.endswith(".js"):
        return [sys.executable]
    return [path_of("node")]


def environ_for(ready: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that make a handler, or port-hook, use a sandbox. `ready` is its first record."""
    return {
        "PORT_CLIENT_ID": ready["client_id"],
        "PORT_CLIENT_SECRET": ready["client_secret"],
        "PORT_API_URL": ready["url"],
        "PORT_API_BASE_URL": ready["url"],
    }


def until(sandbox: Records, run_id: str, is_last: Callable[[str], bool]) -> str:
    """Read the sandbox's records up to a step of a run whose note is last, and return the note."""
    while True:
        record = sandbox.record()
        if record["type"] == "run" and record["run_id"] == run_id and is_last(str(record["note"])):
            return str(record["note"])


def one_webhook(url: str, **config: Any) -> dict[str, Any]:
    """Return a workflow of a trigger with the inputs `name` and `replicas`, and the WEBHOOK node `scale`."""
    inputs = {"name": {"type": "string"}, "replicas": {"type": "number"}}
    body = {"name": "{{ .outputs.trigger.name }}", "replicas": "{{ .outputs.trigger.replicas }}"}
    return {
        "identifier": "scaling",
        "nodes": [
            {"identifier": "trigger", "config": {"type": "SELF_SERVE_TRIGGER", "userInputs": {"properties": inputs}}},
            {"identifier": "scale", "config": {"type": "WEBHOOK", "url": url, "body": body, **config}},
        ],
        "connections": [{"sourceIdentifier": "trigger", "targetIdentifier": "scale"}],
    }


def start_workflow(client: httpx.Client, document: Mapping[str, Any], **inputs: Any) -> str:
    """Create a workflow in a sandbox, or a new version of it. Start a run of it, and return its ID."""
    path = f"/v1/workflows/{document['identifier']}"
    made = client.post("/v1/workflows", json=document)
    if made.status_code == 409:
        made = client.put(path, json=document)
    made.raise_for_status()
    started = client.post(f"{path}/runs", json={"inputs": inputs})
    assert started.status_code == 201, started.text
    return str(started.json()["workflowRun"]["identifier"])


def workflow_run(client: httpx.Client, run_id: str) -> dict[str, Any]:
    """Return a workflow run in the format of the sandbox's API."""
    found: dict[str, Any] = client.get(f"/v1/workflows/runs/{run_id}").json()["workflowRun"]
    return found
