"""What is sent for a run: the seam to whoever makes an action's request, and a plain maker of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict, Unpack

from port_hook_cli.actions.action import PortAction, webhook_action
from port_hook_cli.actions.request import RunContext, default_payload
from port_hook_cli.errors import PortHookError, RenderError
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import write_json

_BODILESS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRequest:
    """An action's request as it is sent, but for the signature. `headers` are those that the action asks for.

    `body` is the exact bytes that are signed. With `agent`, it is Port's execution agent that sends it. `properties`
    are the run's inputs as Port keeps them, secret ones encrypted; None leaves them as they were given.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    agent: bool = False
    synchronized: bool = False
    properties: Mapping[str, Any] | None = None

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


class Asked(TypedDict):
    """What is known of a run whose request is asked for.

    `by` is the trigger's `by` (orgId, userId, user{email, ...}), `at` its time in RFC 3339. `entity` is a whole entity,
    with its `blueprint`.
    """

    properties: Mapping[str, Any]
    entity: Mapping[str, Any] | None
    run_id: str
    by: Mapping[str, Any]
    at: str


class RequestMaker(Protocol):
    """Makes the request of a run."""

    async def request(self, action: Mapping[str, Any], **asked: Unpack[Asked]) -> SandboxRequest:
        """Return what `action` (as Port's API shows it) sends; raises PortHookError when nothing can be sent."""
        ...


class PlainInvoker:
    """Sends an action's own body where that holds no template, and Port's old default payload where it has none.

    Its limits: it renders no templates, encrypts no inputs, and runs no automations.
    """

    async def request(self, action: Mapping[str, Any], **asked: Unpack[Asked]) -> SandboxRequest:
        """Return the request; raises RenderError for an action with templates, and UsageError for one that is none."""
        known = webhook_action(action)
        method = known.method
        for name, value in method.items():
            if "{{" in json.dumps(value):
                raise RenderError(f"The template in `{name}` of {known.identifier} is not rendered here.")
        document = method.get("body")
        if document is None:
            document = default_payload(known, _run(known, asked), method)
        verb = str(method.get("method", "POST")).upper()
        # Port's documentation does not say that a GET or DELETE has no body, so only GET goes without the default one.
        bodiless = verb in _BODILESS and "body" not in method
        return SandboxRequest(
            method=verb,
            url=str(method["url"]),
            headers=tuple((name, str(value)) for name, value in (method.get("headers") or {}).items()),
            body=b"" if bodiless else _write(document),
            agent=_is_true(method.get("agent")),
            synchronized=_is_true(method.get("synchronized")),
        )


def _run(action: PortAction, asked: Asked) -> RunContext:
    return RunContext(
        id=asked["run_id"],
        by=asked["by"],
        at=asked["at"],
        origin="API",
        operation=action.operation,
        properties=asked["properties"],
        entity=asked["entity"],
    )


def _write(document: Any) -> bytes:
    try:
        return write_json(document).encode("utf-8", "replace")
    except NotJson as problem:
        raise RenderError(f"The request's body cannot be written as JSON: {problem}.") from problem


def _as_document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def message_and_hint(problem: PortHookError) -> str:
    """Return a problem and what to do about it on one line."""
    return f"{problem.message} {problem.hint}".strip()
