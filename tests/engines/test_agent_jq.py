"""Expressions of the agent's mapping: the same results as pyjq, and an environment with chosen variables only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.errors import RenderError
from port_hook_cli.prediction.expressions import EnvironmentUse, environment_use

DOCUMENT = {"a": 1.0, "b": [1, 2], "s": "x\0y", "big": 12345678901234567890, "10": 1, "2": 2}


@pytest.fixture(scope="module")
def jq() -> Iterator[AgentJq]:
    with AgentJq({"TOKEN": "t0ken"}) as running:
        yield running


def test_agent_jq_result_equals_the_pyjq_result(jq: AgentJq) -> None:
    for expression, value in [
        (".a", 1),
        (".b[]", 1),
        ("empty", None),
        (".big", 12345678901234567168.0),
        ("1e-17", 1e-17),
        ("0.5", 0.5),
        (".s", "x"),
        ("", {**DOCUMENT, "a": 1, "s": "x", "big": 12345678901234567168.0}),
        (".a # comment", 1),
        ("def f: 3; f", 3),
        ('keys_unsorted | join(",")', "a,b,s,big,10,2"),
        ("infinite", math.inf),
        ("2147483647", 2147483647),
        ("2147483648", 2147483648.0),
        ("-2147483649", -2147483649.0),
        ("1700000000000", 1700000000000.0),
        (".big | tostring", "12345678901234567000"),
        ("[[1, null] | recurse(.[]?)] | length", 2),
    ]:
        (result,) = jq.evaluate([expression], DOCUMENT)
        assert (result.value, type(result.value), result.error) == (value, type(value), "")
        assert result.is_empty is (expression == "empty")


def test_failed_expression_is_null_with_a_reason(jq: AgentJq) -> None:
    for expression, error in [
        ('error("x")', "jq: error: x"),
        (".a +", "line 1, column 4"),
        (".a\n+ +", "line 2, column 3"),
        ("1] | [2", "line 1, column 2"),
        ('"a" | .b', "Cannot index string"),
        ("if .a then 1 end", "requires an `else`"),
        ("pick(.a)", "has no `pick`"),
        ("@urid", "has no `@urid`"),
        ("debug", "jq 1.5, which the agent uses, may crash on `debug`"),
        ("$ENV.TOKEN", "jq 1.5, which the agent uses, has no `$ENV`: write `env`"),
        ("walk(.)", "has no `walk`"),
        (".e1", "reads `.e1` as an invalid number"),
        ("$nothing", "is not defined"),
    ]:
        (result,) = jq.evaluate([expression], DOCUMENT)
        assert result.value is None
        assert error in result.error


def test_expression_compiled_by_jq_15_is_evaluated(jq: AgentJq) -> None:
    for expression in [
        "if . then 1 else 2 end",
        "def pick(f): 1; pick(.a)",
        '.a | "pick \\(.)"',
        ".trim, {trim: .a, if: .a} | 1",
        '"\\(.a)\\(.["a"])"',
        "{a: -1, b: .b | length}",
        '"?//"',
        ".b?//1",
        "leaf_paths",
        "# comment",
    ]:
        assert jq.evaluate([expression], DOCUMENT)[0].error == ""


def test_text_and_numbers_that_pyjq_cannot_read_make_every_expression_fail(jq: AgentJq) -> None:
    assert [result.error for result in jq.evaluate([".", "1"], "\ud800")] == [
        "UnicodeEncodeError: surrogates not allowed"
    ] * 2
    (result,) = jq.evaluate(["1"], {"n": 10**400})
    assert result.error == "OverflowError: int too large to convert to float"


def test_expressions_see_only_the_given_variables(jq: AgentJq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER", "secret")
    results = jq.evaluate(["env", "env.OTHER", "env.TOKEN", "$ENV", "$__ph_environment"], {})
    assert [result.value for result in results] == [{"TOKEN": "t0ken"}, None, "t0ken", None, None]


def test_join_of_numbers_fails_as_in_jq_15(jq: AgentJq) -> None:
    texts, numbers = jq.evaluate(['["a", null] | join(",")', '[80, 443] | join(",")'], {})
    assert (texts.value, numbers.value) == ("a,", None)
    assert "does not join numbers" in numbers.error


def test_deeply_nested_expression_is_an_error_and_the_next_is_evaluated(jq: AgentJq) -> None:
    assert "memory exhausted" in jq.evaluate(["[" * 20_000], None)[0].error
    assert jq.evaluate([".a" + " + .a" * 150], {"a": 1})[0].value == 151


def test_error_of_an_endless_expression_does_not_show_the_environment() -> None:
    with AgentJq({"TOKEN": "t0ken"}, timeout_s=0.2) as jq, pytest.raises(RenderError) as caught:
        jq.evaluate([".a", "def f: f; f"], {})
    assert caught.value.message.startswith("`def f: f; f` was stopped")
    assert "t0ken" not in caught.value.message


def test_expressions_are_compiled_without_running(jq: AgentJq) -> None:
    errors = jq.compile_errors(["", ".a", 'error("x")', "def f: f; f", ".a +", "pick(.a)", "POST"])
    assert [bool(error) for error in errors] == [False, False, False, False, True, True, True]
    assert errors[4].endswith("line 1, column 4")


def test_variables_read_by_an_expression_are_found() -> None:
    for expression, use in [
        ('env.A, env["C"]', EnvironmentUse(("A", "C"))),
        ("$ENV.B", EnvironmentUse()),  # jq 1.5 has no `$ENV`
        ("env[.x]", EnvironmentUse((), is_open=True)),
        ("env | keys", EnvironmentUse((), is_open=True)),
        ('"env.A" # env.B', EnvironmentUse()),
        ("{env: .env}", EnvironmentUse()),
    ]:
        assert environment_use([expression]) == use


def test_closing_ends_an_expression_in_another_thread() -> None:
    jq = AgentJq({}, timeout_s=300)
    jq.evaluate(["1"], None)  # the process runs from now on
    with ThreadPoolExecutor(2) as threads:
        evaluating = threads.submit(jq.evaluate, ["def f: f; f"], None)
        closing = threads.submit(jq.close)
        assert isinstance(evaluating.exception(timeout=30), RenderError)
        closing.result(timeout=30)
