"""An action run or a workflow node's run in the sandbox, and how Port's API shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Self

from port_hook_cli.actions.action import INTEGRATION_ACTION
from port_hook_cli.invocations.view import format_time
from port_hook_cli.runs.updates import is_node_run

IN_PROGRESS = "IN_PROGRESS"
WAITING_FOR_APPROVAL = "WAITING_FOR_APPROVAL"
DECLINED = "DECLINED"
MAX_RUNS = 1000
"""The number of action runs, and of workflow runs, that the sandbox retains. One call can list this many.

Older runs are deleted.
"""
UNKNOWN_ACTION = "unknown"
"""The action of a run that the sandbox created for a report, until a delivery contains its action."""


class Phase(StrEnum):
    """The phase of a run's invocation. NONE means that the sandbox does not send the invocation."""

    NONE = ""
    APPROVAL = "approval"
    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    CLAIMABLE = "claimable"
    CLAIMED = "claimed"
    ACKED = "acked"


@dataclass(slots=True, kw_only=True)
class RunStart:
    """The data that started a run: its action, its inputs, and the user."""

    action: str = "create_vm"
    blueprint: str | None = None
    entity: str | None = None
    source: str = "UI"
    user_email: str = "you@example.com"
    properties: dict[str, Any] = field(default_factory=dict)
    required_approval: bool | dict[str, Any] = False


@dataclass(slots=True, kw_only=True)
class SandboxReport:
    """The reports of clients about a run. Only node runs have `result` and `output`."""

    status: str = IN_PROGRESS
    status_label: str | None = None
    link: str | list[str] = field(default_factory=list)
    summary: str | None = None
    external_run_id: str | None = None
    response: Any = None
    result: str | None = None
    output: dict[str, Any] = field(default_factory=dict)
    ended_at: float | None = None

    def update(self, changes: Mapping[str, Any], now: float) -> None:
        """Set fields of the report, named as in Port's API. A final status ends the run."""
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


@dataclass(slots=True, kw_only=True)
class RunInvocation:
    """The request of a run, and the sender of the request.

    `payload` is the request as Port stores it, with masked secrets. `rendered` is the same request with its secrets,
    for the client that claims the run. `rendered` is not saved.
    """

    payload: dict[str, Any] | None = None
    rendered: dict[str, Any] | None = field(default=None, repr=False)
    phase: Phase = Phase.NONE
    claimed_until: float | None = None
    installation_id: str | None = None

    @property
    def is_synchronized(self) -> bool:
        """Whether the HTTP response of the webhook ends the run."""
        return bool((self.payload or {}).get("synchronized"))

    @property
    def is_for_agent(self) -> bool:
        """Whether Port's execution agent sends the request."""
        return bool((self.payload or {}).get("agent"))

    @property
    def integration(self) -> str | None:
        """The `installationId` of the only integration that may claim the run. None means no integration."""
        payload = self.rendered or self.payload or {}
        named = payload.get("installationId")
        return named if payload.get("type") == INTEGRATION_ACTION and isinstance(named, str) else None


@dataclass(slots=True, kw_only=True)
class SandboxRun:
    """A run. Times are in seconds since the epoch.

    `entities` describes the changes to entities that belong to the run. `made_up` is true if a caller used an ID that
    the sandbox did not know.
    """

    id: str
    created_at: float
    updated_at: float
    start: RunStart = field(default_factory=RunStart)
    report: SandboxReport = field(default_factory=SandboxReport)
    invocation: RunInvocation = field(default_factory=RunInvocation)
    approval: dict[str, Any] | None = None
    made_up: bool = False
    entities: list[str] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, **given: Any) -> Self:
        """Return a run with these fields, which may be fields of the run or of its parts."""
        parts = {
            name: kind(**{field: given.pop(field) for field in names & given.keys()})
            for name, (kind, names) in _PARTS.items()
        }
        return cls(**given, **parts)

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Self:
        """Restore a run from the result of `saved`. Fields that a newer port-hook saved are ignored."""
        known = _names(cls).union(*(names for _, names in _PARTS.values()))
        run = cls.of(**{name: value for name, value in saved.items() if name in known})
        run.invocation.phase = Phase(run.invocation.phase)
        return run

    @property
    def ended(self) -> bool:
        """Whether the run has ended and does not accept updates."""
        return self.report.ended_at is not None

    def update(self, changes: Mapping[str, Any], now: float) -> None:
        """Set fields of the report, named as in Port's API. A final status ends the run."""
        self.updated_at = now
        self.report.update(changes, now)

    def saved(self) -> dict[str, Any]:
        """Return the fields of the run and its parts, for `restored`. The logs and the rendered request are omitted."""
        # `asdict` isn't used, because it recurses into JSON values and reaches Python's recursion limit earlier than
        # JSON does.
        parts = (self, self.start, self.report, self.invocation)
        values = {each.name: getattr(part, each.name) for part in parts for each in fields(part)}
        return {name: value for name, value in values.items() if name not in _NOT_SAVED}

    def claimed_document(self) -> dict[str, Any]:
        """Return the run for the client that claimed it, with the secrets in the request."""
        shown = self.document()
        return shown if self.invocation.rendered is None else {**shown, "payload": self.invocation.rendered}

    def document(self) -> dict[str, Any]:
        """Return the run in the format of Port's API. Like Port, leave out some fields while they are empty."""
        return self._node_document() if is_node_run(self.id) else self._action_document()

    def _action_document(self) -> dict[str, Any]:
        start, report, invocation = self.start, self.report, self.invocation
        shown = {
            "id": self.id,
            "status": report.status,
            "statusLabel": report.status_label,
            "action": {"identifier": start.action},
            "properties": start.properties,
            "requiredApproval": start.required_approval,
            "source": start.source,
            "link": report.link,
            "payload": invocation.payload,
            "createdBy": start.user_email,
            "updatedBy": start.user_email,
            "createdAt": format_time(self.created_at),
            "updatedAt": format_time(self.updated_at),
        }
        optional = {
            "blueprint": _named(start.blueprint),
            "entity": _named(start.entity),
            "summary": report.summary,
            "approval": self.approval,
            "madeUp": self.made_up or None,
            "response": report.response,
            "pendingExecution": invocation.phase in {Phase.CLAIMABLE, Phase.CLAIMED} or None,
            "claimedUntil": _time(invocation.claimed_until),
            "installationId": invocation.installation_id,
            "endedAt": _time(report.ended_at),
        }
        return {**shown, **{name: value for name, value in optional.items() if value is not None}}

    def _node_document(self) -> dict[str, Any]:
        report = self.report
        return {
            "identifier": self.id,
            "status": report.status,
            "result": report.result,
            "output": report.output,
            "links": report.link,
            **({} if report.status_label is None else {"statusLabel": {"text": report.status_label}}),
            "createdAt": format_time(self.created_at),
            "updatedAt": format_time(self.updated_at),
            "completedAt": _time(report.ended_at),
        }


def _time(at: float | None) -> str | None:
    return None if at is None else format_time(at)


def _named(identifier: str | None) -> dict[str, str] | None:
    return None if identifier is None else {"identifier": identifier}


def _names(kind: type[Any]) -> frozenset[str]:
    return frozenset(each.name for each in fields(kind))


_PARTS: Mapping[str, tuple[type[Any], frozenset[str]]] = {
    "start": (RunStart, _names(RunStart)),
    "report": (SandboxReport, _names(SandboxReport)),
    "invocation": (RunInvocation, _names(RunInvocation)),
}
# Logs are saved separately. A rendered request contains secrets, so it is not saved.
_NOT_SAVED = frozenset({"logs", "rendered", *_PARTS})
