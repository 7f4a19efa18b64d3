"""Read one of Port's actions or automations: what starts it, which inputs it accepts, and which request it sends.

Port's API reference describes the fields, under "Change an action/automation".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any

from port_hook_cli.errors import SourceError
from port_hook_cli.frozen import frozen

WEBHOOK = "WEBHOOK"
KAFKA = "KAFKA"
INTEGRATION_ACTION = "INTEGRATION_ACTION"
# A document with one of these keys is the definition itself. Any other document is an API response that contains it.
_FIELDS = frozenset({"identifier", "invocationMethod", "nodes", "schema", "trigger"})
# This hint doesn't contain an option name, because the pytest plugin prints it too.
_SENDS_NO_REQUEST = (
    "Use a WEBHOOK action here. To run a KAFKA action or an INTEGRATION_ACTION, start `port-hook sandbox` and send it "
    "POST /v1/actions/ID/runs."
)
CONVERTED = "{} is in the format before version 2 and was converted"
"""The note for the user about a converted action. The placeholder is the action's identifier."""

OPERATIONS = ("CREATE", "DAY-2", "DELETE")
_MOVED = frozenset({"trigger", "userInputs", "blueprint", "order"})


class BadAction(ValueError):
    """The document is not an action or automation that Port invokes.

    The message continues a sentence about the document.
    """


class NotChosen(BadAction):
    """The document has several actions, or another action. `example` is the identifier of one of them."""

    def __init__(self, message: str, example: str) -> None:
        super().__init__(message)
        self.example = example


class OtherMethod(BadAction):
    """The caller does not support the type of an action's invocation method."""


class ActionKind(StrEnum):
    """What starts an action: a user or an event."""

    SELF_SERVICE = "self-service"
    AUTOMATION = "automation"


@frozen(kw_only=True)
class PortAction:
    """An action or automation that sends a webhook, or that publishes a message to Port's Kafka topic.

    `inputs` are the declared inputs by name. It is None if the action declares none, so given inputs cannot be checked.
    `required` is a list of names, or a `jqQuery` that returns a list. `condition` is the trigger's
    condition, unchecked.
    `is_published` is false for an action with `publish: false`, which is disabled in Port. `method` is the invocation
    method. `approval` is whether Port waits for an approval before it sends the request.
    """

    identifier: str
    kind: ActionKind
    title: str | None = None
    operation: str | None = None
    blueprint: str | None = None
    inputs: Mapping[str, Any] | None = None
    required: Any = ()
    condition: Any = None
    approval: bool = False
    is_published: bool = True
    method: Mapping[str, Any] = field(repr=False)

    @property
    def has_body(self) -> bool:
        """Whether the action has its own body template. Otherwise, Port sends its default payload."""
        return self.method.get("payload" if self.is_message else "body") is not None

    @property
    def is_message(self) -> bool:
        """Whether Port publishes a message for the user's own consumer instead of sending a request."""
        return self.method.get("type") == KAFKA

    @property
    def is_for_integration(self) -> bool:
        """Whether an integration claims the run, so Port doesn't send a request."""
        return self.method.get("type") == INTEGRATION_ACTION


def read_action(document: Any, *, methods: Sequence[str] = (WEBHOOK,)) -> PortAction:
    """Return the action from a document that Port's API accepts or returns. Raises BadAction.

    `methods` are the types of invocation methods that the caller supports.
    """
    action = unwrapped(document, "action")
    if not isinstance(action, Mapping):
        raise BadAction(f"is {_noun(action)}, but an action is an object")
    identifier = action.get("identifier")
    if not isinstance(identifier, str) or not identifier:
        raise BadAction("has no `identifier`")
    trigger = _part(action, "trigger")
    if trigger.get("type") not in list(ActionKind):
        raise BadAction("has a `trigger` whose `type` is neither self-service nor automation")
    kind = ActionKind(trigger["type"])
    asked = trigger.get("userInputs")
    inputs = asked.get("properties") if isinstance(asked, Mapping) else None
    event = trigger.get("event")
    return PortAction(
        identifier=identifier,
        kind=kind,
        title=_text(action.get("title")),
        operation=_text(trigger.get("operation")),
        blueprint=_text(trigger.get("blueprintIdentifier"))
        or _text(event.get("blueprintIdentifier") if isinstance(event, Mapping) else None),
        inputs=inputs if isinstance(inputs, Mapping) else None,
        required=asked.get("required") or () if isinstance(asked, Mapping) else (),
        condition=trigger.get("condition"),
        approval=bool(action.get("requiredApproval")),
        is_published=action.get("publish") is not False,
        method=_method(_part(action, "invocationMethod"), methods),
    )


def webhook_action(document: Any) -> PortAction:
    """Return the webhook action from a document. Raises UsageError with the action's identifier."""
    return invoked_action(document, methods=(WEBHOOK,))


def invoked_action(document: Any, *, methods: Sequence[str] = (WEBHOOK, KAFKA)) -> PortAction:
    """Return the action from a document, like `read_action`. Raises UsageError with the action's identifier."""
    try:
        return read_action(document, methods=methods)
    except BadAction as error:
        action = unwrapped(document, "action")
        identifier = action.get("identifier") if isinstance(action, Mapping) else None
        hint = _SENDS_NO_REQUEST if isinstance(error, OtherMethod) else "Fix the action."
        name = f"The action {identifier}" if identifier else "The action"
        raise SourceError(f"{name} {error}.", hint=hint) from error


def pick_action(document: Any, identifier: str | None) -> Any:
    """Return the action `identifier` from a document with one or more actions. Raises BadAction.

    If `identifier` is None, the document must contain exactly one action.
    """
    listed = definitions_in(document, "action")
    names = [_name(each) for each in listed]
    if identifier is None and len(listed) == 1:
        return listed[0]
    if identifier in names:
        return listed[names.index(identifier)]
    if len(listed) == 1:
        raise NotChosen(f"has the action {names[0]}, not {identifier}", names[0])
    which = f"has {len(names)} actions, but not {identifier}" if identifier else f"has {len(names)} actions"
    shown = ", ".join([*names[:20], *("…" for _ in names[20:21])])
    raise NotChosen(f"{which}: {shown}", names[0]) if names else BadAction(which)


def definitions_in(document: Any, noun: str) -> list[Any]:
    """Return the definitions in a document, which is one definition, an array of them, or an API response.

    Port's API responds with `{"ok": true, "action": …}` or `{"ok": true, "actions": […]}`. `noun` is `action`,
    `workflow` or `blueprint`.
    """
    is_response = isinstance(document, Mapping) and not _FIELDS & document.keys()
    listed = document.get(f"{noun}s") if is_response else document
    return [unwrapped(each, noun) for each in (listed if isinstance(listed, list) else [document])]


def unwrapped(document: Any, noun: str) -> Any:
    """Return the definition in an API response (`{"ok": true, "action": …}`), or the document itself."""
    if isinstance(document, Mapping) and isinstance(document.get(noun), Mapping) and not _FIELDS & document.keys():
        return document[noun]
    return document


def _method(method: Mapping[str, Any], known: Sequence[str]) -> Mapping[str, Any]:
    kind = method.get("type")
    if kind not in known:
        raise OtherMethod(f"is invoked by {kind or 'an unknown method'}, but only a {WEBHOOK} sends a request")
    if kind == WEBHOOK and method.get("url") is None:
        raise BadAction("has no `url` in its `invocationMethod`")
    return method


def _part(action: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = action.get(name)
    if not isinstance(part, Mapping):
        raise BadAction(f"has no `{name}`")
    return part


def _name(action: Any) -> str:
    name = action.get("identifier") if isinstance(action, Mapping) else None
    return name if isinstance(name, str) else "(without an identifier)"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _noun(value: Any) -> str:
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, Sequence) else "empty" if value is None else "a single value"


def is_version1(document: Any) -> bool:
    """Return whether an action has the old format: its trigger is a string, or its inputs are at the top level."""
    return (
        isinstance(document, Mapping)
        and "invocationMethod" in document
        and (isinstance(document.get("trigger"), str) or ("userInputs" in document and "trigger" not in document))
    )


def converted(document: Mapping[str, Any]) -> dict[str, Any]:
    """Convert an action from the old format to the current one. Raises BadAction for an unconvertible field."""
    operation = document.get("trigger")
    if operation not in OPERATIONS:
        raise BadAction(
            f"is in the format before version 2, and its `trigger` is not {' or '.join(OPERATIONS)}, so it cannot be "
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
