"""The latencies of a series as an SVG image.

The image doesn't need a script, a font or another file. It has a background, and colors for a light and a dark page.
The same latencies always result in the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from math import log10

from port_hook_cli.replay.tally import (
    PERCENTILES,
    Bucket,
    DeliveryTally,
    at_most,
    format_bound,
    latency_buckets,
    percentile_texts,
)

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 24, 96, 56
_INNER_WIDTH, _INNER_HEIGHT = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
_MOST_BUCKETS = 40
_MOST_LABELS = 10
_MOST_STATUSES = 3
_GRID_LINES = 4
_STYLE = """
    .back { fill: #ffffff } .bar { fill: #4f46e5 } .text { fill: #1f2430 } .soft { fill: #555c6b }
    .grid { stroke: #dfe2e8 } .axis { stroke: #8a90a0 } .mark { stroke: #b45309 } .name { fill: #92400e }
    text { font: 13px system-ui, sans-serif } .head { font-size: 16px; font-weight: 600 }
    @media (prefers-color-scheme: dark) {
      .back { fill: #14161c } .bar { fill: #8f8af5 } .text { fill: #eceef3 } .soft { fill: #aab0be }
      .grid { stroke: #2c303a } .axis { stroke: #6d7484 } .mark { stroke: #f2b458 } .name { fill: #f2b458 }
    }
  """


def latency_plot(tally: DeliveryTally) -> bytes:
    """Return an SVG image of the latencies. The tally must have at least one latency."""
    buckets = at_most(latency_buckets(tally.latencies_ms), _MOST_BUCKETS)
    count = len(tally.latencies_ms)
    title = f"Latencies of {count:,} response{'' if count == 1 else 's'}"
    names = f'role="img" aria-label="{title}" aria-describedby="desc"'
    lines = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {names}>',
        f"  <title>{title}</title>",
        f'  <desc id="desc">{_description(tally, buckets)}</desc>',
        f"  <style>{_STYLE}</style>",
        f'  <rect class="back" width="{_WIDTH}" height="{_HEIGHT}"/>',
        f'  <text class="text head" x="{_LEFT}" y="28">{title}</text>',
        f'  <text class="soft" x="{_LEFT}" y="48">{_statuses(tally)}</text>',
    )
    parts = chain(lines, _grid(buckets), _bars(buckets), _bounds(buckets), _marks(tally, buckets), ("</svg>", ""))
    return "\n".join(parts).encode()


def _description(tally: DeliveryTally, buckets: Sequence[Bucket]) -> str:
    fullest = max(buckets, key=lambda bucket: bucket.count)
    percentiles = ", ".join(percentile_texts(tally))
    return (
        f"A histogram with a logarithmic axis. {percentiles}. The fullest bucket, {_range_text(fullest)}, has "
        f"{fullest.count:,} responses. {_statuses(tally)}"
    )


def _statuses(tally: DeliveryTally) -> str:
    shown = sorted(tally.statuses.items(), key=lambda item: -item[1])[:_MOST_STATUSES]
    counts = [f"{count:,} with status {status}" for status, count in shown]
    others = len(tally.latencies_ms) - sum(count for _, count in shown)
    counts += [f"{others:,} with another status"] if others else []
    counts += [f"{tally.failed:,} without a response"] if tally.failed else []
    return f"{tally.sent:,} sent: {', '.join(counts)}."


def _grid(buckets: Sequence[Bucket]) -> Iterator[str]:
    """Yield the horizontal lines of the grid, with their counts."""
    most = max(bucket.count for bucket in buckets)
    for count in sorted({round(most * part / _GRID_LINES) for part in range(_GRID_LINES + 1)}):
        y = _number(_y(count, most))
        style = "grid" if count else "axis"
        yield f'  <line class="{style}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'  <text class="soft" x="{_LEFT - 8}" y="{y}" dy="4" text-anchor="end">{count:,}</text>'


def _bars(buckets: Sequence[Bucket]) -> Iterator[str]:
    most, width = max(bucket.count for bucket in buckets), _INNER_WIDTH / len(buckets)
    for number, bucket in enumerate(buckets):
        if bucket.count:
            y = _y(bucket.count, most)
            place = f'x="{_number(_LEFT + number * width + 1)}" y="{_number(y)}"'
            size = f'width="{_number(max(1.0, width - 2))}" height="{_number(_TOP + _INNER_HEIGHT - y)}"'
            name = f"{_range_text(bucket)}: {bucket.count:,}"
            yield f'  <rect class="bar" {place} {size}><title>{name}</title></rect>'


def _bounds(buckets: Sequence[Bucket]) -> Iterator[str]:
    """Yield the bounds of at most ten buckets, below their bars."""
    width, y = _INNER_WIDTH / len(buckets), _TOP + _INNER_HEIGHT + 20
    every = -(-(len(buckets) + 1) // _MOST_LABELS)
    for number, bound in enumerate([buckets[0].from_ms, *(bucket.to_ms for bucket in buckets)]):
        if number % every == 0 and bound is not None:
            x = _number(_LEFT + number * width)
            yield f'  <text class="soft" x="{x}" y="{y}" text-anchor="middle">{format_bound(bound)}</text>'


def _marks(tally: DeliveryTally, buckets: Sequence[Bucket]) -> Iterator[str]:
    """Yield a line at each percentile. The names are at different heights, because the lines may be close together."""
    for number, percent in enumerate(PERCENTILES):
        latency = tally.percentile(percent)
        if latency is not None:
            x, y = _number(_x(latency, buckets)), _TOP - 6 - 14 * number
            place = f'x1="{x}" x2="{x}" y1="{y + 3}" y2="{_TOP + _INNER_HEIGHT}"'
            yield f'  <line class="mark" {place} stroke-dasharray="4 3"/>'
            yield f'  <text class="name" x="{x}" y="{y}" text-anchor="middle">p{percent}</text>'


def _x(latency_ms: float, buckets: Sequence[Bucket]) -> float:
    number = max(number for number, bucket in enumerate(buckets) if not number or bucket.from_ms <= latency_ms)
    return _LEFT + (number + _part(latency_ms, buckets[number])) * _INNER_WIDTH / len(buckets)


def _part(latency_ms: float, bucket: Bucket) -> float:
    """Return the position of a latency in its bucket, from 0 to 1."""
    if not bucket.from_ms or bucket.to_ms is None:
        return 0.5
    return log10(latency_ms / bucket.from_ms) / log10(bucket.to_ms / bucket.from_ms)


def _y(count: int, most: int) -> float:
    return _TOP + _INNER_HEIGHT * (1 - count / most)


def _range_text(bucket: Bucket) -> str:
    if bucket.to_ms is None:
        return f"{format_bound(bucket.from_ms)} or more"
    return f"{format_bound(bucket.from_ms)} to {format_bound(bucket.to_ms)}"


def _number(value: float) -> str:
    return f"{value:.1f}"
