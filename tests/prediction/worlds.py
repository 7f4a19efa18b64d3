"""Messages of the agent, and a prediction with what it depends on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.engines.encryption import open_aes_gcm
from port_hook_cli.prediction.mapping import DEFAULT_MAPPINGS, AgentMapping, read_mappings
from port_hook_cli.prediction.message import AgentTransport, AgentVersion, take_message
from port_hook_cli.prediction.prediction import AgentSettings, AgentWorld, Prediction, predict
from port_hook_cli.signatures.signing import sign
from port_hook_cli.text.secret import Secret

SECRET = Secret("0123456789abcdef0123456789abcdef0123456789")
STAMP = "1700000000"
RUN, NODE_RUN = "r_QOz6WoOB1Q2lmhZZ", "wfnr_QOz6WoOB1Q2lmhZZ"
URL = "http://127.0.0.1:8000/hook"


def topic_message(run_id: str = RUN, *, secret: Secret = SECRET, **changes: Any) -> dict[str, Any]:
    """Return a message of a topic, signed like by Port: compact, not escaped, without the two fields."""
    method = {"type": "WEBHOOK", "agent": True, "url": URL, "synchronized": True, **changes.pop("method", {})}
    document = {
        "action": "create_vm",
        "context": {"runId": run_id},
        "payload": {"action": {"invocationMethod": method}, "properties": {"name": "Zoë", **changes}},
        "headers": {"X-Team": "a"},
    }
    content = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    fields = {"X-Port-Signature": sign(content, secret, STAMP), "X-Port-Timestamp": STAMP}
    document["headers"] = {"X-Team": "a", **fields}
    return document


def action_run(**changes: Any) -> dict[str, Any]:
    """Return an action run in the format that the agent claims."""
    kept = {"type": "WEBHOOK", "url": URL, "agent": True, "synchronized": True, "method": "POST", "headers": {"A": "1"}}
    return {"id": RUN, "payload": {**kept, "body": {"name": "Zoë"}, **changes}}


def node_run(**changes: Any) -> dict[str, Any]:
    """Return a node run in the format that the agent claims."""
    config = {"type": "WEBHOOK", "url": URL, "agent": True, "synchronized": True, "method": "POST"}
    config |= {"headers": {"X-Mine": "1"}, "body": {"a": "é"}, **changes}
    return {"identifier": NODE_RUN, "status": "IN_PROGRESS", "config": config, "pendingExecution": True}


def mappings_of(*documents: Any) -> tuple[AgentMapping, ...]:
    mappings, problems = read_mappings(list(documents))
    assert problems == ()
    return mappings


def predicted(
    jq: AgentJq,
    document: Any,
    mappings: Sequence[AgentMapping] = DEFAULT_MAPPINGS,
    *,
    transport: AgentTransport | None = None,
    secret: Secret = SECRET,
    timestamp: str = STAMP,
    is_detailed: bool = True,
    version: AgentVersion = AgentVersion.LATEST,
    client_id: str = "",
) -> Prediction:
    world = AgentWorld(
        mappings=mappings,
        settings=AgentSettings(secret=secret, client_id=client_id, version=version, is_detailed=is_detailed),
        timestamp=timestamp,
        evaluate=jq.evaluate,
        decipher=partial(open_aes_gcm, secret),
    )
    return predict(take_message(document, transport, secret, version=version), world)
