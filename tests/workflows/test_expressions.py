"""The expressions of a node, and the outputs that they use."""

from __future__ import annotations

from typing import Any

from port_hook_cli.workflows.nodes import node_expressions, used_outputs
from port_hook_cli.workflows.workflow import Node, Outlet


def webhook(url: str, **fields: Any) -> Node:
    return Node(
        identifier="a", type="WEBHOOK", config={"type": "WEBHOOK", "url": url, "onFailure": "{{ no }}"}, **fields
    )


def test_expressions_come_from_every_rendered_field_and_outlet() -> None:
    node = webhook("http://{{ .host }}/{{ .host }}", variables={"v": ["{{ .v }}"]}, links=("{{ .link }}",))
    assert [each.strip() for each in node_expressions(node)] == [".host", ".v", ".link"]
    outlets = (Outlet(identifier="x", expression=".a"), Outlet(identifier="y"))
    config = {"outlets": [{"title": "{{ .b }}"}]}
    assert node_expressions(Node(identifier="c", type="CONDITION", config=config, outlets=outlets)) == (".a",)
    assert node_expressions(Node(identifier="t", type="EVENT_TRIGGER", config={"x": "{{ .b }}"})) == ()


def test_outputs_in_an_expression_are_found() -> None:
    rows: list[tuple[Any, Any]] = [
        (".outputs.check.ok", ["check"]),
        ('.outputs["is-ok"].a', ["is-ok"]),
        ("'x' + .outputs['b c']", []),
        ('.outputs."b"', ["b"]),
        (".outputs?.b?", ["b"]),
        ('.a | .outputs.b, (.outputs["c"] // .outputs.b)', ["b", "c"]),
        ("if .outputs.b then .outputs.c else .outputs.d end", ["b", "c", "d"]),
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
    ]
    for expression, names in rows:
        assert list(used_outputs(webhook(f"{{{{ {expression} }}}}"))) == names
