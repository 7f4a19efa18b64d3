"""Expressions of mappings, with the results of the agent's jq 1.5.

The results in RESULTS were recorded when port-hook still emulated jq 1.5, and compared its results with pyjq 2.6.0.
"""

from __future__ import annotations

from typing import Any

import jq as jq_library  # type: ignore[import-not-found]  # it has no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.prediction.jq15 import jq15_fault

METHOD = {"type": "GITLAB", "groupName": "a/b", "projectName": "c d", "url": "https://x/", "headers": {"A": "1"}}
DOCUMENT = {
    "action": "deploy",
    "context": {"runId": "r_1"},
    "payload": {
        "action": {"invocationMethod": METHOD},
        "entity": None,
        "properties": {"name": "Zoë", "port": 8080, "tags": ["x", "y"], "on": False},
    },
    "body": {"payload": {"properties": {"name": "Zoë"}}},
    "response": {"statusCode": 201, "text": "{}", "json": {"id": "run-1", "metadata": {"name": "n"}}},
}
ENVIRONMENT = {"TOKEN": "t0ken", "a_b_TOKEN": "t0ken of a group"}
INPUTS = [{"key": key, "value": value} for key, value in DOCUMENT["payload"]["properties"].items()]  # type: ignore[index]
RESULTS: list[tuple[str, Any, Any]] = [  # an expression, its result over DOCUMENT, and its result over {}
    ('.action == "deploy"', True, False),
    ('.payload.invocationMethod.type == "GITLAB"', False, False),
    (".payload.missing-key", None, None),
    ('"PUT"', "PUT", "PUT"),
    (".im.a.jq.expression", None, None),
    (".payload.action.invocationMethod.headers // {}", {"A": "1"}, {}),
    ('.payload.action.invocationMethod.method // "POST"', "POST", "POST"),
    (".changelogDestination.url // .payload.action.invocationMethod.url", "https://x/", None),
    ('.payload.action.invocationMethod.url + "/deploy"', "https://x//deploy", "/deploy"),
    (".payload.action.invocationMethod.url + .payload.properties.port", None, None),
    (
        '(env.BASE // "https://x") as $base | .payload.properties.name | @uri as $path | $base + "/" + $path',
        "https://x/Zo%C3%AB",
        "https://x/null",
    ),
    ('(.payload.action.invocationMethod | .groupName + "/" + .projectName) | @uri', "a%2Fb%2Fc%20d", "%2F"),
    (
        '.payload.action.invocationMethod.groupName as $group | env[($group | gsub("/"; "_")) + "_TOKEN"]',
        "t0ken of a group",
        None,
    ),
    ('"Bearer " + env.TOKEN', "Bearer t0ken", "Bearer t0ken"),
    ('"Bearer " + env.OTHER', "Bearer ", "Bearer "),
    (".payload.properties | to_entries | map({key: .key, value: .value})", INPUTS, None),
    (
        ".payload | .entity as $e | .properties | to_entries | map({(.key): (.value | tostring)}) | add + {of: $e.id}",
        {"name": "Zoë", "port": "8080", "tags": '["x","y"]', "on": "false", "of": None},
        None,
    ),
    ("if .payload.action.invocationMethod.omitPayload then {} else .context end", {"runId": "r_1"}, None),
    (
        'if .response.statusCode == 201 and (.response.json.error | not) then "SUCCESS" else "FAILURE" end',
        "SUCCESS",
        "FAILURE",
    ),
    ('"https://ci/" + .body.payload.properties.name + "/" + .response.json.id', "https://ci/Zoë/run-1", "https://ci//"),
    ('.body.payload.properties.url as $base | $base + "/" + .response.json.metadata.name', "/n", "/"),
    (".payload.entity.properties.id", None, None),
    ('.payload.properties.tags | join(",")', "x,y", None),
    ("[.payload.properties.tags[] | {name: .}]", [{"name": "x"}, {"name": "y"}], None),
    ('"\\(.action)-\\(.payload.properties.port)"', "deploy-8080", "null-null"),
    (".payload.properties.port | tostring", "8080", "null"),
    (".response.text | fromjson", {}, None),
]
FUNCTIONS = frozenset(
    """
    acos acosh add all any arrays ascii_downcase ascii_upcase asin asinh atan atan2 atanh booleans bsearch capture cbrt
    combinations contains cos cosh debug del delpaths empty endswith env error exp exp2 explode finites first flatten
    floor format from_entries fromdate fromdateiso8601 fromjson fromstream get_jq_origin get_prog_origin get_search_list
    getpath gmtime group_by gsub has hypot implode in index indices infinite input input_filename input_line_number
    inputs inside isfinite isinfinite isnan isnormal iterables j0 j1 join keys keys_unsorted last leaf_paths length
    limit log log10 log2 ltrimstr map map_values match max max_by min min_by mktime modulemeta nan normals not now nth
    nulls numbers objects path paths pow range recurse recurse_down remainder repeat reverse rindex rtrimstr scalars
    scalars_or_empty scan select setpath sin sinh sort sort_by split splits sqrt startswith stderr strftime strings
    strptime sub tan tanh test tgamma to_entries todate todateiso8601 tojson tonumber tostream tostring transpose
    truncate_stream type unique unique_by until values while with_entries y0 y1
    """.split()  # noqa: SIM905 - one name a line would be longer than the test
)
"""The functions of jq 1.5."""


@pytest.mark.parametrize("column", [1, 2], ids=["message", "empty message"])
def test_expressions_have_the_results_of_jq_15(column: int) -> None:
    with AgentJq(ENVIRONMENT) as jq:
        found = jq.evaluate([row[0] for row in RESULTS], DOCUMENT if column == 1 else {})
    assert [(each.expression, each.value) for each in found] == [(row[0], row[column]) for row in RESULTS]


def test_every_function_of_the_installed_jq_that_jq_15_lacks_is_a_fault() -> None:
    for name, _, count in (each.partition("/") for each in jq_library.compile("builtins").input_value(None).first()):
        call = name + (f"({'; '.join('1' * int(count))})" if count != "0" else "")
        if not name.startswith("_") and name not in FUNCTIONS:
            assert jq15_fault(call) == f"has no `{name}`"


def test_uncompilable_expression_has_the_reason() -> None:
    rows = {
        "if .a then 1 end": "requires an `else`",
        "if .a then 1 elif .b then 2 end": "requires an `else`",
        "if .a then (if .b then 1 end) else 2 end": "requires an `else`",
        "pick(.a)": "has no `pick`",
        "add(.a[])": "has no `add` with 1 argument",
        'scan("a"; "g")': "has no `scan` with 2 arguments",
        "@base64d": "has no `@base64d`",
        "debug": "may crash on `debug`",
        ".a\r\n| .b": "does not accept a carriage return",
        "$ENV.A": "has no `$ENV`: write `env`",
        "$__ph_environment": "has no `$__ph_environment`",
        '"\\(.a | trim)"': "has no `trim`",
        ".a.[0]": "does not accept `.[` after a value: write `[`",
        ".a?.[0]": "does not accept `.[` after a value: write `[`",
        "[.a].[0]": "does not accept `.[` after a value: write `[`",
        '"k" as $k | {$k: 1}': "needs parentheses around the key `$k`",
        "{a: 1 + 2}": "needs parentheses around a value with `+` in an object",
        "{a: .b // 1}": "needs parentheses around a value with `//` in an object",
        "{a: .b?//1}": "needs parentheses around a value with `//` in an object",
        "{x: 1, a: .b and true}": "needs parentheses around a value with `and` in an object",
        "{a: if . then 1 else 2 end}": "needs parentheses around a value with `if` in an object",
        "{a: reduce .[] as $x (0; . + $x)}": "needs parentheses around a value with `reduce` in an object",
        "{a: [[1], {c: 2}], b: 1 + 2}": "needs parentheses around a value with `+` in an object",
        ".a.e1": 'reads `.e1` as an invalid number: write `["e1"]` for a field',
        ".e1": 'reads `.e1` as an invalid number: write `.["e1"]` for a field',
    }
    for expression, fault in rows.items():
        assert jq15_fault(expression) == fault


@given(
    st.lists(st.sampled_from([*'{}[]():,.|+-?$"\\', "a", "$x", ".a", "if", "end", "else", "as", "//", " ", '"b"', "1"]))
)
def test_any_text_is_read_without_an_exception(parts: list[str]) -> None:
    assert isinstance(jq15_fault("".join(parts)), str)
