"""The documents for a triggered run, each in several formats that users have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EVENT_FIELDS = frozenset({"diff", "context", "resourceType"})


class BadDocument(ValueError):
    """A document in another format; the message continues a sentence that begins with the document's name."""


def read_inputs(document: Any) -> dict[str, Any]:
    """Return inputs by name: the document itself, or the inputs in a payload or in a run as Port shows it."""
    found = _object(document)
    payload = found.get("payload")
    if isinstance(payload, Mapping) and isinstance(payload.get("properties"), Mapping):
        return dict(payload["properties"])
    return dict(found)


def read_entity(document: Any) -> Mapping[str, Any]:
    """Return an entity: the document itself, or the entity in a response of Port's API."""
    found = _unwrapped(_object(document), "entity", unless={"identifier"})
    if not isinstance(found.get("identifier"), str):
        raise BadDocument("is not an entity: it has no `identifier`")
    return found


def read_event(document: Any) -> Mapping[str, Any]:
    """Return an automation's event: the document itself, or the event in a captured payload."""
    return _unwrapped(_object(document), "event", unless=EVENT_FIELDS)


def read_by(document: Any, default: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `trigger.by`: the document itself if it is one, else `default` with the document as its user."""
    found = _unwrapped(_object(document), "user", unless={"userId", "orgId", "email"})
    if "user" in found or "orgId" in found:
        return found
    user_id = found.get("userId", found.get("id"))
    return {**default, **({"userId": user_id} if isinstance(user_id, str) else {}), "user": found}


def read_secrets(document: Any) -> dict[str, str]:
    """Return secrets by name; each value is a string."""
    found = _object(document)
    for name, value in found.items():
        if not isinstance(value, str):
            raise BadDocument(f"contains {name}, which is not a string")
    return dict(found)


def _object(document: Any) -> Mapping[str, Any]:
    if not isinstance(document, Mapping):
        raise BadDocument("is not an object")
    return document


def _unwrapped(found: Mapping[str, Any], name: str, *, unless: frozenset[str] | set[str]) -> Mapping[str, Any]:
    inner = found.get(name)
    return inner if isinstance(inner, Mapping) and not unless & found.keys() else found
