"""The effect of a node, computed with jq: its expressions, its request, and its outcome after a response."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any, Protocol

from port_hook_cli.actions.jq_differences import JqToken, TokenKind, jq_tokens
from port_hook_cli.actions.request import TEMPLATED, RenderedRequest, assemble_parts, is_url
from port_hook_cli.actions.template_braces import BadTemplate, requote
from port_hook_cli.actions.templates import Rendering, prepare
from port_hook_cli.engines.outcomes import JqError, Undefined
from port_hook_cli.errors import RenderError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json
from port_hook_cli.runs.fate import RunFate, fails_any_node
from port_hook_cli.text.safe import brief
from port_hook_cli.workflows.workflow import Node, NodeType, Outlet

_CONTINUES = "continue"


class NodeResult(StrEnum):
    """The result of a node run or of a whole run. Port's workflows use FAILED where its actions use FAILURE."""

    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@frozen(kw_only=True)
class NodeOutcome:
    """The outcome of a node run.

    With `result` None, the node run stays IN_PROGRESS until the handler reports its result.

    Later nodes see `output` as `.outputs["id"]`. `remarks` say what Port does not document about this case.
    """

    result: NodeResult | None
    output: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def failed(message: str, *, remarks: tuple[str, ...] = ()) -> NodeOutcome:
    """Return the outcome of a failed node. Its output is Port's `{"error": {"message": …}}`."""
    return NodeOutcome(result=NodeResult.FAILED, output={"error": {"message": message}}, remarks=remarks)


def not_run(node: Node, hint: str) -> NodeOutcome:
    """Return the outcome of a node that only Port runs, such as an AI node, when the user passed no output for it."""
    return failed(f"port-hook does not run {brief(node.type)} nodes. {hint}")


def webhook_outcome(node: Node, delivery: Delivery, *, synchronized: bool) -> NodeOutcome:
    """Return the outcome that a response to a WEBHOOK node's request has in Port.

    `synchronized` is the node's rendered flag. A synchronized node succeeds with a 2xx. An asynchronous node stays
    IN_PROGRESS until the handler reports its result.
    """
    if delivery.fault == "timeout":
        return _timed_out(node, delivery, synchronized=synchronized)
    if delivery.status is None:
        return failed(delivery.error or "The request failed.")
    if not delivery.ok and (synchronized or fails_any_node(delivery.status)):
        return failed(f"The webhook responded with status {delivery.status}.", remarks=_rejection_remarks(synchronized))
    if not synchronized:
        return NodeOutcome(result=None)
    return NodeOutcome(
        result=NodeResult.SUCCESS,
        output={"response": {"status": delivery.status, "data": response_data(delivery.body)}},
    )


def response_data(body: bytes) -> Any:
    """Return the body of a response as `.response.data`: its JSON value, or text.

    Like the agent, return `{}` for an empty body.
    """
    text = body.decode("utf-8", "replace")
    try:
        value = read_json(text)
    except NotJson:
        value = text
    return value or {}


def entity_fault(blueprint: str, entity: Mapping[str, Any]) -> str:
    """Return why an UPSERT_ENTITY node with this rendered config cannot save its entity, or "".

    Port generates a missing `mapping.identifier` (its page on this node).
    """
    if not blueprint:
        return "The node needs a `blueprintIdentifier`."
    if "identifier" in entity and (not isinstance(entity["identifier"], str) or not entity["identifier"]):
        return "The node's `mapping.identifier` must render to text."
    for part in ("properties", "relations"):
        if not isinstance(entity.get(part) or {}, Mapping):
            return f"The node's `mapping.{part}` must render to an object."
    return ""


def saved_entity(entity: Mapping[str, Any], *, remarks: tuple[str, ...] = ()) -> NodeOutcome:
    """Return the outcome of an UPSERT_ENTITY node that saved `entity`.

    The output is `.response.data` (Port's skill files), which contains the identifier (Port's closed beta pages). Its
    other fields are not documented.
    """
    return NodeOutcome(result=NodeResult.SUCCESS, output={"response": {"data": entity}}, remarks=remarks)


def _timed_out(node: Node, delivery: Delivery, *, synchronized: bool) -> NodeOutcome:
    if node.config.get("onTimeout") != _CONTINUES:
        return failed(delivery.error or "The request timed out.", remarks=("Port does not document how long it waits",))
    if synchronized:
        return NodeOutcome(result=NodeResult.SUCCESS, output={"timeout": True})
    return NodeOutcome(result=None, remarks=(f"after the timeout the node {RunFate.WAITS} (`onTimeout: continue`)",))


def _rejection_remarks(synchronized: bool) -> tuple[str, ...]:
    if synchronized:
        return ("Port does not document which statuses count as success. Here, 2xx does",)
    return (
        "Port does not document what this status does to an asynchronous node. Through its execution agent, it fails",
    )


class Renders(Protocol):
    """Renders templates and runs jq programs. `engines.renderer.Renderer` implements this protocol."""

    async def arender_and_tell(self, template: Any, data: Any, *, strict: bool = False) -> Rendering:
        """Return `template` rendered with `data`, and the expressions that failed. Raises RenderError."""
        ...

    async def aevaluate(self, programs: Sequence[str], data: Any) -> Sequence[Any]:
        """Return the result of each jq program for `data`: a value, UNDEFINED or a JqError. Raises RenderError."""
        ...


async def webhook_request(
    node: Node, data: Mapping[str, Any], renders: Renders, *, node_run_id: str, strict: bool = False
) -> RenderedRequest:
    """Return the unsigned request of a WEBHOOK node. Raises RenderError.

    A node without a `body` gets an empty body. Port does not document what it sends in this case.
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
    """Return a node's config with its templates rendered, and the expressions that failed. Raises RenderError."""
    rendering = await renders.arender_and_tell(dict(node.config), data, strict=strict)
    return (rendering.value if isinstance(rendering.value, Mapping) else {}), rendering.errors


class ConditionFailed(RenderError):
    """An expression of a CONDITION node failed. This fails the node and the run."""


async def choose_outlet(node: Node, data: Mapping[str, Any], renders: Renders) -> Outlet | None:
    """Return the first outlet of a CONDITION whose expression is true, or None for the fallback.

    Raises ConditionFailed. The expressions are jq without braces. They get the same data as templates.
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


def require_outlet(node: Node, identifier: str, *, hint: str = "") -> Outlet:
    """Return the outlet of an INPUT node that a response selects. Raises UsageError, which lists the valid outlets."""
    found = next((outlet for outlet in node.outlets if outlet.identifier == identifier), None)
    if found is None:
        names = ", ".join(outlet.identifier for outlet in node.outlets) or "none"
        raise UsageError(f"The node {node.identifier} has no outlet {identifier}. It has: {names}.", hint=hint)
    return found


async def with_variables(
    node: Node, outcome: NodeOutcome, data: Mapping[str, Any], renders: Renders
) -> tuple[NodeOutcome, tuple[str, ...], tuple[JqError, ...]]:
    """Return a finished node's outcome with rendered `variables`, its links, and the expressions that failed.

    `variables` replace the node's whole output, so `response` is lost unless a variable contains it (Port's docs and
    skill files). An older text of Port merges both. `.result` is the node's own output. A failed node keeps its error.
    """
    if outcome.result is not NodeResult.SUCCESS or not (node.variables or node.links):
        return outcome, (), ()
    seen = {**data, "result": outcome.output}
    rendering = await renders.arender_and_tell({"variables": dict(node.variables), "links": list(node.links)}, seen)
    parts = rendering.value if isinstance(rendering.value, Mapping) else {}
    links = _valid_links(node, parts.get("links", []), rendering.errors)
    skipped = tuple(f"Port skips the link {template}" for template in node.links if template not in links)
    output = parts.get("variables", {}) if node.variables else outcome.output
    outcome = NodeOutcome(result=outcome.result, output=output, remarks=(*outcome.remarks, *skipped))
    return outcome, tuple(links.values()), rendering.errors


def _valid_links(node: Node, rendered: Sequence[Any], errors: Sequence[JqError]) -> dict[str, str]:
    """Return the rendered links by template, without links that are not URLs or whose expression failed.

    Port skips these (its page on configuration and outputs).
    """
    failed_ones = [error.expression for error in errors]
    return {
        template: link
        for template, link in zip(node.links, rendered, strict=False)
        if isinstance(link, str) and is_url(link) and not any(each in template for each in failed_ones)
    }


_BEFORE_A_PATH = frozenset({TokenKind.FIELD, TokenKind.CLOSE, TokenKind.NAME, TokenKind.VARIABLE, TokenKind.STRING_END})
_KEYWORDS = frozenset({"if", "then", "elif", "else", "and", "or", "reduce", "foreach", "try", "catch"})


def node_expressions(node: Node) -> tuple[str, ...]:
    """Return the unrendered expressions in a node's config, variables, links and outlets, each expression once.

    A trigger's config has no templates, and the outlets of a CONDITION are jq without braces.
    """
    template = {"config": _rendered_config(node), "variables": dict(node.variables), "links": list(node.links)}
    try:
        found = prepare(template).expressions
    except BadTemplate:  # it is nested too deeply, which rendering reports
        found = ()
    outlets = [outlet.expression for outlet in node.outlets] if node.type == NodeType.CONDITION else []
    return tuple(dict.fromkeys([*found, *filter(None, outlets)]))


def used_outputs(node: Node) -> tuple[str, ...]:
    """Return the names that a node's expressions read from `.outputs`, each name once.

    This function finds `.outputs.NAME` and `.outputs["NAME"]`. It doesn't find a name that jq computes.
    """
    programs = map(requote, node_expressions(node))
    return tuple(dict.fromkeys(name for program in programs for name in _outputs_in(tuple(jq_tokens(program)))))


def reads_response(node: Node) -> bool:
    """Return whether a node's `variables` or links read `.response`, as in Port's closed beta documentation.

    Port's later documentation uses `.result.response`.
    """
    template = {"variables": dict(node.variables), "links": list(node.links)}
    try:
        found = prepare(template).expressions
    except BadTemplate:  # it is nested too deeply, which rendering reports
        return False
    return any(_paths_from(tuple(jq_tokens(requote(each))), ".response") for each in found)


def _rendered_config(node: Node) -> dict[str, Any]:
    if node.is_trigger or node.type == NodeType.CONDITION:
        return {}
    if node.type == NodeType.WEBHOOK:
        return {name: node.config[name] for name in TEMPLATED if name in node.config}
    return dict(node.config)


def _outputs_in(tokens: Sequence[JqToken]) -> Iterator[str]:
    for index in _paths_from(tokens, ".outputs"):
        following = [each for each in tokens[index + 1 : index + 8] if each.text not in {"?", "."}]
        if (name := _name_in(following)) is not None:
            yield name


def _paths_from(tokens: Sequence[JqToken], name: str) -> list[int]:
    """Return where a path begins with `name`. A member of another value, such as `.workflow.outputs`, doesn't count."""
    return [
        index
        for index, token in enumerate(tokens)
        if token.kind is TokenKind.FIELD
        and token.text == name
        and not (index and tokens[index - 1].kind in _BEFORE_A_PATH and tokens[index - 1].text not in _KEYWORDS)
    ]


def _name_in(following: Sequence[JqToken]) -> str | None:
    """Return the name in a path that begins with these tokens: `.name`, `["name"]` or `."name"`."""
    kinds = [each.kind for each in following]
    if kinds[:1] == [TokenKind.FIELD]:
        return following[0].text[1:]
    if following and following[0].text == "[":
        following, kinds = following[1:], kinds[1:]
    if kinds[:3] != [TokenKind.STRING_START, TokenKind.PIECE, TokenKind.STRING_END]:
        return None
    try:
        return str(json.loads(f'"{following[1].text}"'))
    except ValueError:  # an escape that is not JSON's
        return None
