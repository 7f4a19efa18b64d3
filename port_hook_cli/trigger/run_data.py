"""The data of a run, and the documents that contain the data, in each of the formats that users have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from port_hook_cli.actions.action import ActionKind, PortAction
from port_hook_cli.actions.inputs import secret_texts
from port_hook_cli.actions.samples import create_vm
from port_hook_cli.frozen import frozen

SAMPLE_STARTER: Mapping[str, Any] = create_vm("", at="")["trigger"]["by"]
"""The `trigger.by` of a run if no user is given: a sample user who starts the run."""

EVENT_FIELDS = frozenset({"diff", "context", "resourceType"})


class BadDocument(ValueError):
    """The document is in another format. The message continues a sentence that starts with the name of the document."""


@frozen(kw_only=True)
class RunData:
    """The data from which a run of an action or a workflow is made.

    `properties` are the inputs by name, in the format of `POST /v1/actions/{id}/runs`. `by` is `trigger.by`. `secrets`
    are the organization's secrets by name. `origin` is UI or API.
    """

    properties: Mapping[str, Any] = field(default_factory=dict)
    by: Mapping[str, Any] = field(default_factory=lambda: SAMPLE_STARTER)
    entity: Mapping[str, Any] | None = None
    event: Mapping[str, Any] | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    origin: str = "UI"

    def secret_values(self, form: PortAction) -> list[str]:
        """Return the texts that must be masked: the secrets, and the values of the form's encrypted inputs."""
        return [*self.secrets.values(), *secret_texts(form.inputs or {}, self.properties)]


def default_starter(action: PortAction, event: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the `trigger.by` of a run without a given user: the user in an automation's event, or the sample user."""
    trigger = event.get("trigger") if event is not None and action.kind is ActionKind.AUTOMATION else None
    by = trigger.get("by") if isinstance(trigger, Mapping) else None
    return by if isinstance(by, Mapping) else SAMPLE_STARTER


def read_inputs(document: Any) -> dict[str, Any]:
    """Return inputs by name: the document itself, or the inputs in a payload or in a run of Port's API."""
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


def read_by(document: Any, default: Mapping[str, Any] = SAMPLE_STARTER) -> Mapping[str, Any]:
    """Return `trigger.by`: the document itself if it has this format, or `default` with the document as its user."""
    found = _unwrapped(_object(document), "user", unless={"userId", "orgId", "email"})
    if "user" in found or "orgId" in found:
        return found
    user_id = found.get("userId", found.get("id"))
    return {**default, **({"userId": user_id} if isinstance(user_id, str) else {}), "user": found}


def read_secrets(document: Any) -> dict[str, str]:
    """Return the secrets in a document by name. Each value is a string."""
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
