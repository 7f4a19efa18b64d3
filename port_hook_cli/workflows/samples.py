"""A sample workflow: "Deploy service", whose WEBHOOK node is asynchronous."""

from __future__ import annotations

from typing import Any

DEPLOY_SERVICE = "deploy_service"


def deploy_service(url: str) -> dict[str, Any]:
    """Return the workflow "Deploy service" as Port's API accepts it. Its node `deploy` calls `url`.

    The body of the node contains the ID of the node run, because the handler needs the ID for its report and Port
    doesn't add the ID.
    """
    inputs = ("service", "version")
    body = {
        "workflow": "{{ .workflow.identifier }}",
        "node": "deploy",
        "nodeRunId": "{{ .workflowNodeRun.identifier }}",
        "workflowRunId": "{{ .workflowRun.identifier }}",
        "by": "{{ .workflowRun.trigger.by.email }}",
        "inputs": {name: f'{{{{ .outputs["trigger"].{name} }}}}' for name in inputs},
    }
    form = {"properties": {name: {"type": "string", "title": name.title()} for name in inputs}}
    return {
        "identifier": DEPLOY_SERVICE,
        "title": "Deploy service",
        "nodes": [
            {"identifier": "trigger", "config": {"type": "SELF_SERVE_TRIGGER", "userInputs": form}},
            {
                "identifier": "deploy",
                "title": "Deploy",
                "config": {"type": "WEBHOOK", "url": url, "synchronized": False, "body": body},
            },
        ],
        "connections": [{"sourceIdentifier": "trigger", "targetIdentifier": "deploy"}],
    }
