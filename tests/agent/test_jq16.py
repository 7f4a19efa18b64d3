"""Expressions that jq 1.6, which the agent contains, cannot compile, although port-hook's jq can."""

from __future__ import annotations

import jq  # type: ignore[import-not-found]  # it has no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.agent.jq16 import newer_than_agent

NEWER = {
    "if .a then 1 end": "requires an `else`",
    "if .a then 1 elif .b then 2 end": "requires an `else`",
    "if .a then (if .b then 1 end) else 2 end": "requires an `else`",
    "pick(.a)": "has no `pick`",
    ".a | @urid": "has no `@urid`",
    '"\\(.a | trim)"': "has no `trim`",
    ".a.[0]": "does not know `.[` after a value: write `[`",
    ".a?.[0]": "does not know `.[` after a value: write `[`",
    "[.a].[0]": "does not know `.[` after a value: write `[`",
    '"k" as $k | {$k: 1}': "needs parentheses around the key $k",
    "{a: 1 + 2}": "needs parentheses around a value with `+` in an object",
    "{a: .b // 1}": "needs parentheses around a value with `//` in an object",
    "{x: 1, a: .b and true}": "needs parentheses around a value with `and` in an object",
    "{a: {b: 1 == 2}}": "needs parentheses around a value with `==` in an object",
    "{a: if . then 1 else 2 end}": "needs parentheses around a value with `if` in an object",
    '{a: try error("x") catch 1}': "needs parentheses around a value with `try` in an object",
    "{a: reduce .[] as $x (0; . + $x)}": "needs parentheses around a value with `reduce` in an object",
    "{a: foreach .[] as $x (0; . + $x)}": "needs parentheses around a value with `foreach` in an object",
    "{a: [[1], {c: 2}], b: 1 + 2}": "needs parentheses around a value with `+` in an object",
    "{a: .b | 1 - 2}": "needs parentheses around a value with `-` in an object",
}
KNOWN = [
    "if . then 1 else 2 end",
    "if . then 1 elif . then 2 else 3 end",
    "def pick(f): 1; pick(.a)",
    '"pick(.a) # if"',
    ".trim",
    ".[0]",
    ".a[0]",
    ".a | .[0]",
    "if . then .[0] else .[1] end",
    "[.[]?]",
    ".a.b",
    '.a."b"',
    "..|.[0]?",
    "{a: .b}",
    "{a: -1}",
    "{a: (1 + 2)}",
    "{a: .b | -1}",
    "{a: [1 + 2]}",
    '{a: "\\(1 + 2)"}',
    "{(.a + .b): 1}",
    "{a: .[1:2]}",
    "{$__loc__}",
    "{a: f(1 + 2)} | def f(g): g; .",
    ". as {a: $x} | $x + 1",
    ". as {$a: [$b]} | $b",
    "{a, b: 1, $x}",
    "{a: .b?, c: ..}",
    '{"a b": 1, "c": 2}',
    "{if: 1, reduce: 2}",
    "{a: 1} + {b: 2}",
    '{@base64 "x": 1}',
    "{a: $x}",
    "{a: not}",
]


@pytest.mark.parametrize(("expression", "fault"), NEWER.items())
def test_expression_that_only_newer_versions_compile_is_found(expression: str, fault: str) -> None:
    jq.compile(expression)  # it is valid here
    assert newer_than_agent(expression) == f"jq 1.6, which the agent uses, {fault}"


@pytest.mark.parametrize("expression", KNOWN)
def test_expression_that_jq_16_compiles_is_not_found(expression: str) -> None:
    assert newer_than_agent(expression) == ""


@given(
    st.lists(st.sampled_from([*'{}[]():,.|+-?$"\\', "a", "$x", ".a", "if", "end", "else", "as", "//", " ", '"b"', "1"]))
)
def test_any_text_is_examined_without_an_exception(parts: list[str]) -> None:
    assert isinstance(newer_than_agent("".join(parts)), str)
