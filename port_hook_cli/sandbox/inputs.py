"""The inputs of a run against what its action asks for.

Only names, plain types, fixed lists of choices, defaults and fixed lists of required inputs are looked at: what an
action computes (a `jqQuery`) and what it says of a value's form (a pattern, a least length) is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from port_hook_cli.actions.retargeting import value_at

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def fill_inputs(action: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs with the defaults of those that are not given."""
    asked = _asked(action) or {}
    defaults = {name: rules["default"] for name, rules in asked.items() if _is_plain(rules, "default")}
    return {**defaults, **given}


def find_input_fault(action: Mapping[str, Any], given: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the inputs, naming one, or None."""
    asked = _asked(action)
    if asked is None:
        return None
    required = value_at(action, ("trigger", "userInputs", "required"))
    for name in required if isinstance(required, list) else ():
        if given.get(name) is None:
            return f"properties must have required property '{name}'"
    for name, value in given.items():
        if name not in asked:
            return f"properties must NOT have additional properties; found '{name}'"
        if value is not None and (words := _misfit(asked[name], value)):
            return f"properties/{name} {words}"
    return None


def _misfit(rules: Any, value: Any) -> str | None:
    if not isinstance(rules, Mapping):
        return None
    kind, choices = rules.get("type"), rules.get("enum")
    if isinstance(kind, str) and not _TYPES.get(kind, lambda _: True)(value):
        return f"must be {kind}"
    if isinstance(choices, list) and value not in choices:
        return f"must be equal to one of the allowed values: {', '.join(map(str, choices))}"
    return None


def _asked(action: Mapping[str, Any]) -> Mapping[str, Any] | None:
    asked = value_at(action, ("trigger", "userInputs", "properties"))
    return asked if isinstance(asked, Mapping) else None


def _is_plain(rules: Any, name: str) -> bool:
    if not isinstance(rules, Mapping) or name not in rules:
        return False
    value = rules[name]
    return not (isinstance(value, Mapping) and "jqQuery" in value)
