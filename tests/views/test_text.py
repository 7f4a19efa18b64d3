from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.views.text import printable, printable_lines, shorten, wire_text

ANY_TEXT = st.text(st.characters(exclude_categories=[]))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eevil", "\\u202eevil"),
        ("\ud800", "\\ud800"),
        ("[red]Zoë 🚢", "[red]Zoë 🚢"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(ANY_TEXT)
def test_no_control_character_gets_through_and_any_stream_can_encode_the_rest(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in shown)
    shown.encode("utf-8")


@given(ANY_TEXT)
def test_lines_keep_their_line_feeds_and_tabs_and_nothing_else(text: str) -> None:
    shown = printable_lines(text)
    assert shown.count("\n") == text.count("\n")
    assert printable(shown.replace("\n", "").replace("\t", "")) == shown.replace("\n", "").replace("\t", "")


@given(st.binary())
def test_a_header_value_of_any_bytes_can_be_shown(value: bytes) -> None:
    assert printable(wire_text(value.decode("latin-1"))) == wire_text(value.decode("latin-1"))


def test_a_header_value_in_utf8_is_shown_as_its_sender_meant_it() -> None:
    assert wire_text("Zoë".encode().decode("latin-1")) == "Zoë"
    assert wire_text("Zoë") == "Zoë"


@given(st.text(), st.integers(1, 50))
def test_a_shortened_text_keeps_its_beginning_and_the_limit(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert len(short) <= limit
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))
