"""What is sent for a run: the seam to whoever makes an action's request, and a plain maker of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from port_hook_cli.core.ecmajson import NotJson, stringify
from port_hook_cli.errors import PortHookError, RenderError

_BODILESS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedRequest:
    """An action's request as it is sent, but for the signature. `headers` are those that the action asks for.

    `body` is the exact bytes that are signed. With `agent`, it is Port's execution agent that sends it.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    agent: bool = False
    synchronized: bool = False

    def document(self) -> dict[str, Any]:
        """Return the request as Port keeps it in a run's `payload`."""
        return {
            "type": "WEBHOOK",
            "url": self.url,
            "agent": self.agent,
            "synchronized": self.synchronized,
            "method": self.method,
            "headers": dict(self.headers),
            "body": _as_document(self.body),
        }


class Invoker(Protocol):
    """Makes the request of a run."""

    async def request(
        self,
        action: Mapping[str, Any],
        *,
        properties: Mapping[str, Any],
        entity: Mapping[str, Any] | None,
        run_id: str,
        by: Mapping[str, Any],
        at: str,
    ) -> RenderedRequest:
        """Return what `action` (as Port's API shows it) sends; raises PortHookError when nothing can be sent.

        `by` is the trigger's `by` (orgId, userId, user{email, ...}), `at` its time in RFC 3339. `entity` is a whole
        entity, with its `blueprint`.
        """
        ...


class PlainInvoker:
    """Sends an action's own body where that holds no template, and Port's old default payload where it has none.

    Its limits: it renders no templates, encrypts no inputs, and runs no automations.
    """

    async def request(
        self,
        action: Mapping[str, Any],
        *,
        properties: Mapping[str, Any],
        entity: Mapping[str, Any] | None,
        run_id: str,
        by: Mapping[str, Any],
        at: str,
    ) -> RenderedRequest:
        """Return the request; raises RenderError for an action with templates, and for one that is no webhook."""
        method = action["invocationMethod"]
        for name, value in method.items():
            if "{{" in json.dumps(value):
                raise RenderError(f"The template in `{name}` of {action['identifier']} is not rendered here.")
        document = method.get("body")
        if document is None:
            document = _default_payload(action, properties, entity, run_id, by, at)
        verb = str(method.get("method", "POST")).upper()
        # Port's documentation does not say that a GET or DELETE has no body, so only GET goes without the default one.
        bodiless = verb in _BODILESS and "body" not in method
        return RenderedRequest(
            method=verb,
            url=str(method["url"]),
            headers=tuple((name, str(value)) for name, value in (method.get("headers") or {}).items()),
            body=b"" if bodiless else _write(document),
            agent=_is_true(method.get("agent")),
            synchronized=_is_true(method.get("synchronized")),
        )


def _default_payload(
    action: Mapping[str, Any],
    properties: Mapping[str, Any],
    entity: Mapping[str, Any] | None,
    run_id: str,
    by: Mapping[str, Any],
    at: str,
) -> dict[str, Any]:
    trigger = action["trigger"]
    shown = {name: action[name] for name in ("id", "identifier", "title", "icon") if name in action}
    return {
        "action": action["identifier"],
        "resourceType": "run",
        "status": "TRIGGERED",
        "trigger": {"by": by, "origin": "API", "at": at},
        "context": {
            "entity": entity and entity.get("identifier"),
            "blueprint": trigger.get("blueprintIdentifier"),
            "runId": run_id,
        },
        "payload": {
            "entity": entity,
            "action": {
                **shown,
                "trigger": {"type": trigger.get("type"), "operation": trigger.get("operation")},
                "invocationMethod": action["invocationMethod"],
            },
            "properties": properties,
            "censoredProperties": [],
        },
    }


def _write(document: Any) -> bytes:
    try:
        return stringify(json.dumps(document)).encode("utf-8", "replace")
    except (NotJson, RecursionError) as problem:
        raise RenderError(f"The request's body cannot be written as JSON: {problem}.") from problem


def _as_document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def in_words(problem: PortHookError) -> str:
    """Return a problem and what to do about it on one line."""
    return f"{problem.message} {problem.hint}".strip()
