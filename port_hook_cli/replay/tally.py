"""The deliveries of a series: counts by status, speed and latencies, as tables, text and records.

This module is pure.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.invocations.statuses import Expectation, format_status
from port_hook_cli.invocations.view import delivery_lines, delivery_record, status_style
from port_hook_cli.text.durations import format_latency
from port_hook_cli.text.safe import brief
from port_hook_cli.text.styled import Styled

if TYPE_CHECKING:
    from rich.table import Table

    from port_hook_cli.replay.rewriting import ReadyReplay, SentReplay


_MOST_ERRORS = 50


@frozen(kw_only=True)
class DeliveryTally:
    """The summary of a series of deliveries.

    `statuses` counts the responses by status. `errors` counts the requests without a response by message. `unreachable`
    is the number of requests whose target was not reached. `latencies_ms` are the latencies of the responses in
    ascending order. `elapsed_s` is the duration of the series in seconds.
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
        """The number of requests per second over the whole series."""
        return self.sent / self.elapsed_s if self.elapsed_s > 0 else 0.0

    def unexpected(self, expectation: Expectation) -> int:
        """Return how many requests did not get the expected status."""
        return self.failed + sum(count for status, count in self.statuses.items() if not expectation.met_by(status))

    def meets(self, expectation: Expectation | None) -> bool:
        """Return whether every request got a response, and the expected status if there is an expectation."""
        return not (self.failed if expectation is None else self.unexpected(expectation))


@dataclass(slots=True)
class DeliveryCounter:
    """Counts deliveries as they end. The counter retains only the latency of each response, which takes 8 bytes."""

    _statuses: Counter[int] = field(default_factory=Counter)
    _errors: Counter[str] = field(default_factory=Counter)
    _latencies_ms: array[float] = field(default_factory=lambda: array("d"))
    _unreachable: int = 0

    def add(self, delivery: Delivery) -> None:
        """Count a delivery by its status or its error."""
        if delivery.status is None:
            error = delivery.error or "no response"
            is_known = error in self._errors or len(self._errors) < _MOST_ERRORS
            self._errors[error if is_known else "other errors"] += 1
            self._unreachable += delivery.fault == "unreachable"
            return
        self._statuses[delivery.status] += 1
        self._latencies_ms.append(delivery.latency_ms)

    def tally(self, elapsed_s: float) -> DeliveryTally:
        """Return the tally of all deliveries counted so far."""
        return DeliveryTally(
            statuses=dict(sorted(self._statuses.items())),
            errors=dict(self._errors.most_common()),
            latencies_ms=array("d", sorted(self._latencies_ms)),
            elapsed_s=elapsed_s,
            unreachable=self._unreachable,
        )


def percentile(ascending: Sequence[float], percent: float) -> float | None:
    """Return the nearest-rank percentile, which is one of the values, or None if there are no values."""
    if not ascending:
        return None
    rank = ceil(len(ascending) * percent / 100)
    return ascending[min(max(rank, 1), len(ascending)) - 1]


PERCENTILES = (50, 90, 99)


def tally_view(tally: DeliveryTally) -> Table:
    """Return the table at the end of a series: requests by status and error, the duration and the rate."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, show_footer=True, pad_edge=False)
    table.add_column(
        "response", footer=Text(f"{format_latency(tally.elapsed_s * 1000)}, {tally.rate_per_s:.0f} requests/s")
    )
    table.add_column("requests", justify="right", footer=Text(str(tally.sent)))
    for status, count in tally.statuses.items():
        table.add_row(Text(format_status(status), style=status_style(status)), Text(str(count)))
    for error, count in tally.errors.items():
        table.add_row(Text(brief(error), style="red"), Text(str(count)))
    return table


def format_latencies(tally: DeliveryTally) -> str:
    """Return the latency percentiles on one line, or an empty line if there are no responses."""
    if not tally.latencies_ms:
        return ""
    percentiles = ((percent, percentile(tally.latencies_ms, percent)) for percent in PERCENTILES)
    parts = [f"p{percent} {format_latency(latency)}" for percent, latency in percentiles if latency is not None]
    return "  ".join(["latency", *parts, f"max {format_latency(tally.latencies_ms[-1])}"])


def series_record(tally: DeliveryTally) -> dict[str, Any]:
    """Return the record at the end of a series."""
    percentiles = {f"p{percent}": percentile(tally.latencies_ms, percent) for percent in PERCENTILES}
    latencies = {**percentiles, "max": percentile(tally.latencies_ms, 100)}
    return {
        "schema": "port-hook/series/1",
        "sent": tally.sent,
        "elapsed_s": round(tally.elapsed_s, 3),
        "statuses": [{"status": status, "count": count} for status, count in tally.statuses.items()],
        "errors": [{"error": error, "count": count} for error, count in tally.errors.items()],
        "latency_ms": {name: None if latency is None else round(latency, 3) for name, latency in latencies.items()},
    }


def sent_line(ready: ReadyReplay, sent: SentReplay) -> Styled:
    """Return the line about one of several sources and its response."""
    delivery = sent.delivery
    error = (brief(delivery.error or "no response"), "red")
    outcome = error if delivery.status is None else next(delivery_lines(delivery))
    return Styled.assemble((brief(ready.source.shown), "bold"), "  ", outcome)


def sent_record(ready: ReadyReplay, sent: SentReplay) -> dict[str, Any]:
    """Return the record of a sent request, with the ID of its new capture."""
    record = delivery_record(sent.delivery, source=ready.source.name, run_id=ready.run_id)
    return {**record, "capture": sent.kept.capture or None}
