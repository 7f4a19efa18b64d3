"""How the agent gets runs by polling: the calls that claim and acknowledge them, and what Port responds.

Facts from the agent's source: `port_client.py` and `consumers/http_polling_consumer.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from port_hook_cli.agent.message import AgentMessage, AgentTransport, Subject
from port_hook_cli.agent.reports import AgentCall

CLAIM_LIMIT = 100
MOST_LISTED = 1000
LIST_PATH = f"/v1/actions/runs?active=true&limit={MOST_LISTED}&version=v2"
"""Port's documented list of the action runs in progress. Unlike claiming, reading it takes no run from the agent."""

_INSTALLATION = "_PORT_EXEC_AGENT"
_RESERVED = {"x-port-reserved-usage": "true"}


class RunQueue(StrEnum):
    """A kind of run that the agent claims; its value is the path of the routes."""

    ACTIONS = "/v1/actions/runs"
    NODES = "/v1/workflows/runs"

    @property
    def id_key(self) -> str:
        """The key of a run's id."""
        return "identifier" if self is RunQueue.NODES else "id"


def taking_calls(message: AgentMessage) -> tuple[AgentCall, ...]:
    """Return the calls by which the agent gets a run that it polls; none for a message of a topic."""
    if message.transport is not AgentTransport.POLLING or message.subject is Subject.CHANGE:
        return ()
    queue = RunQueue.NODES if message.subject is Subject.NODE_RUN else RunQueue.ACTIONS
    return claim_call(queue, CLAIM_LIMIT), acknowledge_call(queue, message.run_id)


def claim_call(queue: RunQueue, limit: int) -> AgentCall:
    """Return the call that claims up to `limit` runs."""
    body: dict[str, Any] = {"installationId": _INSTALLATION, "limit": limit}
    if queue is RunQueue.ACTIONS:
        body["invocationMethod"] = "WEBHOOK"
    return AgentCall(method="POST", path=f"{queue}/claim-pending", body=body, headers=_RESERVED)


def acknowledge_call(queue: RunQueue, run_id: str | None) -> AgentCall:
    """Return the call that acknowledges a claimed run, so that no other agent gets it."""
    body: dict[str, Any] = {"nodeRunIdentifier": run_id} if queue is RunQueue.NODES else {"runIds": [run_id]}
    return AgentCall(method="PATCH", path=f"{queue}/ack", body=body, headers=_RESERVED)


def claimed_runs(queue: RunQueue, response: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the runs in a response to a claim."""
    return list(_runs(response.get("nodeRuns" if queue is RunQueue.NODES else "runs"), queue))


def is_acknowledged(queue: RunQueue, response: Mapping[str, Any]) -> bool:
    """Return whether Port accepted an acknowledgment: no other agent has acknowledged the run before."""
    return bool(response.get("acked" if queue is RunQueue.NODES else "ackedCount"))


def listed_runs(response: Mapping[str, Any], *, since_s: float | None) -> list[dict[str, Any]]:
    """Return the runs of a list that are for the agent and were created since `since_s`, oldest first."""
    found = [
        run
        for run in _runs(response.get("runs"), RunQueue.ACTIONS)
        if _is_for_agent(run) and (since_s is None or _created_s(run) >= since_s)
    ]
    return sorted(found, key=_created_s)


def is_full(response: Mapping[str, Any]) -> bool:
    """Return whether a list has its maximum of runs, so that others may be missing."""
    found = response.get("runs")
    return isinstance(found, list) and len(found) >= MOST_LISTED


def action_of(run: Mapping[str, Any]) -> str:
    """Return the identifier of a run's action, or "" if it is not known."""
    action = run.get("action")
    found = action.get("identifier") if isinstance(action, Mapping) else None
    return found if isinstance(found, str) else ""


def _runs(found: Any, queue: RunQueue) -> Iterator[dict[str, Any]]:
    for run in found if isinstance(found, list) else ():
        if isinstance(run, dict) and isinstance(run.get(queue.id_key), str):
            yield run


def _is_for_agent(run: Mapping[str, Any]) -> bool:
    payload = run.get("payload")
    return isinstance(payload, Mapping) and payload.get("type") == "WEBHOOK" and bool(payload.get("agent"))


def _created_s(run: Mapping[str, Any]) -> float:
    """Return when a run was created. A run without a valid time counts as new."""
    try:
        return datetime.fromisoformat(str(run.get("createdAt"))).timestamp()
    except (ValueError, OverflowError, OSError):
        return float("inf")
