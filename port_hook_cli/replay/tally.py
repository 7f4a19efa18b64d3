"""A summary of many deliveries: how many of each status, and how fast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from port_hook_cli.invocations.models import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryTally:
    """The summary of a series of deliveries.

    `statuses` counts the responses by status, `errors` the requests without a response by message. `latencies_ms` are
    those of the responses, in milliseconds, ascending. `elapsed_s` is the duration of the series, in seconds.
    """

    statuses: Mapping[int, int]
    errors: Mapping[str, int]
    latencies_ms: Sequence[float]
    elapsed_s: float

    @property
    def sent(self) -> int:
        """The number of requests."""
        return len(self.latencies_ms) + sum(self.errors.values())

    @property
    def rate_per_s(self) -> float:
        """Requests per second over the whole series."""
        return self.sent / self.elapsed_s if self.elapsed_s > 0 else 0.0

    def percentile(self, percent: float) -> float | None:
        """Return the latency that `percent` of the responses did not exceed; None if there are none."""
        return percentile(self.latencies_ms, percent)


def tally_deliveries(deliveries: Iterable[Delivery], *, elapsed_s: float) -> DeliveryTally:
    """Return the tally of `deliveries`."""
    statuses: Counter[int] = Counter()
    errors: Counter[str] = Counter()
    latencies_ms: list[float] = []
    for delivery in deliveries:
        if delivery.status is None:
            errors[delivery.error or "no response"] += 1
            continue
        statuses[delivery.status] += 1
        latencies_ms.append(delivery.latency_ms)
    return DeliveryTally(
        statuses=dict(sorted(statuses.items())),
        errors=dict(errors.most_common()),
        latencies_ms=sorted(latencies_ms),
        elapsed_s=elapsed_s,
    )


def percentile(ascending: Sequence[float], percent: float) -> float | None:
    """Return the nearest-rank percentile, which is one of the values; None if there are none."""
    if not ascending:
        return None
    rank = ceil(len(ascending) * percent / 100)
    return ascending[min(max(rank, 1), len(ascending)) - 1]
