"""The template language, with a fake jq: `evaluate` looks up programs in a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from port_hook_cli.actions.template_braces import BadTemplate, requote, split_template
from port_hook_cli.actions.templates import ExpressionFailed, prepare, render
from port_hook_cli.engines.outcomes import UNDEFINED, JqError
from port_hook_cli.javascript.values import js_entries, read_json, write_json
from tests.json_values import json_values

RESULTS: dict[str, Any] = {
    "s": "text", "n": 12, "list": [1, {"a": None}], "obj": {"2": "two", "1": "one", "x": None}, "null": None,
    "empty": UNDEFINED, '""': "", "inf": float("inf"), "bad": JqError("bad", "run-time", "jq: error: no"),
    "worse": JqError("worse", "compile", "jq: compile error: no"), "big": 1.2345678901234567e19,
}  # fmt: skip


def evaluate(programs: Sequence[str]) -> list[Any]:
    return [RESULTS[program.strip()] for program in programs]


def rendered(template: Any) -> Any:
    return render(template, evaluate).value


def test_template_is_rendered_like_in_port() -> None:
    rows: list[tuple[Any, Any]] = [
        ("{{ n }}", 12),
        ("\ufeff{{ n }}\u00a0", 12),
        ("n = {{ n }}", "n = 12"),
        ("{{ s }}{{ n }}", "text12"),
        ("{{ list }}!", '[1,{"a":null}]!'),
        ("{{ obj }}!", '{"1":"one","2":"two","x":null}!'),
        ("{{ null }}!", "null!"),
        ("{{ inf }}!", "null!"),
        ("{{ big }}!", "12345678901234567000!"),
        ("{{ empty }}", UNDEFINED),
        ("{{n}}}", 12),
        ("x{{n}}}", "x12}"),
        ([1, None, True, "plain", "{{ n }}", "{{ empty }}"], [1, None, True, "plain", 12, None]),
        ({"a": "{{ empty }}", "b": {"c": "{{ s }}"}}, {"b": {"c": "text"}}),
        ({"{{ s }}": 1, "a{{ n }}": 2}, {"text": 1, "a12": 2}),
        ({"{{ empty }}": 1, "{{ null }}": 2, '{{ "" }}': 3, "": 4, "{{ bad }}": 5}, {}),
        ({"text": 1, "x": 2, "{{ s }}": 3}, {"text": 3, "x": 2}),
        ({"x": 1, "{{ spreadValue() }}": "{{ obj }}"}, {"x": None, "1": "one", "2": "two"}),
        ({"x": 1, " {{spreadValue( )}} ": {"x": "{{ empty }}"}}, {}),
        ({"{{ spreadValue() }}": ["a", "{{ n }}"]}, {"0": "a", "1": 12}),
        ({"{{ null }}": "{{ unbalanced"}, {}),
    ]
    for template, value in rows:
        assert rendered(template) == value


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("prefix{{.foo}postfix", "Found opening double braces in index 6 without closing double braces"),
        ("prefix{.foo}}postfix", "Found closing double braces in index 11 without opening double braces"),
        ("prefix{{ .foo {{ }}postfix", "Found double braces in index 14 inside other one in index 6"),
        ("prefix{{ '{{' + .foo }} }}p", "Found closing double braces in index 24 without opening double braces"),
        ("😀{{", "Found opening double braces in index 2 without closing double braces"),
        ({"{{ n }}": 1}, "key should be undefined, null or string. Original key: {{ n }}, evaluated to: 12"),
        (
            {"{{ spreadValue() }}": [1, {}, None]} | {"{{spreadValue()}}": "{{ s }}"},
            'key is {{spreadValue()}}. Original value: {{ s }}, evaluated to: "text"',
        ),
        ({"{{ spreadValue() }}": "{{ null }}"}, "Cannot convert undefined or null to object"),
        ({"{{ spreadValue() }}": "{{ empty }}"}, "Original value: {{ empty }}, evaluated to: undefined"),
    ],
)  # fmt: skip
def test_template_is_rejected_with_the_message_of_ports_engine(template: Any, words: str) -> None:
    with pytest.raises(BadTemplate) as refusal:
        rendered(template)
    assert words in str(refusal.value)


def test_braces_in_quotes_do_not_end_an_expression() -> None:
    rows: list[tuple[Any, Any]] = [
        ('{{ "}}" }}', (' "}}" ',)),
        ("{{ '}}' + \"{{\" }}", (" '}}' + \"{{\" ",)),
        (r'{{ "\"}}" }}', (r' "\"}}" ',)),
        ("{{{a:1} }}", ("{a:1} ",)),
        ("{{{a:1}}}", ("{a:1",)),  # like in Port: the third brace is part of the expression
        ('"{{a}}" {{ b }}', ("a", " b ")),
        ("{ }", ()),
    ]
    for template, expressions in rows:
        assert split_template(template).expressions == expressions


def test_single_quotes_at_word_boundaries_become_double_quotes() -> None:
    rows: list[tuple[Any, Any]] = [
        ("'a' + 'b c'", '"a" + "b c"'),
        ('"it\'s"', '"it\'s"'),
        ("''", '""'),
        (" '' ", ' "" '),
        (".a['b']", ".a['b']"),
        ("'a'\n", '"a"\n'),
        ("\u00a0'a'\u2003", '\u00a0"a"\u2003'),
        ("'\ud800'", '"\ufffd"'),
    ]
    for expression, program in rows:
        assert requote(expression) == program


def test_failed_expressions_become_null_or_are_raised_when_strict() -> None:
    rendering = render({"a": "{{ bad }}", "b": "-{{ bad }}{{ worse }}", "{{ null }}": "{{ bad }}"}, evaluate)
    assert rendering.value == {"a": None, "b": "-nullnull"}
    assert [(error.expression, error.kind) for error in rendering.errors] == [("bad", "run-time"), ("worse", "compile")]

    with pytest.raises(ExpressionFailed, match="jq: compile error: no"):
        render({"{{ empty }}": "{{ bad }}", "a": "{{ worse }}"}, evaluate, strict=True)


def test_each_expression_is_evaluated_once_up_to_a_depth() -> None:
    prepared = prepare({"{{ spreadValue() }}": {"{{ s }}": ["{{ s }}", "{{ s }}{{ 'x' }}"]}})
    assert prepared.programs == [" s ", ' "x" ']
    template: Any = "{{ s }}"
    for _ in range(2_000):
        template = [template]
    with pytest.raises(BadTemplate, match="nested deeper"):
        rendered(template)


_WITHOUT_BRACES = st.text().filter(lambda text: "{{" not in text and "}}" not in text)
JSON = json_values(
    st.integers() | st.floats(allow_nan=False) | _WITHOUT_BRACES, _WITHOUT_BRACES.filter(bool), max_size=3, max_leaves=8
)


@given(JSON)
def test_template_without_braces_is_not_changed(template: Any) -> None:
    text = write_json(template)
    assert write_json(rendered(template)) == text
    assert write_json(read_json(text)) == text


@given(st.text(alphabet="{}'\"\\ a😀\n"))
def test_pieces_and_expressions_of_a_template_join_to_the_template(text: str) -> None:
    try:
        parts = split_template(text)
    except BadTemplate as error:
        event(str(error)[:20])
        return
    again = parts.pieces[0] + "".join(
        f"{{{{{expression}}}}}{piece}" for expression, piece in zip(parts.expressions, parts.pieces[1:], strict=True)
    )
    assert again == text


def test_numbers_are_read_as_in_javascript() -> None:
    value = read_json('[1.0, 12345678901234567890, 9007199254740992, 1e400, "1e400", 1.5]')
    assert value == [1, 1.2345678901234567e19, 9007199254740992, None, "1e400", 1.5]
    assert [type(number) for number in value[:3]] == [int, float, int]
    assert list(js_entries({"b": 1, "10": 2, "9": 3, "01": 4, "4294967295": 5})) == [
        ("9", 3), ("10", 2), ("b", 1), ("01", 4), ("4294967295", 5),
    ]  # fmt: skip
