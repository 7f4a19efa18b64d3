"""The request that is sent for a run, and the protocol of what makes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict, Unpack

from port_hook_cli.actions.action import KAFKA, WEBHOOK
from port_hook_cli.actions.kafka_messages import agent_message
from port_hook_cli.errors import PortHookError


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRequest:
    """An action's request without its signature, or its message. `headers` are the action's headers.

    `body` is the raw body that is signed. With `agent`, Port's execution agent sends the request. `properties`
    are the inputs as Port stores them, with secret inputs encrypted; None leaves them unchanged. `is_message` is true
    for a KAFKA action: `body` is its payload, and there is no URL. `integration` is the rendered invocation method of
    an INTEGRATION_ACTION, which its integration claims. It does not have a URL either.
    """

    method: str = "POST"
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    agent: bool = False
    synchronized: bool = False
    properties: Mapping[str, Any] | None = None
    is_message: bool = False
    integration: Mapping[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """Return the request as Port stores it in a run's `payload`."""
        if self.integration is not None:
            return dict(self.integration)
        if self.is_message:
            return {"type": KAFKA, "payload": _as_document(self.body)}
        return {**self._method(), "body": _as_document(self.body)}

    def message(self, run_id: str) -> Any:
        """Return the message that Port publishes for the request."""
        if self.is_message:
            return _as_document(self.body)
        return agent_message(_as_document(self.body), self._method(), run_id=run_id)

    def _method(self) -> dict[str, Any]:
        return {
            "type": WEBHOOK,
            "url": self.url,
            "agent": self.agent,
            "synchronized": self.synchronized,
            "method": self.method,
            "headers": dict(self.headers),
        }


class Asked(TypedDict):
    """The parameters of a run's request.

    `by` is the trigger's `by` (orgId, userId, user{email, ...}), `at` its time in RFC 3339. `entity` is the whole
    entity, with its `blueprint`. `secrets` are the organization's secrets by name.
    """

    properties: Mapping[str, Any]
    entity: Mapping[str, Any] | None
    run_id: str
    by: Mapping[str, Any]
    at: str
    secrets: Mapping[str, str]


class RequestMaker(Protocol):
    """Makes the request of a run."""

    async def request(self, action: Mapping[str, Any], **asked: Unpack[Asked]) -> SandboxRequest:
        """Return what `action` (as Port's API shows it) sends; raises PortHookError if there is no request to send."""
        ...


def _as_document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def message_and_hint(problem: PortHookError) -> str:
    """Return an error's message and hint on one line."""
    return f"{problem.message} {problem.hint}".strip()
