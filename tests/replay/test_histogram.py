from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.replay.tally import Bucket, at_most, latency_buckets

LATENCIES = st.lists(st.floats(0, 1e12) | st.floats(0, 1000), min_size=1, max_size=100)


@given(LATENCIES, st.integers(12, 40))
def test_buckets_have_each_latency_once_between_their_bounds(latencies: list[float], limit: int) -> None:
    fine = latency_buckets(latencies)
    for buckets in (fine, at_most(fine, limit)):
        for bucket in buckets:
            upper = math.inf if bucket.to_ms is None else bucket.to_ms
            assert bucket.count == sum(bucket.from_ms <= latency < upper for latency in latencies)
        assert sum(bucket.count for bucket in buckets) == len(latencies)
        assert all(before.to_ms == after.from_ms for before, after in pairwise(buckets))
        assert buckets[0].count
        assert buckets[-1].count
    assert len(at_most(fine, limit)) <= limit


@given(st.floats(0.01, 1e7))
def test_bounds_of_a_bucket_are_less_than_a_third_apart(latency_ms: float) -> None:
    (bucket,) = latency_buckets([latency_ms])
    assert bucket.to_ms is not None
    assert bucket.to_ms / bucket.from_ms < 1.3


def test_bounds_are_round_numbers() -> None:
    assert [bucket.from_ms for bucket in latency_buckets([1.0, 9.0])] == [1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.3, 8]
    assert [bucket.from_ms for bucket in at_most(latency_buckets([0.3, 90.0]), 16)] == [0.2, 0.5, 1, 2, 5, 10, 20, 50]
    assert [bucket.from_ms for bucket in at_most(latency_buckets([0.02, 9000.0]), 12)] == [0.01, 0.1, 1, 10, 100, 1000]


@pytest.mark.parametrize(
    ("latency_ms", "bucket"),
    [(0.0, Bucket(0.0, 0.01, 1)), (0.01, Bucket(0.01, 0.0125, 1)), (1e9, Bucket(8e7, None, 1))],
)
def test_latency_outside_the_scale_is_in_the_first_or_the_last_bucket(latency_ms: float, bucket: Bucket) -> None:
    assert latency_buckets([latency_ms]) == (bucket,)


def test_no_latencies_have_no_buckets() -> None:
    assert latency_buckets([]) == at_most((), 16) == ()
