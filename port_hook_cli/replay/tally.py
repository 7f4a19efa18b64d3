"""A summary of many deliveries: how many of each status, how fast, and their latencies in buckets. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from port_hook_cli.invocations.expected_status import Expectation
from port_hook_cli.invocations.models import Delivery

_MOST_ERRORS = 50
_OTHER_ERRORS = "other errors"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryTally:
    """The summary of a series of deliveries.

    `statuses` counts the responses by status, `errors` the requests without a response by message, and `unreachable`
    those of them whose target was not reached. `latencies_ms` are those of the responses, in milliseconds, ascending.
    `elapsed_s` is the duration of the series, in seconds.
    """

    statuses: Mapping[int, int]
    errors: Mapping[str, int]
    latencies_ms: Sequence[float]
    elapsed_s: float
    unreachable: int = 0

    @property
    def sent(self) -> int:
        """The number of requests."""
        return len(self.latencies_ms) + self.failed

    @property
    def failed(self) -> int:
        """The number of requests without a response."""
        return sum(self.errors.values())

    @property
    def rate_per_s(self) -> float:
        """Requests per second over the whole series."""
        return self.sent / self.elapsed_s if self.elapsed_s > 0 else 0.0

    def unexpected(self, expectation: Expectation) -> int:
        """Return how many requests did not get the expected status."""
        return self.failed + sum(count for status, count in self.statuses.items() if not expectation.met_by(status))

    def meets(self, expectation: Expectation | None) -> bool:
        """Return whether every request got a response, with the expected status if there is an expectation."""
        return not (self.failed if expectation is None else self.unexpected(expectation))

    def percentile(self, percent: float) -> float | None:
        """Return the latency that `percent` of the responses did not exceed; None if there are none."""
        return percentile(self.latencies_ms, percent)


@dataclass(slots=True)
class DeliveryCounter:
    """Counts deliveries as they end. For each response, it keeps only the latency, which takes 8 bytes."""

    _statuses: Counter[int] = field(default_factory=Counter)
    _errors: Counter[str] = field(default_factory=Counter)
    _latencies_ms: array[float] = field(default_factory=lambda: array("d"))
    _unreachable: int = 0

    def add(self, delivery: Delivery) -> None:
        """Count a delivery."""
        if delivery.status is None:
            error = delivery.error or "no response"
            is_known = error in self._errors or len(self._errors) < _MOST_ERRORS
            self._errors[error if is_known else _OTHER_ERRORS] += 1
            self._unreachable += delivery.fault == "unreachable"
            return
        self._statuses[delivery.status] += 1
        self._latencies_ms.append(delivery.latency_ms)

    def tally(self, elapsed_s: float) -> DeliveryTally:
        """Return the tally of the deliveries so far."""
        return DeliveryTally(
            statuses=dict(sorted(self._statuses.items())),
            errors=dict(self._errors.most_common()),
            latencies_ms=array("d", sorted(self._latencies_ms)),
            elapsed_s=elapsed_s,
            unreachable=self._unreachable,
        )


def tally_deliveries(deliveries: Iterable[Delivery], *, elapsed_s: float) -> DeliveryTally:
    """Return the tally of `deliveries`."""
    counter = DeliveryCounter()
    for delivery in deliveries:
        counter.add(delivery)
    return counter.tally(elapsed_s)


def percentile(ascending: Sequence[float], percent: float) -> float | None:
    """Return the nearest-rank percentile, which is one of the values; None if there are none."""
    if not ascending:
        return None
    rank = ceil(len(ascending) * percent / 100)
    return ascending[min(max(rank, 1), len(ascending)) - 1]


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
    """Return the buckets of all latencies, from the shortest to the longest, and no buckets without latencies."""
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
