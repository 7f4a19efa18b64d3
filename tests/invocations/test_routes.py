"""The rules that decide where an invocation is forwarded."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.cli.listen_requests import read_routes
from port_hook_cli.invocations.models import Payload
from port_hook_cli.invocations.routes import BadRoute, RouteBy, Routes, split_route


def test_route_is_split_before_its_target() -> None:
    for text, by, name, target in [
        ("create_vm=8001", RouteBy.ACTION, "create_vm", "8001"),
        ("create_vm=http://h/?a=b", RouteBy.ACTION, "create_vm", "http://h/?a=b"),
        ("action:blueprint:x=8001", RouteBy.ACTION, "blueprint:x", "8001"),
        ("team:create_vm=8001", RouteBy.ACTION, "team:create_vm", "8001"),
        ("blueprint:vm=8001", RouteBy.BLUEPRINT, "vm", "8001"),
        ("deploy#check=8001", RouteBy.NODE, "deploy#check", "8001"),
        ("jq:.a=8001", RouteBy.JQ, ".a", "8001"),
        ('jq:.env == "prod"=8001', RouteBy.JQ, '.env == "prod"', "8001"),
        ('jq:.env == "prod"=http://h/?a=b', RouteBy.JQ, '.env == "prod"', "http://h/?a=b"),
        ('jq:.url == "http://a"=http://h', RouteBy.JQ, '.url == "http://a"', "http://h"),
        ("jq:.a\n== 1=http://h", RouteBy.JQ, ".a\n== 1", "http://h"),
    ]:
        assert split_route(text)[:3] == (by, name, target)


def test_route_without_a_rule_or_a_target_is_rejected() -> None:
    for text in [
        "", "=", "a", "a=", "=8001", "blueprint:=8001", "jq:=8001", "jq: =8001", "jq:.a", "#=1", "a#=1", "#b=1",
    ]:  # fmt: skip
        with pytest.raises(BadRoute):
            split_route(text)


@given(st.text(alphabet=string.printable, max_size=40), st.sampled_from(["8001", "http://h/?a=b"]))
def test_any_expression_is_split_from_its_target(expression: str, target: str) -> None:
    if expression.strip():
        assert split_route(f"jq:{expression}={target}") == (RouteBy.JQ, expression, target, f"jq:{expression}")


@given(st.text(max_size=60))
def test_splitting_any_text_as_a_route_raises_only_bad_route(text: str) -> None:
    try:
        _, name, target, label = split_route(text)
    except BadRoute:
        return
    assert name
    assert f"{label}={target}" == text


def _targets(routes: Routes, payload: Payload) -> list[str]:
    return [route.target for route in routes.candidates(payload)]


def test_matching_routes_are_candidates_in_their_order() -> None:
    texts = ["deploy#check=http://n", "jq:.a=http://j", "blueprint:vm=http://b", "scale=http://s", "scale=http://t"]
    routes = read_routes("http://d", texts, "/")
    assert _targets(routes, Payload(action="scale", blueprint="vm")) == ["http://j", "http://b", "http://s", "http://t"]
    assert _targets(routes, Payload(workflow="deploy", node="check")) == ["http://n", "http://j"]
    assert _targets(routes, Payload(workflow="deploy")) == ["http://j"]
    assert routes.expressions == (".a",)
    assert routes.targets == ("http://d", "http://n", "http://j", "http://b", "http://s", "http://t")


def test_routes_without_a_default_take_only_possible_matches() -> None:
    only = read_routes(None, ["scale=http://s"], "/")
    assert only.may_take(Payload(action="scale"))
    assert not only.may_take(Payload(action="other"))
    assert not only.may_take(Payload())
    assert read_routes(None, ["jq:.a=http://s"], "/").may_take(Payload())
    assert read_routes("http://d", [], "/").may_take(Payload())
