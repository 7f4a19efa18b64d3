"""Port's side of an invocation: check the inputs, fill in what is left out, encrypt what is secret, render."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from port_hook_cli.core.port_actions import PortAction
from port_hook_cli.core.run_request import RenderedRequest, Run, assemble, request_template, template_data
from port_hook_cli.core.templates import Rendering


class Renders(Protocol):
    """Renders templates with jq; adapters/rendering.Renderer is one."""

    async def arender_and_tell(self, template: Any, data: Any, *, strict: bool = False) -> Rendering:
        """Return what `template` became over `data`, and what failed; raises RenderError."""
        ...


class Invoker:
    """Makes the requests that Port sends for runs of actions and automations.

    One serves any number of runs, also at once. With `strict`, an expression that fails raises RenderError instead of
    becoming null.
    """

    def __init__(self, renderer: Renders, *, strict: bool = False) -> None:
        self._renderer = renderer
        self._strict = strict

    async def request(
        self,
        action: PortAction,
        *,
        run_id: str,
        by: Mapping[str, Any],
        at: str,
        properties: Mapping[str, Any] | None = None,
        entity: Mapping[str, Any] | None = None,
        event: Mapping[str, Any] | None = None,
        operation: str | None = None,
        origin: str = "UI",
        secrets: Mapping[str, Any] | None = None,
    ) -> RenderedRequest:
        """Return the request of a run, all but its signature.

        `properties` are the inputs by name, as `POST /v1/actions/{id}/runs` takes them; `by` is `trigger.by`, `at` the
        time in RFC 3339. Raises InvalidInputs with every violation, RenderError, and SettingsError for an encrypted
        input without a client secret.
        """
        run = Run(
            id=run_id,
            by=by,
            at=at,
            origin=origin,
            operation=operation or action.operation,
            inputs=properties or {},
            properties=properties or {},
            entity=entity,
            event=event,
            secrets=secrets or {},
        )
        data = template_data(action, run)
        rendering = await self._renderer.arender_and_tell(request_template(action), data, strict=self._strict)
        return assemble(action, run, rendering.value, rendering.errors)

    async def unmet(self, action: PortAction, event: Mapping[str, Any] | None) -> Sequence[str]:
        """Return the expressions of an automation's condition that keep it from running for `event`; empty: it runs."""
        raise NotImplementedError
