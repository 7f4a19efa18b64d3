"""The clock of this machine compared with the `Date` header of a response, in whole seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.doctor.check import CheckState, clock_result, clock_skew_s

NOW = 1_780_000_000.0


def date(at_s: float) -> str:
    return format_datetime(datetime.fromtimestamp(int(at_s), UTC), usegmt=True)


@given(skew_s=st.floats(-1e6, 1e6), before_s=st.floats(0, 10), after_s=st.floats(0, 10))
def test_measured_skew_never_exceeds_the_true_skew_and_is_off_by_at_most_the_request_time(
    skew_s: float, before_s: float, after_s: float
) -> None:
    found = clock_skew_s(date(NOW), NOW + skew_s - before_s, NOW + skew_s + after_s)
    assert found is not None
    assert abs(found) <= abs(skew_s) + 1e-3
    assert abs(found - skew_s) <= before_s + after_s + 1.001


@given(st.text())
def test_any_text_is_parsed_as_a_date_or_ignored(text: str) -> None:
    assert isinstance(clock_skew_s(text, NOW, NOW), float | None)


def test_clock_is_not_checked_without_a_date() -> None:
    for text in (None, "Thu, 99 Jan 2026 00:00:00 GMT"):
        assert clock_skew_s(text, NOW, NOW) is None
        assert clock_result(None, "http://x").state is CheckState.SKIPPED


def test_clock_is_a_warning_when_it_is_seconds_off_and_a_problem_beyond_the_tolerance() -> None:
    rows: list[tuple[Any, Any, Any]] = [
        (0.0, CheckState.OK, "matches"),
        (-4.9, CheckState.OK, "matches"),
        (42.0, CheckState.WARNING, "42 s ahead of"),
        (-42.0, CheckState.WARNING, "42 s behind"),
        (301.0, CheckState.PROBLEM, "Signatures are rejected"),
    ]
    for skew_s, state, words in rows:
        result = clock_result(skew_s, "http://x")
        assert result.state is state
        assert words in result.message
        assert bool(result.next_step) is (state is not CheckState.OK)
