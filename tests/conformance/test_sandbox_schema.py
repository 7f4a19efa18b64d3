"""schemathesis, which knows nothing of port-hook, drives the sandbox from Port's OpenAPI documents.

It is installed into `.bench/` from PyPI. There are two passes over the routes of actions, and two over the routes of
workflows: with the unchanged document, where most IDs are unknown, and with known IDs in the paths. Every status has to
be documented, and every response has to match its schema.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.sandbox import Sandbox
from port_hook_cli.workflows.run import WorkflowRun
from tests.conformance.approved_workflow import approved_deployment
from tests.port_clients import authorized
from tests.port_openapi import port_openapi, with_shown_action
from tests.port_workflows_openapi import require_workflows_openapi
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import handler

RELEASE = "4.32.5"
SCRATCH = Path(__file__).parents[2] / ".bench" / "schemathesis"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# Statuses of the sandbox that the document does not have, with the reason.
UNDOCUMENTED = {
    "409": "a name that is taken, or a run that is taken. Port's reference describes it only in its text",
    "422": "a query that is outside of the documented values, on routes without a body",
}
WORKFLOWS_UNDOCUMENTED = {
    "401": "a call without a token",
    "404": "an ID that the sandbox does not know, on routes that list no errors",
    "409": "a node run that another client took. No source has Port's response",
    "422": "a body or a query that is outside of the documented values, on routes that list no 422",
}
KNOWN_PATHS = {
    "run_id": {"type": "string", "pattern": "^r_[A-Za-z0-9]{16}$"},
    "action_identifier": {"type": "string", "enum": ["create_vm"]},
    "blueprint_identifier": {"type": "string", "enum": ["vm"]},
    "entity_identifier": {"type": "string", "enum": ["dev", "prod"]},
}

# Without this, schemathesis also sends the methods that a path does not have, and a DELETE removes what the pass needs:
# the sandbox has routes of Port's that the document leaves out.
CONFIG = "[phases.coverage]\nunexpected-methods = []\n"
# Routes of Port's workflow API that the sandbox does not have, because it has no permissions.
NOT_SERVED = "/v1/workflows/{workflow_identifier}/nodes/{node_identifier}/permissions"
pytestmark = [pytest.mark.timeout(600), pytest.mark.enable_socket]


@pytest.fixture(scope="session")
def schemathesis() -> Path:
    program = SCRATCH / "bin" / "schemathesis"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(SCRATCH)], check=True)
        pip = [str(SCRATCH / "bin" / "python"), "-m", "pip", "install", "--quiet", f"schemathesis=={RELEASE}"]
        subprocess.run(pip, check=True)
    return program


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def with_undocumented(document: dict[str, Any]) -> dict[str, Any]:
    document = with_shown_action(document)
    for operation in operations(document):
        for status in UNDOCUMENTED:
            operation["responses"].setdefault(status, operation["responses"]["404"])
    return document


def with_known_paths(document: dict[str, Any], known: Mapping[str, Any] = KNOWN_PATHS) -> dict[str, Any]:
    """Return the document with the schemas of `known` for the parameters in its paths."""
    document = copy.deepcopy(document)
    for operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                parameter["schema"] = known[parameter["name"]]
    return document


def drive(schemathesis: Path, tmp_path: Path, document: dict[str, Any], sandbox: Sandbox) -> None:
    """Send what the document allows to the sandbox, and fail for a response that it does not allow."""
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    (tmp_path / "api.json").write_text(json.dumps(document))
    with authorized(environ_of(sandbox)) as client:
        authorization = client.headers["authorization"]
    command = [str(schemathesis), "run", "api.json", "--url", sandbox.url, "--checks", CHECKS]
    options = ["--max-examples", "100", "--seed", "20261124", "--phases", "examples,coverage,fuzzing", "--no-color"]
    header = ["--header", f"Authorization: {authorization}", "--continue-on-failure", "--workers", "1"]
    done = subprocess.run([*command, *options, *header], capture_output=True, text=True, check=False, cwd=tmp_path)
    print(done.stdout)  # noqa: T201 - what was tried is the point
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr


@pytest.mark.parametrize("known", [False, True])
def test_every_response_of_the_sandbox_is_documented(schemathesis: Path, tmp_path: Path, known: bool) -> None:
    document = with_undocumented(port_openapi())
    with a_sandbox() as sandbox:
        sandbox.actions["create_vm"]["trigger"].pop("userInputs")
        drive(schemathesis, tmp_path, with_known_paths(document) if known else document, sandbox)
        assert not known or (len(sandbox.runs) > 50 and len(sandbox.entities) > 1)


def workflow_document() -> dict[str, Any]:
    """Return the document of the sandbox's workflow routes, with the statuses that Port's document does not list."""
    document = copy.deepcopy(require_workflows_openapi())
    del document["paths"][NOT_SERVED]
    refusal = {"description": "", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    for operation in operations(document):
        for status in WORKFLOWS_UNDOCUMENTED:
            operation["responses"].setdefault(status, refusal)
    return document


def with_known_workflows(document: dict[str, Any], sandbox: Sandbox) -> dict[str, Any]:
    """Start runs, and return the document with their IDs in the paths, without DELETE, which would end the pass."""
    runs = waiting_runs(sandbox, 60)
    to_cancel, to_report = runs[:20], runs[20:]
    waiting = [run.current.id for run in to_report if run.current is not None]
    known = {
        "workflow_identifier": {"type": "string", "enum": ["approved"]},
        "node_identifier": {"type": "string", "enum": ["start", "ship"]},
        "identifier": {"type": "string", "enum": [run.id for run in to_cancel]},
        "node_run_identifier": {"type": "string", "enum": waiting},
    }
    document = with_known_paths(document, known)
    del document["paths"]["/v1/workflows/{workflow_identifier}"]["delete"]
    acknowledged = document["paths"]["/v1/workflows/runs/ack"]["patch"]["requestBody"]["content"]["application/json"]
    acknowledged["schema"]["properties"]["nodeRunIdentifier"] = known["node_run_identifier"]
    return document


def waiting_runs(sandbox: Sandbox, count: int) -> list[WorkflowRun]:
    """Start `count` runs of the workflow, and return them when each waits for the agent."""
    with authorized(environ_of(sandbox)) as client:
        for _ in range(count):
            assert client.post("/v1/workflows/approved/runs", json={}).status_code == 201
        deadline = time.monotonic() + 60
        while not all(run.current and run.current.node == "ship" for run in sandbox.workflow_runs.values()):
            assert time.monotonic() < deadline, sandbox.workflow_runs
            client.get("/v1/workflows/runs")
    return list(sandbox.workflow_runs.values())


@pytest.mark.parametrize("known", [False, True])
def test_every_response_about_workflows_is_documented(schemathesis: Path, tmp_path: Path, known: bool) -> None:
    document = workflow_document()
    with (
        handler() as receiver,
        Renderer() as renderer,
        a_sandbox(renders=renderer, workflows=[approved_deployment(receiver.url)]) as sandbox,
    ):
        if known:
            document = with_known_workflows(document, sandbox)
        drive(schemathesis, tmp_path, document, sandbox)
        assert not known or "CANCELLED" in {run.result for run in sandbox.workflow_runs.values()}
