"""The values that tests get: a request as Port sends it, a backend's response, and a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from port_hook_cli.actions.templates import JqError
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.text.safe import brief


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRequest:
    """A signed request as Port sends it. `dataclasses.replace` simulates a request that was changed in transit.

    `path` is the URL's path and query, for test clients. `errors` are the template expressions that failed and
    became null. With `synchronized`, the HTTP response ends the run.
    """

    run_id: str
    action: str
    method: str
    url: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes
    synchronized: bool = False
    errors: tuple[JqError, ...] = ()

    def json(self) -> Any:
        """Return the body as a JSON value; raises ValueError if it is not JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendResponse:
    """A backend's HTTP response. The names of `headers` are in lower case; `latency_ms` is milliseconds."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""
    latency_ms: float = 0.0

    @classmethod
    def of(cls, delivery: Delivery) -> BackendResponse | None:
        """Return the response of a delivery, or None if it got none."""
        if delivery.status is None:
            return None
        return cls(
            status=delivery.status,
            headers={name.lower(): value for name, value in delivery.headers},
            body=delivery.body,
            latency_ms=delivery.latency_ms,
        )

    @property
    def ok(self) -> bool:
        """Whether the status is a 2xx."""
        return self.status // 100 == 2  # noqa: PLR2004 - the class of 2xx

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body as a JSON value; raises ValueError if it is not JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Run:
    """A snapshot of a run. `logs` are the messages of its log, `entities` the changes to entities that belong to it.

    `request` is the request that was sent for it, and `backend_response` the response of the backend. Both are None for
    a run that was only added; the response also if a test client received it.

    The run of a workflow's node also has `result` (SUCCESS, FAILED, CANCELLED), `output` and `outlet`.
    """

    id: str
    action: str
    status: str
    ended: bool
    status_label: str | None = None
    summary: str | None = None
    link: str | list[str] = ""
    external_run_id: str | None = None
    response: Any = None
    logs: tuple[str, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    entities: tuple[str, ...] = ()
    request: PortRequest | None = None
    backend_response: BackendResponse | None = None
    result: str | None = None
    output: Mapping[str, Any] = field(default_factory=dict)
    outlet: str | None = None

    def __repr__(self) -> str:
        """Return what pytest shows with a failed assertion."""
        parts = [f"{self.id} of {self.action}: {self.result or self.status}"]
        parts += [f"responded {self.backend_response.status}"] if self.backend_response else []
        parts += [f"{name} {brief(str(value))!r}" for name, value in self._reported() if value]
        return f"<Run {', '.join(parts)}>"

    def _reported(self) -> list[tuple[str, Any]]:
        last = self.logs[-1] if self.logs else None
        return [("label", self.status_label), ("summary", self.summary), ("last log", last)]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WorkflowOutcome:
    """A snapshot of a workflow's run. `nodes` are the runs of its nodes so far, by the node's identifier.

    `status` is IN_PROGRESS or COMPLETED; `result` is SUCCESS, FAILED, CANCELLED, or None while it is in progress.
    """

    id: str
    workflow: str
    status: str
    result: str | None
    nodes: Mapping[str, Run]

    def __repr__(self) -> str:
        """Return what pytest shows with a failed assertion."""
        nodes = ", ".join(f"{name} {node.result or node.status}" for name, node in self.nodes.items())
        return f"<WorkflowOutcome {self.id} of {self.workflow}: {self.result or self.status} ({nodes})>"


class WorkflowNotEnded(AssertionError):
    """A workflow's run that has not ended: a node waits for a report or a response."""

    def __init__(self, message: str, outcome: WorkflowOutcome) -> None:
        super().__init__(message)
        self.outcome = outcome


class RunNotEnded(AssertionError):
    """A run that has not ended: the backend rejected the request, or did not report a result in time."""

    def __init__(self, message: str, run: Run) -> None:
        super().__init__(message)
        self.run = run
