"""A workflow with a node for each way in which a run waits."""

from __future__ import annotations

from typing import Any


def approved_deployment(url: str) -> dict[str, Any]:
    """Return a workflow whose first node waits for the agent, the second for a response to its question."""
    body = {"service": "{{ .outputs.trigger.service }}"}
    return {
        "identifier": "approved",
        "title": "Approved deployment",
        "nodes": [
            {
                "identifier": "start",
                "config": {
                    "type": "SELF_SERVE_TRIGGER",
                    "userInputs": {"properties": {"service": {"type": "string"}}},
                },
            },
            {
                "identifier": "ship",
                "config": {"type": "WEBHOOK", "url": url, "agent": True, "synchronized": False, "body": body},
            },
            {
                "identifier": "ask",
                "config": {
                    "type": "INPUT",
                    "userInputs": {
                        "properties": {},
                        "buttons": [{"identifier": "yes", "label": "Yes", "variant": "PRIMARY"}],
                    },
                    "outlets": [
                        {"identifier": "yes", "title": "Yes", "evaluationMethod": "button", "numOfResponders": 1}
                    ],
                },
            },
            {"identifier": "tell", "config": {"type": "WEBHOOK", "url": url, "body": body}},
        ],
        "connections": [
            {"sourceIdentifier": "start", "targetIdentifier": "ship"},
            {"sourceIdentifier": "ship", "targetIdentifier": "ask"},
            {"sourceIdentifier": "ask", "targetIdentifier": "tell", "sourceOutletIdentifier": "yes"},
        ],
    }
