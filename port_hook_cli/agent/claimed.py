"""What each version of the agent makes of a run that it claims: the invocation method, and a message.

Facts from the agent's source: `streamers/polling/polling_streamer.py` and
`processors/polling/polling_to_webhook_processor.py` of May 2026 and of a later time. Each function raises what the
agent raises on a run that it cannot read: AttributeError, KeyError, TypeError or ValueError.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from enum import StrEnum
from typing import Any

_METHOD_DEFAULTS: dict[str, Any] = {"synchronized": False, "method": "POST", "headers": {}}
# What the newest agent takes from a run, instead of from the event in its body.
_OF_A_RUN = ("type", "url", "agent", "synchronized", "method", "headers")
_EVENT = ("context", "payload", "trigger")


class AgentVersion(StrEnum):
    """Which agent is predicted. Its releases have no numbers that its source shows.

    MAY_2026 makes the invocation method from five fields of a claimed run. AFTER_MAY_2026 also uses the event in the
    run's body, and the whole configuration of a node. LATEST does the same, but its message contains the node's body
    instead of the configuration. The stored sources do not show whether both changes were released together.
    """

    MAY_2026 = "2026-05"
    AFTER_MAY_2026 = "after-2026-05"
    LATEST = "latest"


def action_method(run: Mapping[str, Any], version: AgentVersion) -> dict[str, Any]:
    """Return the invocation method of an action run, with `agent`."""
    kept = run["payload"]
    if version is AgentVersion.MAY_2026:
        return {name: kept[name] for name in ("type", "url", "agent")} | _given(kept)
    body = kept.get("body") or {}
    is_event(body)  # the agent looks at the keys first, and fails on a body without any
    event = body.get("payload", {}).get("action", {}).get("invocationMethod", {})
    method = _with_defaults({**event, **{name: kept[name] for name in _OF_A_RUN if name in kept}})
    if not (method.get("type") and method.get("url")):
        raise ValueError(f"Run {run['id']} has no invocation method type or url")
    return method


def action_message(run: Mapping[str, Any], method: Mapping[str, Any], version: AgentVersion) -> dict[str, Any]:
    """Return the message that the agent makes of an action run and its invocation method."""
    body = run["payload"]["body"]
    document: dict[str, Any]
    if version is AgentVersion.LATEST:
        document = deepcopy(body)
        document.setdefault("headers", {})
        if method["headers"]:
            document["headers"] = method["headers"]
    else:
        document = body.copy()
        document["headers"] = method["headers"]
    document.setdefault("payload", {}).setdefault("action", {})["invocationMethod"] = method
    document.setdefault("context", {})["runId"] = run["id"]
    return document


def node_method(config: Mapping[str, Any], version: AgentVersion) -> dict[str, Any]:
    """Return the invocation method of a node's configuration, without `agent`."""
    if version is AgentVersion.MAY_2026:
        return {"type": config.get("type"), "url": config.get("url")} | _given(config)
    return _with_defaults({name: value for name, value in config.items() if name != "agent"})


def node_message(run: Mapping[str, Any], method: Mapping[str, Any], version: AgentVersion) -> dict[str, Any]:
    """Return the message that the agent makes of a node run and its invocation method."""
    payload = {"action": {"invocationMethod": method}}
    run_id = run["identifier"]
    if version is AgentVersion.LATEST:
        body = deepcopy(method.get("body") or {})
        return {**body, "headers": method["headers"] or {}, "payload": payload, "context": {"runId": run_id}}
    context = {"runId": run_id, "nodeConfig": run["config"]}
    return {"headers": method["headers"], "payload": payload, "context": context}


def is_event(body: Any) -> bool:
    """Return whether the body of an action run looks like Port's event to the newest agent."""
    return any(name in body for name in _EVENT)


def version_of_run(kept: Mapping[str, Any]) -> AgentVersion | None:
    """Return the version of the agent that can handle an action run's payload, None if each can."""
    return None if {"type", "url", "agent"} <= kept.keys() else AgentVersion.LATEST


def version_that_sent(document: Mapping[str, Any], method: Mapping[str, Any], *, is_node: bool) -> AgentVersion | None:
    """Return the version of the agent whose request has this body, None if each can have sent it.

    A message that Port published has `agent` in its invocation method; the agent's request has not.
    """
    if not method or "agent" in method:
        return None
    further = method.keys() - set(_OF_A_RUN)
    if not is_node:
        return AgentVersion.LATEST if further else None
    context = document.get("context")
    if not (isinstance(context, Mapping) and "nodeConfig" in context):
        return AgentVersion.LATEST
    return AgentVersion.AFTER_MAY_2026 if further else AgentVersion.MAY_2026


def _given(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: config.get(name, default) for name, default in deepcopy(_METHOD_DEFAULTS).items()}


def _with_defaults(method: dict[str, Any]) -> dict[str, Any]:
    return method | {name: value for name, value in deepcopy(_METHOD_DEFAULTS).items() if name not in method}
