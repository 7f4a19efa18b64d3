"""Lines that are wider than the terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from port_hook_cli.text.layout import INDENT, fit
from port_hook_cli.text.styled import Styled, cell_width, cut_middle

WORDS = "The signature matches neither the body as it arrived nor any other form of it, or was changed on its way."


def labeled(label: str, value: str, *, no_wrap: bool = False) -> Styled:
    return Styled(f"  {label.ljust(INDENT - 2)}{value}", no_wrap=no_wrap)


def fitted(*lines: Styled, width: int) -> list[str]:
    return [line.plain for line in fit(lines, width)]


def test_text_is_wrapped_between_words_below_its_value() -> None:
    for width in [40, 60, 80]:
        first, *others = fitted(labeled("cause", WORDS), width=width)
        assert first.startswith("  cause      The ")
        assert others
        assert all(line.startswith(" " * INDENT) and line[INDENT] != " " for line in others)
        assert all(len(line) <= width and line == line.rstrip() for line in [first, *others])
        assert " ".join([first[INDENT:], *(line[INDENT:] for line in others)]) == WORDS


def test_short_line_is_not_changed_nor_a_line_that_must_or_can_not_wrap() -> None:
    command = labeled("", f"port-hook report-run wfnr_{'a' * 60} --status success", no_wrap=True)
    assert fitted(command, width=60) == [command.plain]
    line = labeled("cause", WORDS)
    assert fitted(line, width=30) == [line.plain]
    lines = [labeled("run", "r_1"), labeled("", "x" * (60 - INDENT)), Styled("")]
    assert fitted(*lines, width=60) == [line.plain for line in lines]


def test_word_wider_than_the_terminal_is_split_without_loss() -> None:
    lines = fitted(labeled("by", "x" * 200), width=60)
    assert {len(line) for line in lines[:-1]} == {60}
    assert sum(line.count("x") for line in lines) == 200


def test_wide_characters_count_as_two_cells() -> None:
    lines = fitted(labeled("by", "東京 " * 40), width=60)
    assert len(lines) > 1
    assert all(cell_len(line) <= 60 for line in lines)
    assert sum(line.count("東京") for line in lines) == 40
    assert all("東京" in line and line.count("東") == line.count("京") for line in lines)


def test_wrapped_lines_retain_styles() -> None:
    line = Styled.assemble(labeled("cause", ""), (WORDS, "red"))
    parts = list(fit([line], 60))
    assert len(parts) > 1
    for part in parts:
        red = "".join(span.text for span in part.spans if span.style == "red")
        assert red.strip() == part.plain[INDENT:]


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=300), st.integers(40, 120))
def test_wrapped_text_fits_the_terminal_and_is_complete(value: str, width: int) -> None:
    lines = fitted(labeled("by", value), width=width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(f"by{value}".split())


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs", "Mn"]), max_size=20))
def test_cell_width_is_never_less_than_cell_len(text: str) -> None:
    assert cell_width(text) >= cell_len(text)


def test_text_without_its_middle_has_no_accent_without_its_letter() -> None:
    assert [cut_middle("e\u0301" * 9, width) for width in (4, 2)] == ["e\u0301e\u0301…e\u0301", "e\u0301…"]
    assert cut_middle("漢\u0301" * 9, 4) == "漢\u0301…"


def test_parts_of_a_heading_stay_whole() -> None:
    for width in [60, 80]:
        parts = [
            "22:13:20", "provision_a_cluster CREATE", "POST /webhooks/port", "signature valid", "-> 202",
            "3f2a9c0b1d4e",
        ]  # fmt: skip
        lines = fitted(Styled("  ".join(parts)), width=width)
        assert len(lines) > 1
        assert [part for line in lines for part in line.strip().split("  ")] == parts


def test_text_between_two_commands_is_wrapped() -> None:
    line = labeled("fix", "correct the `show` or this `last`")
    assert fitted(line, width=40) == ["  fix        correct the `show` or this", "             `last`"]
