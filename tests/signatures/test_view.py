from __future__ import annotations

import pytest

from port_hook_cli.invocations.models import Cause, Status, Verdict
from port_hook_cli.signatures.view import (
    STATUS_MEANINGS,
    format_age,
    status_color,
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


def test_verdict_lines_have_status_reading_age_and_each_cause_with_its_fix() -> None:
    assert verdict_lines(STALE) == [
        "stale: the signature matches, but its timestamp is outside the tolerance",
        "reading: raw",
        "age: 6 min 40 s",
        "clock-skew: the clock is 400 s behind",
        "  fix: set the clock",
        "bare: no fix",
    ]


def test_verdict_lines_leave_out_unknown_values() -> None:
    assert verdict_lines(Verdict(status=Status.MISSING)) == ["missing: the signature or the timestamp is missing"]


def test_valid_message_is_not_said_to_match_its_exact_bytes() -> None:
    assert verdict_lines(Verdict(status=Status.VALID, reading="kafka")) == [
        "valid: the signature is Port's, for this message without its two signature headers",
        "reading: kafka",
    ]


def test_control_characters_of_a_cause_are_escaped() -> None:
    lines = verdict_lines(Verdict(status=Status.INVALID, causes=(Cause("a\x1b[2J", "b\nc", "\x9b"),)))
    assert all(printable(line) == line for line in lines)


def test_verdict_view_has_the_text_of_verdict_lines() -> None:
    assert [line.plain for line in verdict_view(STALE)] == verdict_lines(STALE)


@pytest.mark.parametrize("status", Status)
def test_every_status_has_a_meaning_and_a_color(status: Status) -> None:
    assert STATUS_MEANINGS[status]
    assert status_color(status) in {"green", "yellow", "red"}


def test_only_valid_is_green() -> None:
    assert [status for status in Status if status_color(status) == "green"] == [Status.VALID]


@pytest.mark.parametrize(
    ("age_s", "text"), [(-0.5, "0.5 s in the future"), (-90, "90 s in the future"), (90, "90 s"), (7800, "2 h 10 min")]
)
def test_an_age_says_when_it_is_in_the_future(age_s: float, text: str) -> None:
    assert format_age(age_s) == text
