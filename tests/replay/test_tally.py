from __future__ import annotations

import math
from typing import Any

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
def test_percentile_is_the_smallest_latency_covering_its_share(ascending: list[float], percent: float) -> None:
    value = percentile(ascending, percent)
    assert value in ascending
    assert value is not None
    covered = sum(latency <= value for latency in ascending)
    below = sum(latency < value for latency in ascending)
    assert covered * 100 >= len(ascending) * percent * (1 - 1e-9)
    assert below * 100 <= max(len(ascending) * percent, 0) * (1 + 1e-9)


def test_percentile_of_1_to_100_is_the_percentage_itself() -> None:
    rows: list[tuple[Any, Any]] = [(50, 50), (99, 99), (100, 100), (0, 1)]
    for percent, expected in rows:
        assert percentile([float(number) for number in range(1, 101)], percent) == expected


def test_empty_tally_has_no_rate_or_percentile() -> None:
    assert percentile([], 50) is None

    assert tally_deliveries([], elapsed_s=0.0).rate_per_s == 0.0
    assert not math.isinf(tally_deliveries([answered(200)], elapsed_s=0.0).rate_per_s)


def test_responses_are_counted_by_status_and_failures_by_message() -> None:
    tally = tally_deliveries(
        [answered(500), answered(200), failed("refused"), answered(200), failed("refused"), failed(None)], elapsed_s=2.0
    )
    assert list(tally.statuses.items()) == [(200, 2), (500, 1)]
    assert tally.errors == {"refused": 2, "no response": 1}
    assert tally.sent == 6
    assert tally.rate_per_s == 3.0

    tally = tally_deliveries([answered(200, 3.0), failed("refused"), answered(200, 1.0)], elapsed_s=1.0)
    assert list(tally.latencies_ms) == [1.0, 3.0]
    assert percentile(tally.latencies_ms, 100) == 3.0


def test_different_errors_beyond_50_are_counted_together_and_latencies_take_8_bytes() -> None:
    tally = tally_deliveries([failed(str(number % 60)) for number in range(180)], elapsed_s=1.0)
    assert (len(tally.errors), tally.errors["other errors"], tally.failed) == (51, 30, 180)

    assert tally_deliveries([answered(200)] * 10, elapsed_s=1.0).latencies_ms.itemsize == 8  # type: ignore[attr-defined]


def test_unexpected_statuses_and_missing_responses_are_counted() -> None:
    rows: list[tuple[Any, Any, Any]] = [
        ([answered(200), answered(500)], "2xx", 1),
        ([answered(500)], "500", 0),
        ([answered(200), failed("x")], "2xx", 1),
    ]
    for deliveries, expected, missed in rows:
        tally = tally_deliveries(deliveries, elapsed_s=1.0)
        assert tally.unexpected(Expectation.parse(expected)) == missed
        assert tally.meets(Expectation.parse(expected)) is (missed == 0)
        assert tally.meets(None) is (tally.failed == 0)
