from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.text.safe import plain_output


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"plain\n", "plain\n"),
        ("grün ✓ 👩‍🚀\n".encode(), "grün ✓ 👩‍🚀\n"),
        (b"\x1b[1;31mred\x1b[0m\n", "red\n"),
        (b"\x1b]0;title\x07one\n\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n", "one\nlink\n"),
        (b"\x1b(Bone\x1b7\x1bM\n", "one\n"),
        (b"one\r\ntwo\r\r\n", "one\ntwo\n"),
        (b"10 %\r20 %\rdone\n", "10 %\n20 %\ndone\n"),
        (b"a\x00b\x07c\x7fd\te\n", "a\\x00b\\x07c\\x7fd\te\n"),
        (b"\xff\n", "\ufffd\n"),
        (b"\x1b]0;no end\nnext\n", "\\x1b]0;no end\nnext\n"),
    ],
)
def test_plain_output_is_text_without_escape_sequences(content: bytes, text: str) -> None:
    assert plain_output(content) == text


@given(st.binary())
def test_plain_output_has_no_control_characters_but_tabs_and_line_feeds(content: bytes) -> None:
    text = plain_output(content)
    assert not any(ord(each) < 32 or 127 <= ord(each) < 160 for each in text if each not in "\t\n")


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_plain_output_keeps_text_without_control_characters(text: str) -> None:
    assert plain_output(text.encode()) == text
