"""The results of a series of replays as text: responses, latencies, and their histogram."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING, Any

from port_hook_cli.invocations.records import delivery_record
from port_hook_cli.invocations.view import _STYLES, format_status
from port_hook_cli.replay.tally import at_most, latency_buckets
from port_hook_cli.text.durations import format_duration, format_latency
from port_hook_cli.text.safe import brief

if TYPE_CHECKING:
    from rich.table import Table

    from port_hook_cli.replay.rewriting import ReadyReplay, SentReplay
    from port_hook_cli.replay.tally import DeliveryTally

PERCENTILES = (50, 90, 99)
_MOST_ROWS = 16
_MOST_COLUMNS = 80
_LEAST_BAR = 10
_MS_PER_S = 1000
SERIES = "port-hook/series/1"


def tally_view(tally: DeliveryTally) -> Table:
    """Return the table at the end of a series: requests by status and error, duration and rate."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, show_footer=True, pad_edge=False)
    table.add_column("response", footer=Text(f"{format_duration(tally.elapsed_s)}, {tally.rate_per_s:.1f}/s"))
    table.add_column("requests", justify="right", footer=Text(str(tally.sent)))
    for status, count in tally.statuses.items():
        table.add_row(Text(format_status(status), style=_STYLES.get(status // 100, "")), Text(str(count)))
    for error, count in tally.errors.items():
        table.add_row(Text(brief(error), style="red"), Text(str(count)))
    return table


def format_latencies(tally: DeliveryTally) -> str:
    """Return the latency percentiles on one line; empty if there were no responses."""
    return "latency  " + "  ".join(percentile_texts(tally)) if tally.latencies_ms else ""


def percentile_texts(tally: DeliveryTally) -> list[str]:
    """Return the percentiles and the longest latency, each with its name; there is at least one latency."""
    percentiles = ((percent, tally.percentile(percent)) for percent in PERCENTILES)
    parts = [f"p{percent} {format_latency(latency)}" for percent, latency in percentiles if latency is not None]
    return [*parts, f"max {format_latency(tally.latencies_ms[-1])}"]


def histogram_lines(tally: DeliveryTally, width: int) -> Iterator[str]:
    """Yield the latencies as a histogram of plain characters for a terminal of `width` columns, 80 at most."""
    buckets = at_most(latency_buckets(tally.latencies_ms), _MOST_ROWS)
    if not buckets:
        return
    bounds = [format_bound(bucket.from_ms) for bucket in buckets]
    counts = [str(bucket.count) for bucket in buckets]
    bound_width, count_width = max(map(len, bounds)), max(map(len, counts))
    room = max(_LEAST_BAR, min(width, _MOST_COLUMNS) - bound_width - count_width - len("from    "))
    most = max(bucket.count for bucket in buckets)
    for bucket, bound, count in zip(buckets, bounds, counts, strict=True):
        bar = "#" * ceil(bucket.count / most * room)
        yield f"from {bound:>{bound_width}}  {count:>{count_width}} {bar}".rstrip()


def format_bound(bound_ms: float) -> str:
    """Return the bound of a bucket exactly, in milliseconds or from one second in seconds."""
    return f"{bound_ms:.10g} ms" if bound_ms < _MS_PER_S else f"{bound_ms / _MS_PER_S:.10g} s"


def series_record(tally: DeliveryTally) -> dict[str, Any]:
    """Return the record at the end of a series."""
    percentiles = {f"p{percent}": tally.percentile(percent) for percent in PERCENTILES}
    latencies = {**percentiles, "max": tally.percentile(100)}
    return {
        "schema": SERIES,
        "sent": tally.sent,
        "elapsed_s": round(tally.elapsed_s, 3),
        "statuses": [{"status": status, "count": count} for status, count in tally.statuses.items()],
        "errors": [{"error": error, "count": count} for error, count in tally.errors.items()],
        "latency_ms": {name: None if latency is None else round(latency, 3) for name, latency in latencies.items()},
        "buckets": [
            {"from_ms": bucket.from_ms, "to_ms": bucket.to_ms, "count": bucket.count}
            for bucket in latency_buckets(tally.latencies_ms)
        ],
    }


def sent_record(ready: ReadyReplay, sent: SentReplay) -> dict[str, Any]:
    """Return the record of a sent request, with the id of its new capture."""
    record = delivery_record(sent.delivery, source=ready.source.name, run_id=ready.run_id)
    return {**record, "capture": sent.kept.capture or None}
