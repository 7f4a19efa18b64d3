"""Expressions in the agent's jq 1.5: port-hook's predictions, compared with the results of the real pyjq 2.6.0."""

from __future__ import annotations

import json
import re
from typing import Any

import jq as jq_library  # type: ignore[import-not-found]  # it has no types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.errors import RenderError
from port_hook_cli.prediction.jq15 import agent_program
from port_hook_cli.prediction.jq15_functions import NAMES
from tests.prediction.jq15 import CRASH, ENVIRONMENT, HANG, PYTHON, ask, read_corpus

GROUPS = read_corpus()
EACH_GROUP = pytest.mark.parametrize("group", GROUPS, ids=lambda group: ",".join(group["document"])[:20])
needs_pyjq = pytest.mark.skipif(not PYTHON.exists(), reason="`.ci/pyjq` builds what this needs: pyjq 2.6.0")


@pytest.fixture(scope="module")
def agent() -> Any:
    with AgentJq(ENVIRONMENT, timeout_s=60.0) as running:  # a group has hundreds of expressions
        yield running


def predicted(agent: AgentJq, expressions: list[str], document: Any) -> dict[str, dict[str, Any]]:
    return {
        result.expression: {"value": result.value} if result.stop is None else {"stop": str(result.stop)}
        for result in agent.evaluate(expressions, document)
    }


def same(result: Any) -> str:
    """Return a result as text, in which NaN equals NaN."""
    return json.dumps(result, sort_keys=True)


@EACH_GROUP
def test_every_expression_has_the_result_of_pyjq(agent: AgentJq, group: dict[str, Any]) -> None:
    found = predicted(agent, list(group["results"]), group["document"])
    assert {name: same(each) for name, each in found.items()} == {
        name: same(each) for name, each in group["results"].items()
    }


def test_corpus_calls_every_function_of_jq_15_and_of_newer_versions() -> None:
    corpus = " ".join(each for group in GROUPS for each in group["results"])
    newer = {name.partition("/")[0] for name in jq_library.compile("builtins").input_value(None).first()}
    own = {name.partition("/")[0] for name in NAMES}
    assert sorted(name for name in newer | own if not name.startswith("_") and name not in corpus) == []
    assert sum(len(group["results"]) for group in GROUPS) > 700
    assert {same(CRASH), same(HANG)} <= {same(each) for group in GROUPS for each in group["results"].values()}


def test_uncompilable_expression_has_the_reason() -> None:
    rows = {
        "if .a then 1 end": "requires an `else`",
        "if .a then 1 elif .b then 2 end": "requires an `else`",
        "if .a then (if .b then 1 end) else 2 end": "requires an `else`",
        "pick(.a)": "has no `pick`",
        "limit(1)": "has no `limit` with 1 argument",
        "$ENV.A": "has no `$ENV`: write `env`",
        '"\\(.a | trim)"': "has no `trim`",
        ".a.[0]": "does not know `.[` after a value: write `[`",
        ".a?.[0]": "does not know `.[` after a value: write `[`",
        "[.a].[0]": "does not know `.[` after a value: write `[`",
        '"k" as $k | {$k: 1}': "needs parentheses around the key $k",
        "{a: 1 + 2}": "needs parentheses around a value with `+` in an object",
        "{a: .b // 1}": "needs parentheses around a value with `//` in an object",
        "{x: 1, a: .b and true}": "needs parentheses around a value with `and` in an object",
        "{a: if . then 1 else 2 end}": "needs parentheses around a value with `if` in an object",
        "{a: reduce .[] as $x (0; . + $x)}": "needs parentheses around a value with `reduce` in an object",
        "{a: [[1], {c: 2}], b: 1 + 2}": "needs parentheses around a value with `+` in an object",
        ".a.e1": 'reads `.e1` as a number, which it is not: write `["e1"]` for a field',
        "1 / 0": "does not divide by zero",
    }
    for expression, fault in rows.items():
        assert agent_program(expression).fault == fault


def test_function_is_a_warning_when_it_may_stop_the_agent() -> None:
    assert agent_program(".a | debug").warnings == ("`debug` may crash the agent",)
    assert agent_program("def debug: 1; debug").warnings == ()
    assert "hangs" in agent_program('.a | gsub(""; "-")').warnings[0]


@given(
    st.lists(st.sampled_from([*'{}[]():,.|+-?$"\\', "a", "$x", ".a", "if", "end", "else", "as", "//", " ", '"b"', "1"]))
)
def test_any_text_is_read_without_an_exception(parts: list[str]) -> None:
    assert isinstance(agent_program("".join(parts)).fault, str)


def test_deeply_nested_expression_is_read_without_an_exception() -> None:
    for text in ("[" * 20_000, "(" * 300 + "1" + ")" * 300, "-" * 5000 + "1", '"\\(' * 5000, ".a" * 5_000):
        assert isinstance(agent_program(text).fault, str)


@pytest.mark.parametrize(
    ("first", "further", "last"),
    [
        ("(try .a catch .b)", " + (try .a catch .b)", ""),
        ("(.a?, (.b)?)", " | ((.a)?, (.b)?)", ""),
        ("(" * 50 + "((.a)?, (.b)?)", " | if (.a)? then (.a)? else (.b)? end)", ""),
    ],
)
def test_program_length_is_limited_relative_to_its_expression(first: str, further: str, last: str) -> None:
    expression = first + further * 50 + last
    program = agent_program(expression)
    assert program.fault == ""
    assert len(program.text) < 20 * len(expression)


# --- compared with the real pyjq


@needs_pyjq
@pytest.mark.extended
@EACH_GROUP
def test_pyjq_still_returns_the_recorded_results(group: dict[str, Any]) -> None:
    answers = ask([(each, group["document"]) for each in group["results"]])
    assert [same(each) for each in answers] == [same(each) for each in group["results"].values()]


LEAVES = [
    ".", ".a", ".b", ".l", ".l[]", ".[]?", ".l[0]", ".a.b", ".a.b?", "..", ".l[1:]", ".s[1:2]", "0", "1", "1.5", "-1",
    '"a"', '"aéb"', '""', "null", "true", "false", "[]", "{}", '[1, "a", null]', "{a: 1}", "100000000000", "$__loc__",
]  # fmt: skip
OPERATORS = ["|", "|", "|", ",", "//", "+", "-", "*", "/", "%", "==", "<", "and", "or", "=", "+="]
FORMS = [
    "({0})?", "[{0}]", "try ({0})", "try ({0}) catch ({1})", "if {0} then {1} else {2} end", "({0}) as $x | [$x, {1}]",
    "reduce ({0}) as $x ({1}; {2})", "foreach ({0}) as $x ({1}; {2})", '"x\\({0})y"', "{{a: ({0}), b: ({1})}}",
    "def f: {0}; f | {1}", '@json "\\({0})"',
]  # fmt: skip
# Their results have no end, or differ from run to run.
UNBOUNDED = re.compile("combinations|debug|env|inputs?|now|range|recurse|repeat|stderr|until|while")
ARGUMENTS = {"0": "", "1": "({0})", "2": "({0}; {1})", "3": "({0}; {1}; {2})"}
CALLS = [
    name + ARGUMENTS[count]
    for name, _, count in (each.partition("/") for each in NAMES)
    if not UNBOUNDED.fullmatch(name)
]
PATTERNS = st.one_of(*map(st.sampled_from, ([f"({{0}}) {each} ({{1}})" for each in OPERATORS], sorted(CALLS), FORMS)))
EXPRESSIONS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.tuples(PATTERNS, inner, inner, inner).map(lambda each: each[0].format(*each[1:])),
    max_leaves=6,
)


@needs_pyjq
@pytest.mark.extended
@settings(max_examples=10)
@given(st.lists(EXPRESSIONS, min_size=30, max_size=30, unique=True))
def test_random_expressions_have_the_results_of_pyjq(expressions: list[str]) -> None:
    document = {"a": "s", "b": {"c": None}, "l": [1, "x", None, [2]], "s": "héllo a,b"}
    # A `try` in the argument of a function catches later errors of jq 1.5, and this is not predicted.
    expressions = [each for each in expressions if "try" not in each and "?" not in each]
    found: dict[str, dict[str, Any]] = {}
    with AgentJq(ENVIRONMENT, timeout_s=5.0) as agent:
        for expression in expressions:
            try:
                found |= predicted(agent, [expression], document)
            except RenderError:  # it never ends
                found[expression] = HANG
    real = dict(zip(expressions, ask([(each, document) for each in expressions]), strict=True))
    assert {name: same(each) for name, each in found.items()} == {name: same(each) for name, each in real.items()}
