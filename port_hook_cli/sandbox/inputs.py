"""The inputs of a run that is started through the API: defaults filled in, and checked.

Rules that the action computes (`jqQuery`) are not checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from port_hook_cli.actions.action import BadAction
from port_hook_cli.actions.inputs import as_sent, plain_defaults, settle
from port_hook_cli.actions.retargeting import value_at
from port_hook_cli.actions.schema import fault_message
from port_hook_cli.engines.json_schema import find_faults


def fill_inputs(action: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs, with fixed defaults for those that are not given."""
    return {**plain_defaults(_declared(action) or {}, given), **given}


def find_input_fault(action: Mapping[str, Any], given: Mapping[str, Any]) -> str | None:
    """Return the first fault of the inputs, with the input's name, or None."""
    declared = _declared(action)
    if declared is None:
        return None
    rules = settle(declared, value_at(action, ("trigger", "userInputs", "required")), {})
    for name in rules.required:
        if given.get(name) is None:
            return f"properties must have required property '{name}'"
    for name, value in given.items():
        if name not in rules.declared:
            return f"properties must NOT have additional properties; found '{name}'"
        if value is not None and (message := _fault(rules.declared[name], value)):
            return f"properties/{name} {message}"
    return None


def _fault(rules: Mapping[str, Any], value: Any) -> str | None:
    try:
        faults = find_faults(rules, as_sent(rules, value))
    except BadAction as error:
        return f"is declared incorrectly, {error}"
    return fault_message(faults[0]) if faults else None


def _declared(action: Mapping[str, Any]) -> Mapping[str, Any] | None:
    declared = value_at(action, ("trigger", "userInputs", "properties"))
    return declared if isinstance(declared, Mapping) else None
