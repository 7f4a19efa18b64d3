"""Latencies in buckets whose bounds grow by the same factor, so that 1 ms and 10 s fit on one scale."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

# Ten for each power of ten: each is about a quarter larger than the one before (the preferred numbers R10, rounded).
_STEPS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.3, 8.0)
_COARSER = ((1.0, 2.0, 5.0), (1.0,))
# From 10 microseconds to a day.
_DECADES = range(-2, 8)


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many latencies are at least `from_ms` and less than `to_ms` milliseconds; None means no upper bound."""

    from_ms: float
    to_ms: float | None
    count: int


def latency_buckets(latencies_ms: Iterable[float]) -> tuple[Bucket, ...]:
    """Return the buckets of all latencies, from the shortest one to the longest; none for no latencies."""
    counts = [0] * (len(_BOUNDS_MS))
    for latency in latencies_ms:
        counts[bisect_right(_BOUNDS_MS, latency) - 1] += 1
    uppers = [*_BOUNDS_MS[1:], None]
    return _trimmed([Bucket(*parts) for parts in zip(_BOUNDS_MS, uppers, counts, strict=True)])


def at_most(buckets: Sequence[Bucket], limit: int) -> tuple[Bucket, ...]:
    """Return the same latencies in at most `limit` buckets, a number of at least 12, by merging some."""
    merged = tuple(buckets)
    for steps in _COARSER:
        if len(merged) > limit:
            merged = _trimmed(list(_merged(buckets, _bounds(steps))))
    return merged


def _bounds(steps: Sequence[float]) -> tuple[float, ...]:
    return (0.0, *(float(f"{step}e{decade}") for decade in _DECADES for step in steps))


_BOUNDS_MS = _bounds(_STEPS)


def _merged(buckets: Sequence[Bucket], bounds: Sequence[float]) -> Iterator[Bucket]:
    for lower, upper in zip(bounds, [*bounds[1:], None], strict=True):
        inside = (bucket for bucket in buckets if lower <= bucket.from_ms and (upper is None or bucket.from_ms < upper))
        yield Bucket(lower, upper, sum(bucket.count for bucket in inside))


def _trimmed(buckets: Sequence[Bucket]) -> tuple[Bucket, ...]:
    """Return the buckets without empty ones at the two ends."""
    filled = [number for number, bucket in enumerate(buckets) if bucket.count]
    return tuple(buckets[filled[0] : filled[-1] + 1]) if filled else ()
