"""The messages that Port publishes to the `ORG_ID.runs` topic, without their signature headers.

The message of a KAFKA action is its rendered payload. For a request that the execution agent sends, the message
contains `payload.action.invocationMethod` and `context.runId`, because the published agent reads these two fields. Port
does not document where the body template of such an action goes, so port-hook uses the place from the agent's polling
mode. docs/reference/agent-messages.md lists the source of each shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from port_hook_cli.actions.action import WEBHOOK
from port_hook_cli.actions.request import RenderedRequest
from port_hook_cli.engines.outcomes import UNDEFINED

WRAPPER_REMARK = "Port does not document what it puts around the payload of a KAFKA node"


def agent_message(body: Any, method: Mapping[str, Any], *, run_id: str) -> dict[str, Any]:
    """Return the message for an action's request that the agent sends.

    `method` is the rendered invocation method, with `agent` and `url`. A body that is not an object is left out,
    because the agent cannot read it.
    """
    base = body if isinstance(body, Mapping) else {}
    payload, context = _object(base.get("payload")), _object(base.get("context"))
    action = {**_object(payload.get("action")), "invocationMethod": dict(method)}
    return {**base, "payload": {**payload, "action": action}, "context": {**context, "runId": run_id}}


def agent_node_message(config: Mapping[str, Any], *, node_run_id: str) -> dict[str, Any]:
    """Return the message for a WEBHOOK node's request that the agent sends. `config` is the rendered config.

    The node's body is in `context.nodeConfig`, as in the agent's polling mode. Port does not document this.
    """
    method = {name: value for name, value in config.items() if name != "body"}
    return {
        "payload": {"action": {"invocationMethod": method}},
        "context": {"runId": node_run_id, "nodeConfig": dict(config)},
    }


def node_message(payload: Any, *, node_run_id: str, workflow_run_id: str) -> dict[str, Any]:
    """Return the message of a KAFKA node: its rendered `payload` and the IDs of the runs.

    Port's documentation says that metadata of the run wraps the payload, but not how. These are the fields that the
    sample handler on Port's page about workflow runs reads.
    """
    return {"context": {"workflowRunId": workflow_run_id, "nodeRunId": node_run_id}, "payload": payload}


def agent_config(request: RenderedRequest) -> dict[str, Any]:
    """Return a rendered request as the config of a node. Port does not document whether the agent gets it rendered."""
    body = {} if request.body is UNDEFINED else {"body": request.body}
    return {
        "type": WEBHOOK,
        "url": request.url,
        "method": request.method,
        "headers": dict(request.headers),
        "synchronized": request.synchronized,
        "agent": request.agent,
        **body,
    }


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
