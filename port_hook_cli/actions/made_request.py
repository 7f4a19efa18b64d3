"""An action's request or message as Port makes it, before it is signed and sent. This module is pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypedDict

from port_hook_cli.actions.action import KAFKA, WEBHOOK
from port_hook_cli.actions.kafka_messages import agent_message
from port_hook_cli.frozen import frozen


@frozen(kw_only=True)
class MadeRequest:
    """An action's request before it is signed, or an action's message. `headers` are the headers that the action sets.

    The signature covers the raw `body`. With `agent`, Port's execution agent sends the request. `properties` are the
    inputs as Port stores them, with encrypted secret inputs. None leaves the inputs unchanged. `is_message` is true for
    a KAFKA action: `body` is the payload of the message, and there is no URL. `integration` is the rendered invocation
    method of an INTEGRATION_ACTION, which its integration claims. An INTEGRATION_ACTION does not have a URL either.
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
    """The parameters for the request of a run.

    `by` is the trigger's `by` (orgId, userId, user{email, ...}), and `at` is the time of the trigger in RFC 3339.
    `entity` is the whole entity, with its `blueprint`. `secrets` are the organization's secrets by name.
    """

    properties: Mapping[str, Any]
    entity: Mapping[str, Any] | None
    run_id: str
    by: Mapping[str, Any]
    at: str
    secrets: Mapping[str, str]


def _as_document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
