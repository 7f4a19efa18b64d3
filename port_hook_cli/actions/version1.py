"""Actions in the format before Port's version 2, as the READMEs of published examples still show them.

There, `userInputs` and `blueprint` are at the top, and `trigger` is the operation: `"CREATE"`, `"DAY-2"`, `"DELETE"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from port_hook_cli.actions.action import BadAction

CONVERTED = "{} is in the format before version 2; it was converted"
"""What to tell the user, with the action's identifier."""

OPERATIONS = ("CREATE", "DAY-2", "DELETE")
_MOVED = frozenset({"trigger", "userInputs", "blueprint", "order"})


def is_version1(document: Any) -> bool:
    """Whether a document is an action in the old format: its trigger is a string, or its inputs are at the top."""
    return (
        isinstance(document, Mapping)
        and "invocationMethod" in document
        and (isinstance(document.get("trigger"), str) or ("userInputs" in document and "trigger" not in document))
    )


def converted(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return an action of the old format in the current one; raises BadAction that names what cannot be converted."""
    operation = document.get("trigger")
    if operation not in OPERATIONS:
        raise BadAction(
            f"is in the format before version 2, and its `trigger` is none of {', '.join(OPERATIONS)}, so it cannot be "
            "converted"
        )
    inputs = document.get("userInputs", {})
    if not isinstance(inputs, Mapping) or not isinstance(inputs.get("properties", {}), Mapping):
        raise BadAction("is in the format before version 2, and its `userInputs` cannot be converted")
    blueprint = document.get("blueprint")
    trigger = {
        "type": "self-service",
        "operation": operation,
        "userInputs": {"properties": {}, "required": [], **inputs},
        **({"blueprintIdentifier": blueprint} if isinstance(blueprint, str) else {}),
    }
    rest = {name: value for name, value in document.items() if name not in _MOVED}
    return {**rest, "trigger": trigger}
