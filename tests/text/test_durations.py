from __future__ import annotations

import contextlib
import math
import re
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.errors import UsageError
from port_hook_cli.text.durations import format_duration, format_latency, parse_period, parse_since
from tests.factories import NOW


def test_parse_since_reads_a_duration_before_now() -> None:
    for text, seconds in [
        ("90s", 90), ("10m", 600), ("2h", 7200), ("3d", 259_200), ("1w", 604_800), ("1.5h", 5400), (" 10 m ", 600),
    ]:  # fmt: skip
        assert parse_since(text, now=NOW) == NOW - seconds


def test_parse_since_reads_a_time_with_an_offset_or_as_local_time() -> None:
    for text in ("2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00", "2023-11-14 22:13:20+00:00"):
        assert parse_since(text, now=0) == NOW
    for text in ("2023-11-14", "2023-11-14T22:13", "20231114T221320"):
        assert parse_since(text, now=0) == datetime.fromisoformat(text).astimezone().timestamp()


def test_parse_since_reads_a_day_as_its_beginning_and_a_period_as_two_times() -> None:
    today = datetime.fromtimestamp(NOW).replace(hour=0, minute=0, second=0)  # noqa: DTZ006 - local time
    yesterday = (today - timedelta(days=1)).timestamp()
    assert parse_period("yesterday..today", now=NOW) == (yesterday, today.timestamp())
    assert parse_period("yesterday", now=NOW) == parse_period("yesterday..", now=NOW) == (yesterday, None)
    assert parse_period(" 2h .. 1h ", now=NOW) == (NOW - 7200, NOW - 3600)
    assert parse_period("..1h", now=NOW) == (None, NOW - 3600)
    for text, words in [("..", "neither"), ("1h..2h", "does not end"), ("today..today", "does not end")]:
        with pytest.raises(UsageError, match=words):
            parse_period(text, now=NOW)


def test_parse_since_rejects_other_text_with_examples() -> None:
    for text in ["", "soon", "10", "10 parsecs", "-5m", "m", "٣m", "2023-13-01", "9999999999d"]:
        with pytest.raises(UsageError) as caught:
            parse_since(text, now=NOW)
        assert repr(text) in caught.value.message
        assert "10m" in caught.value.hint
        assert "2026-05-01" in caught.value.hint


@given(st.text())
def test_parse_since_returns_a_finite_time_or_raises_usage_error_for_any_text(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert math.isfinite(parse_since(text, now=NOW))


UNITS_S = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "years": 31_557_600}
DURATIONS = st.floats(0, 1e12)


def seconds_in(text: str) -> float:
    """Return the seconds of a formatted duration."""
    assert re.fullmatch(r"\d[\d,.]* [a-z]+( \d+ [a-z]+)?", text)
    return sum(float(amount.replace(",", "")) * UNITS_S[unit] for amount, unit in re.findall(r"(\S+) (\S+)", text))


def test_duration_is_shown_in_its_two_largest_units() -> None:
    for duration_s, text in [
        (0.0, "0 s"), (0.04, "0 s"), (0.25, "0.2 s"), (2.0, "2 s"), (9.99, "9.9 s"), (10.7, "10 s"),
        (119.9, "119 s"), (120, "2 min"), (400, "6 min 40 s"), (3599, "59 min 59 s"), (7200, "2 h"),
        (7800, "2 h 10 min"), (1_137_600, "13 d 4 h"), (1_700_000_000, "53 years"), (1e12, "31,688 years"),
        (float("inf"), "infinitely long"),
    ]:  # fmt: skip
        assert format_duration(duration_s) == text


@given(DURATIONS, DURATIONS)
def test_longer_duration_is_never_shown_as_shorter(one_s: float, other_s: float) -> None:
    shorter, longer = sorted((one_s, other_s))
    assert seconds_in(format_duration(shorter)) <= seconds_in(format_duration(longer))


def test_latency_is_shown_in_milliseconds_below_one_second() -> None:
    for latency_ms, text in [(0.0, "0.0 ms"), (3.14, "3.1 ms"), (999.0, "999.0 ms"), (1250, "1.2 s"), (90_000, "90 s")]:
        assert format_latency(latency_ms) == text
