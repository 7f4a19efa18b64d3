"""The expressions of a node, and the outputs that they use."""

from __future__ import annotations

from typing import Any

import pytest

from port_hook_cli.workflows.nodes import node_expressions, used_outputs
from port_hook_cli.workflows.workflow import Node, Outlet


def webhook(url: str, **fields: Any) -> Node:
    return Node(
        identifier="a", type="WEBHOOK", config={"type": "WEBHOOK", "url": url, "onFailure": "{{ no }}"}, **fields
    )


def test_expressions_come_from_every_rendered_field() -> None:
    node = webhook("http://{{ .host }}/{{ .host }}", variables={"v": ["{{ .v }}"]}, links=("{{ .link }}",))
    assert [each.strip() for each in node_expressions(node)] == [".host", ".v", ".link"]


def test_condition_has_the_expressions_of_its_outlets_and_a_trigger_has_none() -> None:
    outlets = (Outlet(identifier="x", expression=".a"), Outlet(identifier="y"))
    config = {"outlets": [{"title": "{{ .b }}"}]}
    assert node_expressions(Node(identifier="c", type="CONDITION", config=config, outlets=outlets)) == (".a",)
    assert node_expressions(Node(identifier="t", type="EVENT_TRIGGER", config={"x": "{{ .b }}"})) == ()


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        (".outputs.check.ok", ["check"]),
        ('.outputs["is-ok"].a', ["is-ok"]),
        ("'x' + .outputs['b c']", []),
        ('.outputs."b"', ["b"]),
        (".outputs?.b?", ["b"]),
        ('.a | .outputs.b, (.outputs["c"] // .outputs.b)', ["b", "c"]),
        ("if .outputs.b then .outputs.c else .outputs.d end", ["b", "c", "d"]),
        ("if .a then 1 elif .outputs.b then 2 end", ["b"]),
        (".a and .outputs.b or .outputs.c", ["b", "c"]),
        ("try .outputs.b catch .outputs.c", ["b", "c"]),
        ("reduce .outputs.b[] as $x (0; . + $x)", ["b"]),
        ("[foreach .outputs.b[] as $x (0; . + $x)]", ["b"]),
        ('"\\(.outputs.b)"', ["b"]),
        ('".outputs.b" # .outputs.c', []),
        (".workflow.outputs.b", []),
        (".outputs[.name]", []),
        ('.outputs["\\(.a)"]', []),
        ('.outputs["\\x"]', []),
        (".outputs", []),
    ],
)
def test_outputs_in_an_expression_are_found(expression: str, names: list[str]) -> None:
    assert list(used_outputs(webhook(f"{{{{ {expression} }}}}"))) == names
