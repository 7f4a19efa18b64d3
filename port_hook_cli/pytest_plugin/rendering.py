"""The sandbox's own sender of runs, for backends that start runs themselves: it renders as the fixtures do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from port_hook_cli.adapters.sandbox import RenderedRequest
from port_hook_cli.core import run_request
from port_hook_cli.core.port_actions import BadAction, PortAction, read_action
from port_hook_cli.errors import UsageError
from port_hook_cli.flows.triggering import Invoker


class RenderingInvoker:
    """Makes the request of a run that was started through the sandbox's API; `invoker` is asked for when it is needed.

    It has the shape that `Sandbox.start` takes.
    """

    def __init__(self, invoker: Callable[[], Invoker]) -> None:
        self._invoker = invoker

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
        """Return what the action sends; raises PortHookError when nothing can be sent."""
        request = await self._invoker().request(
            as_port_action(action), run_id=run_id, by=by, at=at, properties=properties, entity=entity, origin="API"
        )
        return as_sent(request)


def as_port_action(document: Any) -> PortAction:
    """Return an action as Port's API takes or shows it; raises UsageError for anything else."""
    try:
        return read_action(document)
    except BadAction as error:
        identifier = document.get("identifier") if isinstance(document, Mapping) else None
        raise UsageError(f"The action {identifier or 'that was given'} {error}.") from error


def as_sent(request: run_request.RenderedRequest) -> RenderedRequest:
    """Return a request as the sandbox takes it: with its bytes, and with header fields as text."""
    return RenderedRequest(
        method=request.method,
        url=request.url,
        # A rendered field is the wire's bytes as Latin-1.
        headers=tuple((name, value.encode("latin-1").decode("utf-8")) for name, value in request.headers),
        body=request.content,
        agent=request.agent,
        synchronized=request.synchronized,
    )
