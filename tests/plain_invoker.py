"""An invoker for the sandbox without jq, so that tests of the sandbox don't start a process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from port_hook_cli.actions.action import PortAction, invoked_action
from port_hook_cli.actions.made_request import Asked, MadeRequest
from port_hook_cli.actions.request import RunContext, default_payload
from port_hook_cli.javascript.values import write_json


class PlainInvoker:
    """Sends an action's own body, or Port's old default payload without a body. It doesn't render templates."""

    async def request(self, action: Mapping[str, Any], **asked: Unpack[Asked]) -> MadeRequest:
        """Return the request."""
        known = invoked_action(action)
        method = known.method
        document = method.get("payload" if known.is_message else "body")
        if document is None:
            document = default_payload(known, _run(known, asked), method)
        if known.is_message:
            return MadeRequest(body=write_json(document).encode(), is_message=True)
        verb = str(method.get("method", "POST")).upper()
        bodiless = verb == "GET" and "body" not in method
        return MadeRequest(
            method=verb,
            url=str(method["url"]),
            headers=tuple((name, str(value)) for name, value in (method.get("headers") or {}).items()),
            body=b"" if bodiless else write_json(document).encode(),
            agent=method.get("agent") is True,
            synchronized=method.get("synchronized") is True,
        )


def _run(action: PortAction, asked: Asked) -> RunContext:
    return RunContext(
        id=asked["run_id"],
        by=asked["by"],
        at=asked["at"],
        origin="API",
        properties=asked["properties"],
        entity=asked["entity"],
    )
