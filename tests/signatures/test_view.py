from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.models import Cause, Status, Verdict
from port_hook_cli.signatures.view import (
    STATUS_WORDS,
    format_age,
    format_span,
    status_colour,
    verdict_lines,
    verdict_view,
)
from port_hook_cli.text.safe import printable

STALE = Verdict(
    status=Status.STALE,
    reading="raw",
    causes=(Cause("clock-skew", "the clock is 400 s behind", "set the clock"), Cause("bare", "no fix", "")),
    age_s=400.4,
)


def test_a_verdict_says_status_reading_age_and_each_cause_with_its_fix() -> None:
    assert verdict_lines(STALE) == [
        "stale: the signature fits, but its timestamp is outside the tolerance",
        "reading: raw",
        "age: 6 min 40 s",
        "clock-skew: the clock is 400 s behind",
        "  fix: set the clock",
        "bare: no fix",
    ]


def test_what_is_not_known_is_not_said() -> None:
    assert verdict_lines(Verdict(status=Status.MISSING)) == ["missing: there is no signature, or no timestamp"]


def test_a_cause_cannot_command_the_terminal() -> None:
    lines = verdict_lines(Verdict(status=Status.INVALID, causes=(Cause("a\x1b[2J", "b\nc", "\x9b"),)))
    assert all(printable(line) == line for line in lines)


def test_the_coloured_view_has_the_same_words() -> None:
    assert [line.plain for line in verdict_view(STALE)] == verdict_lines(STALE)


@pytest.mark.parametrize("status", Status)
def test_every_status_has_words_and_a_colour(status: Status) -> None:
    assert STATUS_WORDS[status]
    assert status_colour(status) in {"green", "yellow", "red"}


def test_only_valid_is_green() -> None:
    assert [status for status in Status if status_colour(status) == "green"] == [Status.VALID]


@pytest.mark.parametrize(
    ("span_s", "words"),
    [
        (0.0, "0 s"),
        (119.9, "119 s"),
        (120, "2 min 0 s"),
        (3599, "59 min 59 s"),
        (7800, "2 h 10 min"),
        (1_137_600, "13 d 4 h"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(span_s: float, words: str) -> None:
    assert format_span(span_s) == words


@pytest.mark.parametrize(("age_s", "words"), [(-0.5, "0 s"), (-90, "90 s in the future"), (90, "90 s")])
def test_an_age_says_when_it_lies_ahead(age_s: float, words: str) -> None:
    assert format_age(age_s) == words


@given(st.floats(0, 1e12))
def test_any_span_has_words(span_s: float) -> None:
    assert format_span(span_s)
