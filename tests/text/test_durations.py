from __future__ import annotations

import contextlib
import math
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.errors import UsageError
from port_hook_cli.text.durations import parse_since
from tests.factories import NOW


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("2h", 7200), ("3d", 259_200), ("1w", 604_800), ("1.5h", 5400), (" 10 m ", 600)],
)
def test_a_duration_counts_back_from_now(text: str, seconds: float) -> None:
    assert parse_since(text, now=NOW) == NOW - seconds


@pytest.mark.parametrize("text", ["2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00", "2023-11-14 22:13:20+00:00"])
def test_a_time_with_an_offset_is_that_moment(text: str) -> None:
    assert parse_since(text, now=0) == NOW


@pytest.mark.parametrize("text", ["2023-11-14", "2023-11-14T22:13", "20231114T221320"])
def test_a_time_without_an_offset_is_local(text: str) -> None:
    assert parse_since(text, now=0) == datetime.fromisoformat(text).astimezone().timestamp()


@pytest.mark.parametrize("text", ["", "soon", "10", "10 parsecs", "-5m", "m", "٣m", "2023-13-01", "9999999999d"])
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_since(text, now=NOW)
    assert repr(text) in caught.value.message
    assert "10m" in caught.value.hint
    assert "2026-05-01" in caught.value.hint


@given(st.text())
def test_any_text_is_a_moment_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert math.isfinite(parse_since(text, now=NOW))
