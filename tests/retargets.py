"""Actions and workflows to retarget, and a `Retargeting` as `listen` creates it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.retarget.entry import Outcome
from port_hook_cli.retarget.flow import Retargeting
from port_hook_cli.retarget.journal import FOLDER, Journal, JournalClaim
from port_hook_cli.sandbox import Sandbox
from port_hook_cli.text.secret import Secret
from tests.factories import NOW
from tests.port_clients import port_client

ONE, TWO = "https://one.example/hook", "https://two.example/hook"


def an_action(identifier: str = "create_vm", **method: Any) -> dict[str, Any]:
    """Return an action that uses the agent and sends a template. `method` are fields of its invocation method."""
    action = create_vm_action()
    template = {"run": "{{ .run.id }}", "n": 1, "flag": True, "é": None}
    fields = {"agent": True, "headers": {"RUN_ID": "{{ .run.id }}", "authorization": "Bearer s3cret"}, "body": template}
    return {**action, "identifier": identifier, "invocationMethod": {**action["invocationMethod"], **fields, **method}}


def a_workflow(identifier: str = "deploy_service", **config: Any) -> dict[str, Any]:
    """Return a workflow with two WEBHOOK nodes. `check` uses the agent, and `config` are fields of its config."""
    webhook = {"type": "WEBHOOK", "url": "https://example.com"}
    body = {"run": "{{ .workflowNodeRun.identifier }}", "n": 1, "é": None}
    check = {**webhook, "agent": True, "headers": {"authorization": "Bearer s3cret"}, "body": body, **config}
    return {
        "identifier": identifier,
        "title": "Deploy service",
        "nodes": [
            {"identifier": "trigger", "config": {"type": "SELF_SERVE_TRIGGER", "userInputs": {"properties": {}}}},
            {"identifier": "check", "title": "Check", "config": check},
            {"identifier": "deploy", "config": {**webhook, "synchronized": False}},
        ],
        "connections": [
            {"sourceIdentifier": "trigger", "targetIdentifier": "check"},
            {"sourceIdentifier": "check", "targetIdentifier": "deploy"},
        ],
    }


def node_config(workflow: dict[str, Any], node: str) -> dict[str, Any]:
    """Return the config of a node, to read or change it."""
    (config,) = [each["config"] for each in workflow["nodes"] if each["identifier"] == node]
    found: dict[str, Any] = config
    return found


class MortalJournal(Journal):
    """A journal whose process can be killed: the locks are released, and the files stay."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._claims: list[JournalClaim] = []

    def claim(self, api_url: str, owner_id: str, name: str) -> JournalClaim:
        self._claims.append(super().claim(api_url, owner_id, name))
        return self._claims[-1]

    def die(self) -> None:
        for claim in self._claims:
            claim.release()


@asynccontextmanager
async def a_retargeting(
    api_url: str,
    home: Path,
    *,
    client_id: str = "id",
    client_secret: Secret | None = None,
    journal: Journal | None = None,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> AsyncIterator[Retargeting]:
    """A retargeting with its own client. Its changes are not restored at the end of the block."""

    async def no_pause(_: float) -> None:
        return

    async with port_client(
        api_url=api_url, client_id=client_id, client_secret=client_secret or Secret("s"), sleep=no_pause
    ) as api:
        yield Retargeting(
            api=api, journal=journal or Journal(home), api_url=api_url, now=lambda: NOW, pid=1, on_outcome=on_outcome
        )


async def retarget(flow: Retargeting, *names: str, url: str = ONE) -> None:
    await flow.prepare(names)
    await flow.apply(url)


def of_sandbox(sandbox: Sandbox) -> dict[str, Any]:
    """Return the arguments of `a_retargeting` for `sandbox`."""
    return {"api_url": sandbox.url, "client_id": sandbox.client_id, "client_secret": sandbox.client_secret}


def journal_files(home: Path) -> list[Path]:
    """Return the names of the files in the journal's folder."""
    return sorted((home / FOLDER).iterdir()) if (home / FOLDER).is_dir() else []
