"""Expressions whose results may differ in Port."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.actions.jq_differences import jq_differences, template_differences

ZONE = 'strftime("%Z")'


@pytest.mark.parametrize(
    ("expression", "functions"),
    [
        ('.a | trimstr("x")', ["trimstr"]),
        ('"\\(.a | trimstr("x"))"', ["trimstr"]),
        ("def trimstr(f): f; trimstr(1)", []),
        (".trimstr | {trimstr, a: .b}", []),
        ("{trimstr: 1}", []),
        ("$trimstr", []),
        (".a | toboolean", ["toboolean"]),
        ("{a: toboolean}", ["toboolean"]),
        ("toboolean(1)", []),
        ('"a" * 0', ["*"]),
        ("'-' * 0.0", ["*"]),
        ('"\\(.a)" * 0', ["*"]),
        ('"a" * .n', ["*"]),
        ('.n * "a"', ["*"]),
        ("0 * .a", ["*"]),
        (".a *= 0", ["*"]),
        ('"a" * 3', []),
        ('"a" * -1', []),
        ('"a" * "b"', []),
        (".a * 2", []),
        ("0 * 5", []),
        ('now | strftime("%H:%M %Z")', [ZONE]),
        ('now | strftime("%H" + " %Z")', [ZONE]),
        ('now | strftime("100%%Z")', []),
        ('now | strftime("%H") + "%Z"', []),
        ('now | strftime(("%H")) | "%Z"', []),
        ('trimstr("a") | toboolean', ["trimstr", "toboolean"]),
        ('trimstr("a") | trimstr("b")', ["trimstr"]),
    ],
)
def test_a_difference_is_found_where_it_is_called(expression: str, functions: list[str]) -> None:
    assert [each.function for each in jq_differences([expression])] == functions


CALLS = st.sampled_from(['trimstr("x")', "toboolean", '"a" * 0', 'strftime("%Z")'])


@given(st.lists(CALLS | st.text(alphabet='trimstobolean(")*0 \\#{}'), max_size=5))
def test_nothing_is_found_in_a_string(parts: list[str]) -> None:
    assert jq_differences([f".a | {json.dumps(''.join(parts))}"]) == ()


@given(st.lists(CALLS | st.text(alphabet='trimstobolean(")*0 #{}'), max_size=5), CALLS)
def test_nothing_is_found_in_a_comment_but_in_the_line_after_it(parts: list[str], call: str) -> None:
    comment = f".a # {''.join(parts)}\n"
    assert jq_differences([comment]) == ()
    assert len(jq_differences([f"{comment} | {call}"])) == 1


def test_the_expressions_of_a_template_are_searched_once_each() -> None:
    template = {"a": "{{ toboolean }} trimstr(1)", "{{ trimstr(.k) }}": ["{{ toboolean }}", "}} broken"]}
    found = template_differences(template)
    assert [each.function for each in found] == ["toboolean", "trimstr"]
    assert found[0].message.startswith("{{ toboolean }} uses toboolean: Port's jq may not have it")


def test_a_template_that_is_nested_too_deep_has_no_differences() -> None:
    template: object = "{{ toboolean }}"
    for _ in range(200):
        template = [template]
    assert template_differences(template) == ()
