"""Workflows of many nodes, for tests and benchmarks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from port_hook_cli.workflows.workflow import MAX_NODES


def a_chain(url: str, *, nodes: int = MAX_NODES) -> dict[str, Any]:
    """Return a workflow of a trigger and `nodes` - 1 WEBHOOK nodes, each of which sends what the one before returned.

    The node n5 requests `url`/n5.
    """
    names = ["trigger", *(f"n{number}" for number in range(1, nodes))]
    inputs = {"service": {"type": "string"}}
    trigger = {"identifier": "trigger", "config": {"type": "SELF_SERVE_TRIGGER", "userInputs": {"properties": inputs}}}
    webhooks = [
        {
            "identifier": name,
            "config": {
                "type": "WEBHOOK",
                "url": f"{url}/{name}",
                "headers": {"x-run": "{{ .workflowRun.identifier }}"},
                "body": {
                    "service": "{{ .outputs.trigger.service }}",
                    "before": f"{{{{ .outputs.{before}.response }}}}",
                },
            },
        }
        for before, name in pairwise(names)
    ]
    connections = [{"sourceIdentifier": source, "targetIdentifier": target} for source, target in pairwise(names)]
    return {"identifier": "chain", "nodes": [trigger, *webhooks], "connections": connections}
