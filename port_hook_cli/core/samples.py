"""A sample invocation: the "Create VM" action of Port's guides, in the default shape of a webhook payload."""

from __future__ import annotations

from typing import Any


def create_vm(run_id: str, *, at: str) -> dict[str, Any]:
    """Return the payload of a run of "Create VM"; `at` is the time of the click, in RFC 3339."""
    return {
        "action": "create_vm",
        "resourceType": "run",
        "status": "TRIGGERED",
        "trigger": {
            "by": {
                "orgId": "org_BneDtWovPqXaA2VZ",
                "userId": "auth0|62ceaea697ca00f09d7c4f45",
                "user": {"email": "zoë@example.com", "firstName": "Zoë", "lastName": "Doe"},
            },
            "origin": "UI",
            "at": at,
        },
        "context": {"entity": None, "blueprint": "vm", "runId": run_id},
        "payload": {
            "entity": None,
            "action": {
                "identifier": "create_vm",
                "title": "Create VM",
                "trigger": {"type": "self-service", "operation": "CREATE"},
                "invocationMethod": {
                    "type": "WEBHOOK",
                    "url": "https://example.com",
                    "agent": False,
                    "synchronized": False,
                    "method": "POST",
                },
            },
            "properties": {"title": "dev-env", "cpu": 2, "memory": 4, "region": "eu-west-1"},
            "censoredProperties": [],
        },
    }
