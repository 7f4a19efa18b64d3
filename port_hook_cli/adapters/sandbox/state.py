"""What the sandbox knows: its credentials, the tokens it gave, the runs and the actions."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from port_hook_cli.core.payload import is_run_id
from port_hook_cli.core.records import format_time
from port_hook_cli.core.redaction import Secret
from port_hook_cli.core.runs import is_node_run
from port_hook_cli.core.samples import create_vm_action

TOKEN_LIFETIME_S = 3 * 60 * 60
IN_PROGRESS = "IN_PROGRESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiEvent:
    """One call that the sandbox answered. `at` is seconds since the epoch, `note` what the call did, in words."""

    at: float
    method: str
    path: str
    status: int
    run_id: str | None = None
    note: str = ""


@dataclass(slots=True, kw_only=True)
class SandboxRun:
    """A run as it stands; times are seconds since the epoch. `result` and `output` are a workflow node's."""

    id: str
    created_at: float
    updated_at: float
    action: str = "create_vm"
    blueprint: str | None = None
    entity: str | None = None
    source: str = "UI"
    user_email: str = "you@example.com"
    properties: dict[str, Any] = field(default_factory=dict)
    payload: dict[str, Any] | None = None
    status: str = IN_PROGRESS
    status_label: str | None = None
    link: str | list[str] = field(default_factory=list)
    summary: str | None = None
    external_run_id: str | None = None
    response: Any = None
    result: str | None = None
    output: dict[str, Any] = field(default_factory=dict)
    ended_at: float | None = None
    logs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether the run takes no more updates."""
        return self.ended_at is not None

    def document(self) -> dict[str, Any]:
        """Return the run as Port's API shows it, without the fields that Port leaves out while they are empty."""
        return self._node_document() if is_node_run(self.id) else self._action_document()

    def _action_document(self) -> dict[str, Any]:
        shown = {
            "id": self.id,
            "status": self.status,
            "statusLabel": self.status_label,
            "action": {"identifier": self.action},
            "properties": self.properties,
            "requiredApproval": False,
            "source": self.source,
            "link": self.link,
            "payload": self.payload,
            "createdBy": self.user_email,
            "updatedBy": self.user_email,
            "createdAt": format_time(self.created_at),
            "updatedAt": format_time(self.updated_at),
        }
        optional = {
            "blueprint": self.blueprint and {"identifier": self.blueprint},
            "entity": self.entity and {"identifier": self.entity},
            "summary": self.summary,
            "response": self.response,
            "endedAt": None if self.ended_at is None else format_time(self.ended_at),
        }
        return {**shown, **{name: value for name, value in optional.items() if value is not None}}

    def _node_document(self) -> dict[str, Any]:
        return {
            "identifier": self.id,
            "status": self.status,
            "result": self.result,
            "output": self.output,
            "links": self.link,
            "createdAt": format_time(self.created_at),
            "updatedAt": format_time(self.updated_at),
            "completedAt": None if self.ended_at is None else format_time(self.ended_at),
        }


class SandboxState:
    """Credentials, tokens, runs and actions of one sandbox. `now` returns seconds since the epoch.

    There is one action to begin with, "Create VM".
    """

    def __init__(self, *, now: Callable[[], float], strict_runs: bool, token_lifetime_s: float) -> None:
        self.now = now
        self.client_id = f"sandbox_{secrets.token_hex(8)}"
        self.client_secret = Secret(secrets.token_hex(32))
        self.token_lifetime_s = token_lifetime_s
        self.runs: dict[str, SandboxRun] = {}
        self.actions: dict[str, dict[str, Any]] = {}
        self._strict_runs = strict_runs
        self._tokens: dict[str, float] = {}
        self.add_action(create_vm_action())

    def give_token(self) -> str:
        """Return a fresh token; it is good for `token_lifetime_s` seconds."""
        token = secrets.token_urlsafe(32)
        self._tokens[token] = self.now() + self.token_lifetime_s
        return token

    def is_good(self, token: str | None) -> bool:
        """Whether the sandbox gave this token and it has not expired."""
        return self.now() < self._tokens.get(token or "", 0.0)

    def add_run(self, run_id: str, **fields: Any) -> SandboxRun:
        """Add, or start anew, a run in progress; `fields` are those of `SandboxRun`."""
        now = self.now()
        run = self.runs[run_id] = SandboxRun(id=run_id, created_at=now, updated_at=now, **fields)
        return run

    def add_action(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Add, or replace, an action or automation; `fields` are those that Port's API takes, `identifier` among them.

        What Port sets itself is added where it is not given.
        """
        at = format_time(self.now())
        action = self.actions[str(fields["identifier"])] = {
            "id": f"action_{secrets.token_hex(8)}",
            **fields,
            **{name: fields.get(name, self.client_id) for name in ("createdBy", "updatedBy")},
            **{name: fields.get(name, at) for name in ("createdAt", "updatedAt")},
        }
        return action

    def find_run(self, name: str) -> tuple[SandboxRun | None, bool]:
        """Return the run with this id or external id, and whether it was made up just now.

        A run is made up for every well-formed id that is not known, unless the sandbox is strict about runs.
        """
        run = self.runs.get(name) or next((run for run in self.runs.values() if run.external_run_id == name), None)
        if run is None and is_run_id(name) and not self._strict_runs:
            return self.add_run(name), True
        return run, False
