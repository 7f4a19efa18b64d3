"""A run in Port: of an action, of a workflow, or of a workflow's node. This module is pure.

Port's API reference describes action runs. Workflow runs are read with all the names that Port's documentation and its
clients use.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import LATEST_TIMESTAMP_MS
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.runs.updates import ENDED

IN_PROGRESS = "IN_PROGRESS"
SUCCESS = "SUCCESS"
_MOST_OF_AN_ID = 200
_MOST_NODE_RUNS = 200
_MOST_LINKS = 20
_LATEST_S = LATEST_TIMESTAMP_MS / 1000


class RunKind(StrEnum):
    """The kind of a run."""

    ACTION = "action-run"
    WORKFLOW = "workflow-run"
    NODE = "node-run"


@frozen(kw_only=True)
class PortRun:
    """A run. Texts that Port doesn't show are empty.

    `name` is the identifier of the action, of the workflow, or of the node. `status_label` is the label that a report
    sets. `payload` is the request that Port sent, which only action runs have. `problem` is the error in the output of
    a failed node.
    """

    id: str
    kind: RunKind
    name: str = ""
    status: str = IN_PROGRESS
    result: str = ""
    status_label: str = ""
    summary: str = ""
    links: tuple[str, ...] = ()
    created_at: str = ""
    created_by: str = ""
    updated_by: str = ""
    ended_at: str = ""
    source: str = ""
    approval: Mapping[str, Any] | None = None
    payload: Mapping[str, Any] | None = None
    is_pending: bool = False
    node_type: str = ""
    problem: str = ""
    node_runs: tuple[PortRun, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended. A run with a result has ended, because Port does not document every status."""
        return self.status in ENDED or bool(self.result or self.ended_at)

    @property
    def state(self) -> str:
        """The result of a run that has one, otherwise its status."""
        return self.result or self.status

    @property
    def synchronized(self) -> bool | None:
        """Whether the HTTP response ends the run, or None if Port doesn't show it."""
        found = (self.payload or {}).get("synchronized")
        return found if isinstance(found, bool) else None

    @property
    def url(self) -> str:
        """The URL of the run's request, or ""."""
        return _text((self.payload or {}).get("url"))

    @property
    def has_anonymous_request(self) -> bool:
        """Whether a capture of the request has no run ID, so that nobody can tell which capture belongs to the run."""
        if self.payload is None:
            return False
        body, headers = self.payload.get("body"), self.payload.get("headers")
        try:
            content = (body if isinstance(body, str) else json.dumps(body)).encode("utf-8", "replace")
        except RecursionError:
            return True
        fields = headers.items() if isinstance(headers, dict) else ()
        return read_payload(content, Headers(tuple((name, str(value)) for name, value in fields))).run_id != self.id

    @property
    def started_s(self) -> float | None:
        """The start in seconds since the epoch, or None if it is unknown."""
        return read_time(self.created_at)

    @property
    def open_node_runs(self) -> tuple[PortRun, ...]:
        """The node runs that haven't ended."""
        return tuple(each for each in self.node_runs if not each.has_ended)

    @property
    def request_ids(self) -> tuple[str, ...]:
        """The IDs of the runs whose requests a listener may have captured."""
        return tuple(each.id for each in self.node_runs) if self.kind is RunKind.WORKFLOW else (self.id,)


@frozen(kw_only=True)
class LogEntry:
    """An entry of a run's log. `level` and `node_run` are empty in the log of an action run."""

    message: str
    at: str = ""
    level: str = ""
    node_run: str = ""


def read_action_run(document: Any) -> PortRun | None:
    """Return the action run in a document of Port's API, or None if it has no usable ID."""
    found = _object(document)
    run_id = _id(found.get("id"))
    if run_id is None:
        return None
    payload, approval = found.get("payload"), found.get("approval")
    return PortRun(
        id=run_id,
        kind=RunKind.ACTION,
        name=_text(_object(found.get("action")).get("identifier")),
        status=_text(found.get("status")) or IN_PROGRESS,
        status_label=_text(found.get("statusLabel")),
        summary=_text(found.get("summary")),
        links=_links(found.get("link")),
        created_at=_text(found.get("createdAt")),
        created_by=_text(found.get("createdBy")),
        updated_by=_text(found.get("updatedBy")),
        ended_at=_text(found.get("endedAt")),
        source=_text(found.get("source")),
        approval=approval if isinstance(approval, Mapping) else None,
        payload=payload if isinstance(payload, Mapping) else None,
        is_pending=found.get("pendingExecution") is True,
    )


def read_workflow_run(document: Any) -> PortRun | None:
    """Return the workflow run in a document of Port's API, or None if it has no usable ID."""
    return _read(document, _workflow_fields)


def read_node_run(document: Any) -> PortRun | None:
    """Return the node run in a document of Port's API, or None if it has no usable ID."""
    return _read(document, _node_fields)


def read_log_entry(document: Mapping[str, Any]) -> LogEntry:
    """Return an entry of a run's log. Port's pages name its fields differently."""
    return LogEntry(
        message=_text(document.get("message")) or _text(document.get("log")),
        at=_text(document.get("createdAt")),
        level=_text(document.get("level")) or _text(document.get("logLevel")),
        node_run=_text(document.get("nodeRunIdentifier")),
    )


def read_time(text: str) -> float | None:
    """Return a time of Port's API in seconds since the epoch, or None for another text. The default zone is UTC."""
    try:
        found = datetime.fromisoformat(text)
        epoch_s = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return epoch_s if 0 <= epoch_s < _LATEST_S else None


def _read(document: Any, fields: Callable[[Mapping[str, Any]], dict[str, Any]]) -> PortRun | None:
    found = _object(document)
    run_id = _id(found.get("identifier"))
    if run_id is None:
        return None
    return PortRun(
        id=run_id,
        status=_text(found.get("status")) or IN_PROGRESS,
        result=_text(found.get("result")),
        created_at=_text(found.get("createdAt")),
        ended_at=_text(found.get("completedAt")),
        **fields(found),
    )


def _workflow_fields(found: Mapping[str, Any]) -> dict[str, Any]:
    listed = found.get("nodeRuns")
    node_runs = map(read_node_run, listed[:_MOST_NODE_RUNS] if isinstance(listed, list) else ())
    workflow = found.get("workflow") or _object(found.get("workflowVersion")).get("workflow")
    return {
        "kind": RunKind.WORKFLOW,
        "name": _text(_object(workflow).get("identifier")),
        "created_by": _text(found.get("createdBy")),
        "node_runs": tuple(filter(None, node_runs)),
    }


def _node_fields(found: Mapping[str, Any]) -> dict[str, Any]:
    node, label = _object(found.get("node")), found.get("statusLabel")
    return {
        "kind": RunKind.NODE,
        "name": _text(node.get("identifier")) or _text(found.get("nodeTitle")),
        "status_label": _text(label.get("text") if isinstance(label, Mapping) else label),
        "links": _links(found.get("links")),
        "node_type": _text(found.get("nodeConfigType")) or _text(_object(node.get("config")).get("type")),
        "problem": _text(_object(_object(found.get("output")).get("error")).get("message")),
    }


def _id(value: Any) -> str | None:
    text = _text(value)
    return text if 0 < len(text) <= _MOST_OF_AN_ID and text.isascii() and text.isprintable() else None


def _links(found: Any) -> tuple[str, ...]:
    listed = found if isinstance(found, list) else [found]
    return tuple(link for link in listed if isinstance(link, str))[:_MOST_LINKS]


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
