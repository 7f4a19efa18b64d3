"""What becomes of a WEBHOOK node when its request is answered, or is not.

Sources: Port's pages on workflow nodes and runs, and the published execution agent. What Port does not document is
said in `NodeOutcome.remarks`, never guessed in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from port_hook_cli.invocations.models import Delivery
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json
from port_hook_cli.workflows.workflow import Node

_REDIRECTED = 3
_CONTINUES = "continue"


class NodeResult(StrEnum):
    """How a node's run, or a whole run, ends. Port's workflows say FAILED where its actions say FAILURE."""

    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOutcome:
    """What a node's run has come to. `result` None means that it stays IN_PROGRESS until it is reported.

    `output` is what later nodes see as `.outputs["id"]`; `remarks` say what Port does not document about this case.
    """

    result: NodeResult | None
    output: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def failed(message: str, *, remarks: tuple[str, ...] = ()) -> NodeOutcome:
    """Return the outcome of a node that failed; its output is Port's `{"error": {"message": …}}`."""
    return NodeOutcome(result=NodeResult.FAILED, output={"error": {"message": message}}, remarks=remarks)


def webhook_outcome(node: Node, delivery: Delivery, *, synchronized: bool) -> NodeOutcome:
    """Return what Port makes of the response to a WEBHOOK node's request.

    `synchronized` is the node's rendered flag. A synchronized node succeeds with a 2xx. An asynchronous one waits for
    a report.
    """
    if delivery.fault == "timeout":
        return _timed_out(node, delivery, synchronized=synchronized)
    if delivery.status is None:
        return failed(delivery.error or "The request failed.")
    if not delivery.ok and (synchronized or delivery.status // 100 != _REDIRECTED):
        return failed(f"The webhook responded with status {delivery.status}.", remarks=_refusal_remarks(synchronized))
    if not synchronized:
        return NodeOutcome(result=None)
    return NodeOutcome(
        result=NodeResult.SUCCESS,
        output={"response": {"status": delivery.status, "data": response_data(delivery.body)}},
    )


def response_data(body: bytes) -> Any:
    """Return a response's body as `.response.data`: JSON where it is JSON, else text; `{}` for none, as the agent."""
    text = body.decode("utf-8", "replace")
    try:
        value = read_json(text)
    except NotJson:
        value = text
    return value or {}


def _timed_out(node: Node, delivery: Delivery, *, synchronized: bool) -> NodeOutcome:
    if node.config.get("onTimeout") != _CONTINUES:
        return failed(delivery.error or "The request timed out.", remarks=("Port does not document how long it waits",))
    if synchronized:
        return NodeOutcome(result=NodeResult.SUCCESS, output={"timeout": True})
    return NodeOutcome(result=None, remarks=("after the timeout the node waits for a report (`onTimeout: continue`)",))


def _refusal_remarks(synchronized: bool) -> tuple[str, ...]:
    if synchronized:
        return ("Port does not document which statuses count as success; 2xx does here",)
    return (
        "Port does not document what this status does to an asynchronous node; through its execution agent it fails",
    )
