"""Remarks on how a run on this machine may differ from a run in Port. This module is pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from port_hook_cli.actions.action import ActionKind, PortAction
from port_hook_cli.actions.inputs import form_queries
from port_hook_cli.actions.jq_differences import JqDifference, jq_differences, template_differences
from port_hook_cli.actions.request import RenderedRequest, is_url, request_template, unusual_headers
from port_hook_cli.engines.outcomes import JqError
from port_hook_cli.text.remark import Remark, first_remarks, note, warning
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.secret import Masker
from port_hook_cli.trigger.run_data import RunData

_NULL = re.compile(r"\bnull\b")
_ON_AN_ENTITY = frozenset({"DAY-2", "DELETE"})


def action_remarks(action: PortAction, data: RunData) -> Iterator[Remark]:
    """Yield notes on missing data of an action run, and on steps that only Port takes."""
    operation = action.operation
    if action.kind is ActionKind.SELF_SERVICE and operation in _ON_AN_ENTITY and data.entity is None:
        yield note(
            f"a {operation} action needs an entity, and `.entity` is empty. Pass the entity with --with entity=FILE"
        )
    if action.approval:
        yield note("Port sends this after an approval, but trigger sends it immediately")
    if not action.is_published:
        yield unpublished_remark("the action has `publish: false`")
    if isinstance(action.condition, Mapping) and action.condition.get("type") != "JQ":
        yield note("the action's condition, which selects entities, is not checked")


def action_differences(action: PortAction) -> Iterator[Remark]:
    """Yield remarks on what Port may evaluate differently in the condition, the form and the templates of an action."""
    condition = condition_expressions(action.condition)
    bare = jq_differences([*condition, *form_queries(action.inputs or {}, action.required)])
    return difference_remarks((*bare, *template_differences(request_template(action))))


def unpublished_remark(what: str) -> Remark:
    """Return the note about an action or trigger that is disabled in Port. `what` is the start of the sentence."""
    return note(f"{what}, so it is disabled in Port. Port does not document how its API responds to a run")


def condition_expressions(condition: Any) -> list[str]:
    """Return the jq expressions of the condition of an automation or of a workflow's trigger."""
    listed = condition.get("expressions") if isinstance(condition, Mapping) else None
    return [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []


def difference_remarks(differences: Iterable[JqDifference]) -> Iterator[Remark]:
    """Yield notes about functions in expressions that Port's jq may not have or may run differently."""
    return first_remarks((note(printable(difference.message)) for difference in differences), "differences")


def failed_expressions(errors: Iterable[JqError], masker: Masker) -> Iterator[Remark]:
    """Yield warnings about the expressions that failed and became null."""
    outcomes = (warning(printable(masker.message(error.became_null))) for error in errors)
    return first_remarks(outcomes, "expressions that became null")


def agent_remarks(request: RenderedRequest) -> Iterator[Remark]:
    """Yield a note if Port's agent would send the request."""
    if request.agent:
        yield note(
            "the action has `agent` enabled: in Port, the execution agent would send this request "
            "(--to kafka://HOST:PORT publishes it for the agent)"
        )


def request_remarks(request: RenderedRequest, masker: Masker, *, node: str | None = None) -> Iterator[Remark]:
    """Yield a note for a placeholder URL, for each header with null, and for each header with non-ASCII characters.

    If the request belongs to a workflow node, `node` is this node.
    """
    owner = "the action" if node is None else f"the node {brief(node)}"
    if not is_url(request.url):
        yield placeholder_remark(masker.text(request.url), owner)
    of_node = "" if node is None else f" of {owner}"
    for name, value in request.headers:
        if _NULL.search(value):
            yield note(f"the header {brief(name)}{of_node} contains null. --with secrets=FILE sets secrets")
    for name in unusual_headers(request):
        text = f"the header {brief(name)}{of_node} has non-ASCII characters. Port does not document"
        yield note(f"{text} whether or how it sends them. port-hook sends UTF-8")


def placeholder_remark(url: str, owner: str) -> Remark:
    """Return the note that a URL is a placeholder and is not used."""
    return note(f"{owner}'s URL is {brief(url)}, which is not a URL. The request goes to the given target")
