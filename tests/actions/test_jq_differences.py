"""Expressions whose results may differ in Port."""

from __future__ import annotations

import json
from typing import Any

import jq  # type: ignore[import-not-found]  # it has no types
from hypothesis import assume, example, given
from hypothesis import strategies as st

from port_hook_cli.actions.jq_differences import TokenKind, jq_differences, jq_tokens, template_differences

ZONE = 'strftime("%Z")'
OBJECT_VALUE = "an object value without parentheses"


def test_difference_is_found_at_its_call() -> None:
    rows: list[tuple[Any, Any]] = [
        ('.a | trimstr("x")', ["trimstr"]),
        ('"\\(.a | trimstr("x"))"', ["trimstr"]),
        ("def trimstr(f): f; trimstr(1)", []),
        (".trimstr | {trimstr, a: .b}", []),
        ("{trimstr: 1}", []),
        ("$trimstr", []),
        ("{a: toboolean}", ["toboolean"]),
        ("toboolean(1)", []),
        *[(f".a | {name}", [name]) for name in ("ltrim", "have_decnum")],
        ("add(.a[])", ["add"]),
        (".a | add", []),
        ("[skip(1; .a[])]", ["skip"]),
        (".a | @urid", ["@urid"]),
        ('{a: (1 + 2), b: -1, c: .d | .e, f: [1 + 2], g: .h[1:2], i: not, j: "\\(1 + 2)"} | 1 + 2', []),
        *[
            (expression, [OBJECT_VALUE])
            for expression in (
                "{a: 1 + 2}",
                "{a: {b: if .c then 1 else 2 end}}",
                "{a: .b and .c}",
                "[{a: .b | . * 2}]",
            )
        ],
        ('"a" * 0', ["*"]),
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
    ]
    for expression, functions in rows:
        assert [each.function for each in jq_differences([expression])] == functions


CALLS = st.sampled_from(['trimstr("x")', "toboolean", '"a" * 0', 'strftime("%Z")'])


@given(st.lists(CALLS | st.text(alphabet='trimstobolean(")*0 \\#{}'), max_size=5))
def test_difference_in_a_string_is_ignored(parts: list[str]) -> None:
    assert jq_differences([f".a | {json.dumps(''.join(parts))}"]) == ()


@given(st.lists(CALLS | st.text(alphabet='trimstobolean(")*0 #{}'), max_size=5), CALLS)
def test_difference_in_a_comment_is_ignored_but_not_in_the_next_line(parts: list[str], call: str) -> None:
    comment = f".a # {''.join(parts)}\n"
    assert jq_differences([comment]) == ()
    assert len(jq_differences([f"{comment} | {call}"])) == 1


def test_expressions_of_a_template_are_searched_once_each() -> None:
    template = {"a": "{{ toboolean }} trimstr(1)", "{{ trimstr(.k) }}": ["{{ toboolean }}", "}} broken"]}
    found = template_differences(template)
    assert [each.function for each in found] == ["toboolean", "trimstr"]
    assert found[0].message.startswith("{{ toboolean }} uses toboolean: Port's jq may not have it")

    nested: object = "{{ toboolean }}"
    for _ in range(200):
        nested = [nested]
    assert template_differences(nested) == ()


WORD = "no_such"


def called(program: str) -> bool:
    return any(token.kind is TokenKind.NAME and token.text == WORD for token in jq_tokens(program))


def is_called_for_jq(program: str) -> bool:
    """Return whether jq lacks the function. A program that jq rejects for another reason is discarded."""
    try:
        jq.compile(program)
    except ValueError as error:
        assume(f"{WORD}/0 is not defined" in str(error))
        return True
    return False


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    texts = st.sampled_from([WORD, f"# {WORD}", "\\\\", '\\"', "\\n", ")", "(", "}", "é", "'", ""])
    pieces = st.lists(texts | inner.map(lambda one: f"\\({one})"), max_size=4).map("".join)
    comments = st.sampled_from([f"# {WORD}\n", f"# \\\n{WORD}\n", f'# "\\\\\n {WORD} |', '#"(\r\n', f"#\\\r\n{WORD}\n"])
    return st.one_of(
        pieces.map(lambda text: f'"{text}"'),
        pieces.map(lambda text: f'@base64 "{text}"'),
        st.tuples(inner, comments, inner).map(lambda three: "".join((three[0], " ", three[1], ", ", three[2]))),
        st.tuples(inner, st.sampled_from([" | ", ", ", " + ", " * ", " // ", " == "]), inner).map("".join),
        inner.map(lambda one: f"({one})"),
        inner.map(lambda one: f"[{one}]"),
        inner.map(lambda one: f"{{a: ({one}), {WORD}: 1}}"),
        inner.map(lambda one: f'{{"{WORD}": {WORD.upper()}}} | {one}'.replace(WORD.upper(), "1")),
        inner.map(lambda one: f"{{({one}): 1, {WORD}}}"),
        inner.map(lambda one: f". as {{{WORD}: $x}} | {one}"),
    )


PROGRAMS = st.recursive(st.sampled_from([".", ".a", f".{WORD}", "1.5", ".[0]", "$__loc__", WORD]), _grown, max_leaves=8)


@given(PROGRAMS)
@example(f"1 # a \\\r {WORD}")
@example(f"1 # a \r {WORD}")
@example(f"1 #a \\\r\r\n | {WORD}")
@example(f'"\\("\\("{WORD}")") {WORD}"')
def test_names_are_calls_exactly_when_they_are_calls_in_jq(program: str) -> None:
    assert called(program) == is_called_for_jq(program)


@given(st.text(alphabet='"\\()[]{}#$.@*0a \n\r'))
def test_tokens_of_any_text_are_parts_of_the_text(program: str) -> None:
    tokens = list(jq_tokens(program))
    position = 0
    for token in tokens:
        assert token.depth >= 0
        position = program.index(token.text, position) + len(token.text)


def test_string_is_read_with_the_expressions_inside_it() -> None:
    tokens = [(token.kind.name, token.text) for token in jq_tokens(r'"a\(.b + "c)") d" * 0 # e')]
    assert tokens == [
        ("STRING_START", '"'),
        ("PIECE", "a"),
        ("OPEN", "\\("),
        ("FIELD", ".b"),
        ("OPERATOR", "+"),
        ("STRING_START", '"'),
        ("PIECE", "c)"),
        ("STRING_END", '"'),
        ("CLOSE", ")"),
        ("PIECE", " d"),
        ("STRING_END", '"'),
        ("OPERATOR", "*"),
        ("NUMBER", "0"),
    ]

    assert sum(1 for _ in jq_tokens('"\\(' * 20_000)) == 40_000
