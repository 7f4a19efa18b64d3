"""What a node does, worked out with jq: the request of a WEBHOOK node, the outlet of a CONDITION, an entity, an output.

Nothing is sent here. The renderer is the caller's, so that one jq process serves a whole run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from port_hook_cli.actions.request import TEMPLATED, RenderedRequest, assemble_parts
from port_hook_cli.actions.templates import JqError, Rendering, Undefined
from port_hook_cli.errors import RenderError
from port_hook_cli.workflows.outcome import NodeOutcome, NodeResult
from port_hook_cli.workflows.workflow import Node, Outlet


class Renders(Protocol):
    """Renders templates and runs jq programs; `engines.renderer.Renderer` is one."""

    async def arender_and_tell(self, template: Any, data: Any, *, strict: bool = False) -> Rendering:
        """Return what `template` became over `data`, and what failed; raises RenderError."""
        ...

    async def aevaluate(self, programs: Sequence[str], data: Any) -> Sequence[Any]:
        """Return what each jq program gives over `data`: a value, UNDEFINED or a JqError; raises RenderError."""
        ...


async def webhook_request(
    node: Node, data: Mapping[str, Any], renders: Renders, *, node_run_id: str, strict: bool = False
) -> RenderedRequest:
    """Return the request of a WEBHOOK node, all but its signature; raises RenderError.

    A node without a `body` sends none: Port does not document what it sends then.
    """
    template = {name: node.config[name] for name in TEMPLATED if node.config.get(name) is not None}
    rendering = await renders.arender_and_tell(template, data, strict=strict)
    parts = rendering.value if isinstance(rendering.value, Mapping) else {}
    return assemble_parts(
        parts, owner=f"The node {node.identifier}", run_id=node_run_id, synchronized=True, errors=rendering.errors
    )


async def rendered_config(
    node: Node, data: Mapping[str, Any], renders: Renders, *, strict: bool = False
) -> tuple[Mapping[str, Any], tuple[JqError, ...]]:
    """Return a node's config with its templates rendered, and the expressions that failed; raises RenderError."""
    rendering = await renders.arender_and_tell(dict(node.config), data, strict=strict)
    return (rendering.value if isinstance(rendering.value, Mapping) else {}), rendering.errors


class ConditionFailed(RenderError):
    """An expression of a CONDITION node failed, which fails the node and the run."""


async def choose_outlet(node: Node, data: Mapping[str, Any], renders: Renders) -> Outlet | None:
    """Return the first outlet of a CONDITION whose expression is true, None for the fallback; raises ConditionFailed.

    The expressions are jq without braces, over what templates see.
    """
    outcomes = await renders.aevaluate([outlet.expression or "null" for outlet in node.outlets], data)
    for outlet, outcome in zip(node.outlets, outcomes, strict=True):
        if isinstance(outcome, JqError):
            raise ConditionFailed(
                f"The expression of the outlet {outlet.identifier} of {node.identifier} failed: {outcome.message}.",
                hint="Correct the expression.",
            )
        if not isinstance(outcome, Undefined) and outcome is not None and outcome is not False:
            return outlet
    return None


async def with_variables(
    node: Node, outcome: NodeOutcome, data: Mapping[str, Any], renders: Renders
) -> tuple[NodeOutcome, tuple[str, ...], tuple[JqError, ...]]:
    """Return a finished node's outcome with `variables` rendered, its links, and the expressions that failed.

    `variables` replace the node's whole output, so `response` is gone unless they say it again (Port's docs and skill
    files; an older text merges them). `.result` is the node's own output. A failed node keeps its error.
    """
    if outcome.result is not NodeResult.SUCCESS or not (node.variables or node.links):
        return outcome, (), ()
    seen = {**data, "result": outcome.output}
    rendering = await renders.arender_and_tell({"variables": dict(node.variables), "links": list(node.links)}, seen)
    parts = rendering.value if isinstance(rendering.value, Mapping) else {}
    links = tuple(link for link in parts.get("links", []) if isinstance(link, str))
    if not node.variables:
        return outcome, links, rendering.errors
    output = NodeOutcome(result=outcome.result, output=parts.get("variables", {}), remarks=outcome.remarks)
    return output, links, rendering.errors
