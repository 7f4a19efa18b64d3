"""schemathesis, which knows nothing of port-hook, drives the sandbox from Port's OpenAPI document.

It is installed into `.bench/` from PyPI. Two passes: the document as it is, where most ids are unknown, and with paths
whose ids are known. Every status has to be a documented one and every answer has to fit its schema.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.port_openapi import port_openapi, with_shown_action
from tests.sandboxes import a_sandbox

RELEASE = "4.32.5"
SCRATCH = Path(__file__).parents[2] / ".bench" / "schemathesis"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# What the sandbox answers although the document does not say that Port does, and why.
UNDOCUMENTED = {
    "409": "a run that has ended, and a name that is taken; Port's reference tells both in words only",
    "422": "a query that is outside of the documented values, on routes without a body",
}
KNOWN_PATHS = {
    "run_id": {"type": "string", "pattern": "^r_[A-Za-z0-9]{16}$"},
    "action_identifier": {"type": "string", "enum": ["create_vm"]},
    "blueprint_identifier": {"type": "string", "enum": ["vm"]},
    "entity_identifier": {"type": "string", "enum": ["dev", "prod"]},
}

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


def with_known_paths(document: dict[str, Any]) -> dict[str, Any]:
    document = copy.deepcopy(document)
    for operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                parameter["schema"] = KNOWN_PATHS[parameter["name"]]
    return document


@pytest.mark.parametrize("known", [False, True])
def test_every_response_of_the_sandbox_is_documented(schemathesis: Path, tmp_path: Path, known: bool) -> None:
    document = with_undocumented(port_openapi())
    file = tmp_path / "port-api.json"
    file.write_text(json.dumps(with_known_paths(document) if known else document))
    with a_sandbox() as sandbox:
        sandbox.actions["create_vm"]["trigger"].pop("userInputs")
        credentials = {"clientId": sandbox.client_id, "clientSecret": sandbox.client_secret.reveal()}
        token = httpx.post(f"{sandbox.url}/v1/auth/access_token", json=credentials).json()["accessToken"]
        command = [str(schemathesis), "run", str(file), "--url", sandbox.url, "--checks", CHECKS]
        options = ["--max-examples", "100", "--seed", "20261124", "--phases", "examples,coverage,fuzzing", "--no-color"]
        header = ["--header", f"Authorization: Bearer {token}", "--continue-on-failure", "--workers", "1"]
        done = subprocess.run([*command, *options, *header], capture_output=True, text=True, check=False, cwd=tmp_path)
        runs, entities = len(sandbox.runs), len(sandbox.entities)
    print(done.stdout)  # noqa: T201 - what was tried is the point
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert not known or (runs > 50 and entities > 1)
