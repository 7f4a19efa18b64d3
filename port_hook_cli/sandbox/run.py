"""An action run or a workflow node's run in the sandbox, and how Port's API shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Self

from port_hook_cli.actions.action import INTEGRATION_ACTION
from port_hook_cli.invocations.records import format_time
from port_hook_cli.runs.updates import is_node_run

IN_PROGRESS = "IN_PROGRESS"
WAITING_FOR_APPROVAL = "WAITING_FOR_APPROVAL"
DECLINED = "DECLINED"
MAX_RUNS = 1000
"""How many action runs, and how many workflow runs, are kept: as many as one call can list. The oldest are dropped."""
UNKNOWN_ACTION = "unknown"
"""The action of a run that the sandbox created for a report, until a delivery names it."""

# Logs are saved separately, and a rendered request has the secrets.
_NOT_SAVED = frozenset({"logs", "rendered"})


class Phase(StrEnum):
    """The state of a run's invocation. NONE if the sandbox does not send it."""

    NONE = ""
    APPROVAL = "approval"
    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    CLAIMABLE = "claimable"
    CLAIMED = "claimed"
    ACKED = "acked"


@dataclass(slots=True, kw_only=True)
class SandboxRun:
    """A run; times are seconds since the epoch. Only the run of a workflow node has `result` and `output`.

    `payload` is the request as Port stores it, with secrets masked; `rendered` is the same with secrets,
    while the run can be claimed; it is not saved.
    `entities` describes the changes to entities that belong to the run.
    `made_up` says that a caller used an id that the sandbox did not know.
    """

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
    required_approval: bool | dict[str, Any] = False
    approval: dict[str, Any] | None = None
    phase: Phase = Phase.NONE
    made_up: bool = False
    claimed_until: float | None = None
    installation_id: str | None = None
    entities: list[str] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)
    rendered: dict[str, Any] | None = field(default=None, repr=False)

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Self:
        """Return the run from the result of `saved`. Fields of a newer port-hook are ignored."""
        known = {each.name for each in fields(cls)}
        run = cls(**{name: value for name, value in saved.items() if name in known})
        run.phase = Phase(run.phase)
        return run

    @property
    def ended(self) -> bool:
        """Whether the run has ended and accepts no more updates."""
        return self.ended_at is not None

    @property
    def is_synchronized(self) -> bool:
        """Whether the webhook's HTTP response ends the run."""
        return bool((self.payload or {}).get("synchronized"))

    @property
    def is_for_agent(self) -> bool:
        """Whether Port's execution agent sends the request."""
        return bool((self.payload or {}).get("agent"))

    @property
    def installation(self) -> str | None:
        """The id of the integration that alone may claim the run; None if it is not for an integration."""
        payload = self.rendered or self.payload or {}
        named = payload.get("installationId")
        return named if payload.get("type") == INTEGRATION_ACTION and isinstance(named, str) else None

    def update(self, changes: Mapping[str, Any], now: float) -> None:
        """Set fields, named as in Port's API. A final status ends the run."""
        self.updated_at = now
        self.status = changes.get("status", self.status)
        self.result = changes.get("result", self.result)
        label = changes.get("statusLabel", self.status_label)
        self.status_label = label["text"] if isinstance(label, Mapping) else label
        self.link = changes.get("link", changes.get("links", self.link))
        self.summary = changes.get("summary", self.summary)
        self.external_run_id = changes.get("externalRunId", self.external_run_id)
        self.response = changes.get("response", self.response)
        self.output = changes.get("output", self.output)
        if self.status not in {IN_PROGRESS, WAITING_FOR_APPROVAL}:
            self.ended_at = now

    def saved(self) -> dict[str, Any]:
        """Return the fields for `restored`, without the logs, which are saved separately, and without `rendered`."""
        # Not `asdict`, which recurses into JSON values, less deeply than JSON may be nested.
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _NOT_SAVED}

    def claimed_document(self) -> dict[str, Any]:
        """Return the run as its claimer gets it, with the secrets in its request."""
        shown = self.document()
        return shown if self.rendered is None else {**shown, "payload": self.rendered}

    def document(self) -> dict[str, Any]:
        """Return the run as Port's API shows it. Port omits some fields while they are empty."""
        return self._node_document() if is_node_run(self.id) else self._action_document()

    def _action_document(self) -> dict[str, Any]:
        shown = {
            "id": self.id,
            "status": self.status,
            "statusLabel": self.status_label,
            "action": {"identifier": self.action},
            "properties": self.properties,
            "requiredApproval": self.required_approval,
            "source": self.source,
            "link": self.link,
            "payload": self.payload,
            "createdBy": self.user_email,
            "updatedBy": self.user_email,
            "createdAt": format_time(self.created_at),
            "updatedAt": format_time(self.updated_at),
        }
        optional = {
            "blueprint": _named(self.blueprint),
            "entity": _named(self.entity),
            "summary": self.summary,
            "approval": self.approval,
            "madeUp": self.made_up or None,
            "response": self.response,
            "pendingExecution": self.phase in {Phase.CLAIMABLE, Phase.CLAIMED} or None,
            "claimedUntil": None if self.claimed_until is None else format_time(self.claimed_until),
            "installationId": self.installation_id,
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
            **({} if self.status_label is None else {"statusLabel": {"text": self.status_label}}),
            "createdAt": format_time(self.created_at),
            "updatedAt": format_time(self.updated_at),
            "completedAt": None if self.ended_at is None else format_time(self.ended_at),
        }


def _named(identifier: str | None) -> dict[str, str] | None:
    return None if identifier is None else {"identifier": identifier}
