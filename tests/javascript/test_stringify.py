from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from port_hook_cli.javascript.nesting import MOST_LEVELS, nests_too_deep
from port_hook_cli.javascript.stringify import MAX_DEPTH, NotJson, stringify
from tests.javascript.json_texts import JSON_TEXTS, NUMBERS, nearly_json
from tests.javascript.node import Node, running_node


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with running_node() as process:
        yield process


def ours(text: str, indent: str = "") -> str | None:
    try:
        return stringify(text, indent)
    except NotJson:
        return None


@given(JSON_TEXTS | NUMBERS)
@example(r'{"a":{"1":1,"0":{"b":2,"b":3}},"a":[{"2":1,"1":[]}]}')
@example('["\ud83d\\ude00","\\ud83d\ude00",{"\ud83d\\ude00":1,"😀":2}]')
def test_stringify_serializes_every_json_text_like_node(node: Node, text: str) -> None:
    written = node.stringify(text)
    assert written is not None
    assert stringify(text) == written


@given(JSON_TEXTS)
def test_stringify_indents_like_node(node: Node, text: str) -> None:
    for indent in ("  ", "\t", "more than ten characters"):
        assert stringify(text, indent) == node.stringify(text, indent)


@given(nearly_json())
def test_stringify_rejects_the_same_text_as_node(node: Node, text: str) -> None:
    assert ours(text) == node.stringify(text)


@given(JSON_TEXTS)
def test_stringify_does_not_change_its_own_result(text: str) -> None:
    once = stringify(text)
    assert stringify(once) == once
    assert stringify(stringify(text, "  ")) == once


def test_stringify_writes_numbers_in_the_notation_of_javascript() -> None:
    for text, written in [
        ("1.0", "1"),
        ("1e21", "1e+21"),
        ("100000000000000000000", "100000000000000000000"),
        ("1e-7", "1e-7"),
        ("0.000001", "0.000001"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("-1e-400", "0"),
        ("12345678901234567890", "12345678901234567000"),
        ("9007199254740993", "9007199254740992"),
        ("1e400", "null"),
        ("-1e400", "null"),
        ("1E5", "100000"),
        ("1.5e300", "1.5e+300"),
        ("5e-324", "5e-324"),
        ("1" * 5_000, "null"),
        (f"0.{'3' * 5_000}", "0.3333333333333333"),
    ]:
        assert stringify(text) == written
        assert stringify(f"[{text}]") == f"[{written}]"


def test_stringify_follows_the_rules_of_json_stringify() -> None:
    for text, written in [
        (' { "a" : [ 1 , true ] } ', '{"a":[1,true]}'),
        (r'"é\u00e9\u2028\u007f"', '"éé\u2028\x7f"'),
        (r'"\u0001\u001F\b\t\n\f\r\"\\\/"', r'"\u0001\u001f\b\t\n\f\r\"\\/"'),
        (r'"\uD800"', r'"\ud800"'),
        (r'"\ud83d\ude00"', '"😀"'),
        ('"\udc00"', r'"\udc00"'),
        ('{"b":1,"a":2,"b":3}', '{"b":3,"a":2}'),
        (
            '{"b":0,"10":1,"9":2,"01":3,"4294967294":4,"4294967295":5}',
            '{"9":2,"10":1,"4294967294":4,"b":0,"01":3,"4294967295":5}',
        ),
        (r'{"z":{"x":[1]},"1":[{}],"\u0030":"c"}', '{"0":"c","1":[{}],"z":{"x":[1]}}'),
        ("[[],{}]", "[[],{}]"),
    ]:
        assert stringify(text) == written
    assert stringify('{"b":[1,{}],"a":[]}', "  ") == '{\n  "b": [\n    1,\n    {}\n  ],\n  "a": []\n}'


def test_stringify_raises_not_json_when_json_parse_throws() -> None:
    for text in [
        *("", " ", "NaN", "Infinity", "-Infinity", "tru", "'a'", "1 1", "\ufeff1", "\xa01"),
        *("01", "+1", ".5", "1.", "1e", "-", "0x1", "1_0", "\u0661"),
        *("[1,]", "[,1]", "[1 2]", "[1", "[", "]", "[1}"),
        *('{"a":1,}', "{,}", '{"a" 1}', "{1:2}", '{"a":1', '{"a', "{", r'{"\x":1}', r'{"\n" 1}'),
        *('"a', '"\n"', '"\x00"', r'"\x"', r'"\u12g4"'),
    ]:
        with pytest.raises(NotJson):
            stringify(text)


def test_stringify_accepts_nesting_up_to_the_limit_and_rejects_more() -> None:
    assert stringify("[" * MAX_DEPTH + "]" * MAX_DEPTH) == "[" * MAX_DEPTH + "]" * MAX_DEPTH
    with pytest.raises(NotJson, match="deeper"):
        stringify("[" * 10_000 + "1" + "]" * 10_000)


def test_stringify_rejects_a_result_beyond_the_size_limit() -> None:
    with pytest.raises(NotJson):
        stringify("[1,2,3]", limit=6)
    assert stringify("[1,2,3]", limit=7) == "[1,2,3]"
    with pytest.raises(NotJson):
        stringify("[" * 3_999 + "1," * 100_000 + "1" + "]" * 3_999, "\t", limit=2**20)


def test_stringify_takes_less_than_quadratic_time() -> None:
    for few, many in [
        ('{"a":1,"a":' * 250 + "0" + "}" * 250, '{"a":1,"a":' * 2_000 + "0" + "}" * 2_000),
        (f'{"[" * 1_000}"{"x" * 100_000}"{"]" * 1_000}', f'{"[" * 1_000}"{"x" * 800_000}"{"]" * 1_000}'),
        ("[" + '"\\"' * 20_000, "[" + '"\\"' * 160_000),
    ]:

        def best_s(text: str) -> float:
            times = []
            for _ in range(5):
                started = time.process_time()
                ours(text)
                times.append(time.process_time() - started)
            return min(times)

        assert best_s(many) < 32 * max(best_s(few), 0.001)


JSON = st.recursive(
    st.none() | st.text(alphabet='"\\[]{}a'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='"\\[]{}a'), inner),
)


def test_nesting_limit_is_the_same_in_every_python_version() -> None:
    for opener, closer in [("[", "]"), ('{"a":', "}")]:
        for levels, too_deep in ((MOST_LEVELS, False), (MOST_LEVELS + 1, True)):
            assert nests_too_deep(opener * levels + "1" + closer * levels) is too_deep
        json.loads("[" * MOST_LEVELS + "]" * MOST_LEVELS)


@given(JSON)
def test_brackets_in_strings_and_siblings_do_not_count_as_nesting(document: object) -> None:
    text = json.dumps([document, "[" * 1000, "{\\" * 1000, [[] for _ in range(MOST_LEVELS)]])
    assert not nests_too_deep(text)
