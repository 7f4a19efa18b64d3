"""JSON in color has the same characters, and only JSON is colored."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.text.json_highlight import MAX_HIGHLIGHTED, highlighted, json_spans
from port_hook_cli.text.safe import printable, printable_lines
from port_hook_cli.text.styled import JSON, Styled, escape_sequences

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=10,
)
_SEQUENCE = re.compile(r"\x1b\[[0-9;]*m")


def styles(text: str) -> list[tuple[str, str]]:
    return [(span.text, span.style) for span in json_spans(text, "dim")]


def test_keys_strings_numbers_and_words_have_different_styles() -> None:
    assert styles('{"a b": ["c", -1.5e+3, true, null]}') == [
        ("{", "dim"), ('"a b"', "cyan"), (": [", "dim"), ('"c"', "green"), (", ", "dim"), ("-1.5e+3", "yellow"),
        (", ", "dim"), ("true", "magenta"), (", ", "dim"), ("null", "magenta"), ("]}", "dim"),
    ]  # fmt: skip


def test_truncated_or_escaped_json_is_highlighted() -> None:
    for text in ['"cut off', '"a', "tru", '{"a": "b…', "nul…", "12…", '"cut \\', '"\\x1b[31m"', r'"\"]"']:
        assert "".join(part for part, _ in styles(text)) == text


def test_other_text_has_no_parts() -> None:
    for text in ['<p class="x">', "error: 5", "x-port-timestamp: 17", "hello", '"a" and b', "", "é"]:
        assert styles(text) == []


@given(VALUES, st.sampled_from([None, 2]))
def test_json_of_any_value_is_highlighted(value: Any, indent: int | None) -> None:
    for line in printable_lines(json.dumps(value, ensure_ascii=False, indent=indent)).split("\n"):
        if "NaN" not in line and "Infinity" not in line:
            assert "".join(part for part, _ in styles(line)) == line


@given(st.text() | st.text(alphabet='{}[]",:\\ntruefalse0123…\x1b['))
def test_color_adds_styles_without_changing_characters(text: str) -> None:
    shown = printable(text)
    lines = [Styled.assemble("  ", ("label", "bold"), (shown, f"dim {JSON}"), no_wrap=True)]
    (found,) = highlighted(lines)
    assert found.plain == lines[0].plain
    assert found.no_wrap
    assert _SEQUENCE.sub("", escape_sequences(found, color=True)) == lines[0].plain
    assert not re.search("3[0-9]", "".join(_SEQUENCE.findall(escape_sequences(lines[0], color=False))))


def test_non_json_parts_retain_their_styles_and_links() -> None:
    line = Styled.assemble(Styled("1", "red", link="https://x"), ("1", JSON))
    (found,) = highlighted([line])
    assert found.spans == (line.spans[0], line.spans[1]._replace(style="yellow"))


def test_only_the_beginning_of_a_long_output_is_highlighted() -> None:
    line = "[" + "1," * MAX_HIGHLIGHTED
    (first, second) = highlighted([Styled(line, JSON), Styled("2", JSON)])
    assert (first.plain, second.plain) == (line, "2")
    assert first.spans[-1].text == line[MAX_HIGHLIGHTED:]
    assert {span.style for span in second.spans} == {""}
