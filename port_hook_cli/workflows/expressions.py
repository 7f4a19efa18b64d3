"""The jq expressions of a node, and the outputs of other nodes that they use."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from port_hook_cli.actions.jq_differences import JqToken, TokenKind, jq_tokens
from port_hook_cli.actions.request import TEMPLATED
from port_hook_cli.actions.template_braces import BadTemplate, requote
from port_hook_cli.actions.templates import prepare
from port_hook_cli.workflows.workflow import Node, NodeType

_BEFORE_A_PATH = frozenset({TokenKind.FIELD, TokenKind.CLOSE, TokenKind.NAME, TokenKind.VARIABLE, TokenKind.STRING_END})
_KEYWORDS = frozenset({"if", "then", "elif", "else", "and", "or", "reduce", "foreach", "try", "catch"})


def node_expressions(node: Node) -> tuple[str, ...]:
    """Return the expressions of a node as they are written, each once: of its config, variables, links and outlets.

    A trigger's config has no templates, and the outlets of a CONDITION are jq without braces.
    """
    template = {"config": _rendered_config(node), "variables": dict(node.variables), "links": list(node.links)}
    try:
        found = prepare(template).expressions
    except BadTemplate:  # it is nested too deep, which rendering it says
        found = ()
    outlets = [outlet.expression for outlet in node.outlets] if node.type == NodeType.CONDITION else []
    return tuple(dict.fromkeys([*found, *filter(None, outlets)]))


def used_outputs(node: Node) -> tuple[str, ...]:
    """Return the names that a node's expressions read from `.outputs`, each once.

    `.outputs.NAME` and `.outputs["NAME"]` are found; a name that jq computes is not.
    """
    programs = map(requote, node_expressions(node))
    return tuple(dict.fromkeys(name for program in programs for name in _outputs_in(tuple(jq_tokens(program)))))


def reads_response(node: Node) -> bool:
    """Return whether a node's `variables` or links read `.response`, as in Port's closed beta documentation.

    The later documentation has `.result.response`.
    """
    template = {"variables": dict(node.variables), "links": list(node.links)}
    try:
        found = prepare(template).expressions
    except BadTemplate:  # it is nested too deep, which rendering it says
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
    """Return where a path begins with `name`, but not as a member of another value, such as `.workflow.outputs`."""
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
