"""A summary of many deliveries: how many of each status, and how fast."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

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
