from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.models import Delivery
from port_hook_cli.invocations.statuses import Expectation
from port_hook_cli.replay.tally import percentile
from tests.replay.tallies import tally_deliveries

LATENCIES = st.lists(st.floats(0, 1e6), min_size=1, max_size=200).map(sorted)


def answered(status: int, latency_ms: float = 1.0) -> Delivery:
    return Delivery(url="http://h/", status=status, latency_ms=latency_ms)


def failed(words: str | None, latency_ms: float = 9999.0) -> Delivery:
    return Delivery(url="http://h/", latency_ms=latency_ms, fault="unreachable", error=words)


@given(LATENCIES, st.floats(0, 100))
def test_percentile_is_the_smallest_latency_that_covers_the_given_share(ascending: list[float], percent: float) -> None:
    value = percentile(ascending, percent)
    assert value in ascending
    assert value is not None
    at_most = sum(latency <= value for latency in ascending)
    below = sum(latency < value for latency in ascending)
    assert at_most * 100 >= len(ascending) * percent * (1 - 1e-9)
    assert below * 100 <= max(len(ascending) * percent, 0) * (1 + 1e-9)


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (90, 90), (99, 99), (100, 100), (0, 1)])
def test_percentile_of_1_to_100_is_the_percentage_itself(percent: float, expected: float) -> None:
    assert percentile([float(number) for number in range(1, 101)], percent) == expected


def test_percentile_is_none_without_latencies() -> None:
    assert percentile([], 50) is None


def test_responses_are_counted_by_status_and_failures_by_message() -> None:
    tally = tally_deliveries(
        [answered(500), answered(200), failed("refused"), answered(200), failed("refused"), failed(None)], elapsed_s=2.0
    )
    assert list(tally.statuses.items()) == [(200, 2), (500, 1)]
    assert tally.errors == {"refused": 2, "no response": 1}
    assert tally.sent == 6
    assert tally.rate_per_s == 3.0


def test_only_responses_have_a_latency() -> None:
    tally = tally_deliveries([answered(200, 3.0), failed("refused"), answered(200, 1.0)], elapsed_s=1.0)
    assert list(tally.latencies_ms) == [1.0, 3.0]
    assert tally.percentile(100) == 3.0


def test_rate_is_zero_when_no_time_has_elapsed() -> None:
    assert tally_deliveries([], elapsed_s=0.0).rate_per_s == 0.0
    assert not math.isinf(tally_deliveries([answered(200)], elapsed_s=0.0).rate_per_s)


def test_different_errors_beyond_50_are_counted_together() -> None:
    tally = tally_deliveries([failed(str(number % 60)) for number in range(180)], elapsed_s=1.0)
    assert (len(tally.errors), tally.errors["other errors"], tally.failed) == (51, 30, 180)


def test_a_million_latencies_take_8_bytes_each() -> None:
    assert tally_deliveries([answered(200)] * 10, elapsed_s=1.0).latencies_ms.itemsize == 8  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("deliveries", "expected", "missed"),
    [
        ([answered(200), answered(500)], "2xx", 1),
        ([answered(500)], "500", 0),
        ([answered(200), failed("x")], "2xx", 1),
        ([], "2xx", 0),
    ],
)
def test_unexpected_statuses_and_missing_responses_are_counted(
    deliveries: list[Delivery], expected: str, missed: int
) -> None:
    tally = tally_deliveries(deliveries, elapsed_s=1.0)
    assert tally.unexpected(Expectation.parse(expected)) == missed
    assert tally.meets(Expectation.parse(expected)) is (missed == 0)
    assert tally.meets(None) is (tally.failed == 0)
