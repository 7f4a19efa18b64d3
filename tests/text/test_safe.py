from __future__ import annotations

import json
import re
import sys
import unicodedata
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.text.safe import (
    UNSEEN,
    brief,
    is_visible,
    plain_output,
    printable,
    printable_bytes,
    printable_json,
    printable_lines,
    shorten,
    wire_text,
)
from tests.any_texts import any_texts


def test_control_characters_are_shown_as_escapes() -> None:
    for text, shown in [
        ("\x1b[2J", "\\x1b[2J"), ("a\nb\r\tc", "a\\nb\\r\\tc"), ("\x9b31m", "\\x9b31m"),
        ("\u202eevil", "\\u202eevil"), ("\ud800", "\\ud800"), ("\U000e0041", "\\U000e0041"),
        ("[red]Zoë 🚢", "[red]Zoë 🚢"), ("❤️ שלום مرحبا 東京 ก็", "❤️ שלום مرحبا 東京 ก็"),
    ]:  # fmt: skip
        assert printable(text) == shown


def test_invisible_and_direction_characters_are_shown_as_escapes() -> None:
    for first, last in [
        (0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160),
        (0x180E, 0x180E), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F), (0x2800, 0x2800), (0x3164, 0x3164),
        (0xFE00, 0xFE0D), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF9, 0xFFFB), (0x1BCA0, 0x1BCA3),
        (0x1D173, 0x1D17A), (0xE0000, 0xE007F), (0xE0100, 0xE01EF),
    ]:  # fmt: skip
        for code in range(first, last + 1):
            assert printable(chr(code)).isprintable(), hex(code)
            assert printable(chr(code)).startswith("\\"), hex(code)
            assert chr(code) in "\n\t" or printable_lines(chr(code)) == printable(chr(code)), hex(code)


def test_only_unseen_characters_are_escaped() -> None:
    # The result depends on this Python's Unicode version. In a newer version, more characters may be printable.
    unseen = re.compile(f"[\x00-\x1f{UNSEEN}]")
    characters = "".join(map(chr, range(sys.maxunicode + 1)))
    seen = unseen.sub("", characters)
    assert printable(seen) == seen
    assert [each for each in unseen.findall(characters) if printable(each) == each] == []


def test_unseen_character_among_others_is_escaped() -> None:
    for text in ["a\u3164b", "ë\u200bb", "a\U000e0101b", "ë\x9b"]:
        assert not is_visible(text)
        assert printable(text) != text
        assert printable_lines(f"{text}\n\tx") == f"{printable(text)}\n\tx"


@given(any_texts(), st.integers(1, 50))
def test_brief_returns_printable_text_within_the_limit(text: str, limit: int) -> None:
    short = brief(text, limit)
    assert len(short) <= limit
    assert printable(short) == short
    assert short == printable(text) or short.endswith("…")


@given(any_texts())
def test_printable_returns_encodable_text_without_control_characters(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in shown)
    shown.encode("utf-8")


@given(any_texts())
def test_printable_lines_escapes_control_characters_except_line_feeds_and_tabs(text: str) -> None:
    shown = printable_lines(text)
    assert shown.count("\n") == text.count("\n")
    assert printable(shown.replace("\n", "").replace("\t", "")) == shown.replace("\n", "").replace("\t", "")


@given(st.dictionaries(st.text(), st.lists(st.text())))
def test_printable_json_has_the_same_value(document: Any) -> None:
    shown = printable_json(json.dumps(document, ensure_ascii=False, indent=2))
    assert json.loads(shown) == document
    assert printable_lines(shown) == shown


def test_printable_bytes_shows_bytes_as_text_with_escapes() -> None:
    assert printable_bytes(b"a\r\nb\xff\x1b\r\xe2\x80\xae") == "a\nb\\xff\\x1b\\r\\u202e"


@given(st.binary())
def test_wire_text_of_any_header_value_is_printable(value: bytes) -> None:
    assert printable(wire_text(value.decode("latin-1"))) == wire_text(value.decode("latin-1"))


def test_wire_text_decodes_a_header_value_in_utf8() -> None:
    assert wire_text("Zoë".encode().decode("latin-1")) == "Zoë"
    assert wire_text("Zoë") == "Zoë"


@given(st.text(), st.integers(1, 50))
def test_shorten_returns_the_beginning_within_the_limit(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert len(short) <= limit
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


def test_plain_output_is_text_without_escape_sequences() -> None:
    for content, text in [
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
    ]:
        assert plain_output(content) == text


@given(st.binary())
def test_plain_output_has_no_control_characters_but_tabs_and_line_feeds(content: bytes) -> None:
    text = plain_output(content)
    assert not any(ord(each) < 32 or 127 <= ord(each) < 160 for each in text if each not in "\t\n")
