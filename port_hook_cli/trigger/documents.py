"""The documents that a trigger is made of, each in the shapes that people have at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EVENT_FIELDS = frozenset({"diff", "context", "resourceType"})


class BadDocument(ValueError):
    """A document of another shape; the message goes on from its name."""


def read_inputs(document: Any) -> dict[str, Any]:
    """Return inputs by name. Of a payload or a run as Port shows it, those that it holds."""
    found = _object(document)
    payload = found.get("payload")
    if isinstance(payload, Mapping) and isinstance(payload.get("properties"), Mapping):
        return dict(payload["properties"])
    return dict(found)


def read_entity(document: Any) -> Mapping[str, Any]:
    """Return an entity; of an answer of Port's API, the one that it holds."""
    found = _unwrapped(_object(document), "entity", unless={"identifier"})
    if not isinstance(found.get("identifier"), str):
        raise BadDocument("has no `identifier`, which an entity has")
    return found


def read_event(document: Any) -> Mapping[str, Any]:
    """Return an automation's event; of a captured payload, the one that it holds."""
    return _unwrapped(_object(document), "event", unless=EVENT_FIELDS)


def read_by(document: Any, default: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `trigger.by` for a user: the document itself where it is one, else `default` with that user in it."""
    found = _unwrapped(_object(document), "user", unless={"userId", "orgId", "email"})
    if "user" in found or "orgId" in found:
        return found
    user_id = found.get("userId", found.get("id"))
    return {**default, **({"userId": user_id} if isinstance(user_id, str) else {}), "user": found}


def read_secrets(document: Any) -> dict[str, str]:
    """Return secrets by name; each is a text."""
    found = _object(document)
    for name, value in found.items():
        if not isinstance(value, str):
            raise BadDocument(f"holds {name}, which is no text, and a secret is one")
    return dict(found)


def _object(document: Any) -> Mapping[str, Any]:
    if not isinstance(document, Mapping):
        raise BadDocument("is no object")
    return document


def _unwrapped(found: Mapping[str, Any], name: str, *, unless: frozenset[str] | set[str]) -> Mapping[str, Any]:
    inner = found.get(name)
    return inner if isinstance(inner, Mapping) and not unless & found.keys() else found
