"""A declared input as JSON Schema, and what is wrong with a value, in messages like Port's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEYWORDS = frozenset(
    {
        *("type", "enum", "const", "format", "pattern", "minLength", "maxLength", "minimum", "maximum"),
        *("exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems", "uniqueItems", "items"),
    }
)
"""The keywords of a declaration that are checked. All others are Port's own: icons, colors, datasets."""

_MESSAGES = {
    "enum": "must be equal to one of the allowed values: {limit}",
    "const": "must be equal to constant",
    "format": 'must match format "{limit}"',
    "pattern": 'must match pattern "{limit}"',
    "minLength": "must NOT have fewer than {limit} characters",
    "maxLength": "must NOT have more than {limit} characters",
    "minimum": "must be >= {limit}",
    "maximum": "must be <= {limit}",
    "exclusiveMinimum": "must be > {limit}",
    "exclusiveMaximum": "must be < {limit}",
    "multipleOf": "must be multiple of {limit}",
    "minItems": "must NOT have fewer than {limit} items",
    "maxItems": "must NOT have more than {limit} items",
    "uniqueItems": "must NOT have duplicate items",
}
_MAX_CHOICES = 20
_MARK = re.compile(r"\\.|\[|\]|\$|\(\?<(?![=!])|.", re.DOTALL)
_ASCII_CLASSES = {r"\d": "0-9", r"\w": "A-Za-z0-9_"}
_NOT_ASCII_CLASSES = {r"\D": "[^0-9]", r"\W": "[^A-Za-z0-9_]"}


@dataclass(frozen=True, slots=True)
class Fault:
    """A keyword that a value violates, the keyword's value, and the path in the value (indices of arrays)."""

    keyword: str
    limit: Any
    path: tuple[str | int, ...] = ()


def schema_of(rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a declaration that is JSON Schema."""
    schema = {key: value for key, value in rules.items() if key in KEYWORDS}
    if isinstance(schema.get("items"), Mapping):
        schema["items"] = schema_of(schema["items"])
    else:
        schema.pop("items", None)
    return schema


def fault_message(fault: Fault) -> str:
    """Return the message of Port's validator for a fault. It never contains the value, which may be a secret."""
    where = "".join(f"[{step}] " if isinstance(step, int) else f".{step} " for step in fault.path)
    if fault.keyword == "type":
        kinds = fault.limit if isinstance(fault.limit, list) else [fault.limit]
        return f"{where}must be {' or '.join(map(str, kinds))}"
    limit = fault.limit
    if isinstance(limit, list):
        limit = ", ".join(map(str, limit[:_MAX_CHOICES])) + (", …" if len(limit) > _MAX_CHOICES else "")
    return where + _MESSAGES.get(fault.keyword, "is not valid").format(limit=limit)


def python_pattern(pattern: str) -> str:
    r"""Return a JavaScript pattern for Python, where `$` means the very end, and `\d` and `\w` are ASCII."""
    in_class = False
    parts = []
    for mark in _MARK.findall(pattern):
        if mark in _ASCII_CLASSES:
            parts.append(_ASCII_CLASSES[mark] if in_class else f"[{_ASCII_CLASSES[mark]}]")
        elif mark in _NOT_ASCII_CLASSES and not in_class:
            parts.append(_NOT_ASCII_CLASSES[mark])
        elif mark == "$" and not in_class:
            parts.append(r"\Z")
        elif mark == "(?<" and not in_class:
            parts.append("(?P<")
        elif mark == "[" and in_class:
            parts.append(r"\[")
        else:
            in_class = mark == "[" or (in_class and mark != "]")
            parts.append(mark)
    return "".join(parts)
