"""The sample action "Create VM" of Port's guides, and its default payload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

USER: Mapping[str, str] = {"email": "zoe@example.com", "firstName": "Zoe", "lastName": "Doe"}
"""The sample user who starts a run."""

NON_ASCII_USER: Mapping[str, str] = {"email": "zoë@example.com", "firstName": "Zoë", "lastName": "Doe"}
"""The sample user of `check`. JSON serializers differ in how they write this name."""


def create_vm(run_id: str, *, at: str, user: Mapping[str, str] = USER) -> dict[str, Any]:
    """Return the payload of a "Create VM" run. `at` is the time when `user` started the run, in RFC 3339."""
    return {
        "action": "create_vm",
        "resourceType": "run",
        "status": "TRIGGERED",
        "trigger": {
            "by": {
                "orgId": "org_BneDtWovPqXaA2VZ",
                "userId": "auth0|62ceaea697ca00f09d7c4f45",
                "user": dict(user),
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
                "trigger": "CREATE",
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


def create_vm_action() -> dict[str, Any]:
    """Return the "Create VM" action in the format of Port's API, with the same inputs as `create_vm`."""
    action: dict[str, Any] = create_vm("", at="")["payload"]["action"]
    inputs = {"title": "string", "cpu": "number", "memory": "number", "region": "string"}
    properties = {name: {"type": kind, "title": name.title()} for name, kind in inputs.items()}
    return {
        **action,
        "icon": "Server",
        "description": "Create a virtual machine",
        "trigger": {
            "type": "self-service",
            "operation": action["trigger"],
            "blueprintIdentifier": "vm",
            "userInputs": {"properties": properties, "required": ["title"], "order": list(inputs)},
        },
        "requiredApproval": False,
        "publish": True,
    }
