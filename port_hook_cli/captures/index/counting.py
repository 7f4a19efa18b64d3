"""Count the matches of a query and find their numbers, with SQL over the rows of the index.

Each statement returns few rows. While SQLite searches for the next row, it lets other threads run. With a million rows
in the result, the reader would have to wait for a busy listener a million times.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from port_hook_cli.captures.database.conditions import Condition, joined
from port_hook_cli.captures.index.query import CaptureQuery, index_conditions
from port_hook_cli.frozen import frozen

_NUMBERS_PER_PART = 5_000
_COUNTS = """
    count(*), count(CASE WHEN NOT rows.is_verified OR rows.response >= 400 OR rows.fault THEN 1 END),
    count(CASE WHEN NOT rows.is_verified THEN 1 END)
"""
_ABOVE_ANY = 2**63
_BOUNDS = "SELECT (SELECT count(*) FROM seen.rows), (SELECT max(seq) FROM seen.rows), (SELECT min(seq) FROM seen.rows)"
_PICKED = "rows.seq IN (SELECT value FROM json_each(?))"


class Spans(NamedTuple):
    """The numbers of captures as spans (latest, oldest) of consecutive numbers, latest first."""

    spans: tuple[tuple[int, int], ...]
    matches: int
    is_complete: bool


@frozen
class Histogram:
    """Captures over time, in equal buckets from `since_s` to `until_s` (epoch seconds). A bucket is (all, failed).

    `rejected` contains the number of rejected captures in each bucket.
    """

    since_s: float
    until_s: float
    buckets: tuple[tuple[int, int], ...]
    rejected: tuple[int, ...] = ()


def find_spans(connection: sqlite3.Connection, query: CaptureQuery, max_spans: int) -> Spans:
    """Return the numbers of all matches, for a query without a text, run or ID."""
    return spans_of(_runs(connection, joined(index_conditions(query))), max_spans)


def spans_of(runs: Iterable[tuple[int, int]], max_spans: int) -> Spans:
    """Return runs (latest, oldest) of matches, latest first, as spans: at most `max_spans` of them."""
    latest, oldest = list[int](), list[int]()
    last, is_complete = _ABOVE_ANY, True
    for high, low in runs:
        if high < last - 1:
            is_complete = len(latest) < max_spans
            if not is_complete:
                break
            latest.append(high)
            oldest.append(last)
        last = low
    spans = tuple(zip(latest, [*oldest[1:], last], strict=False))
    return Spans(spans, sum(high - low + 1 for high, low in spans), is_complete)


def count_over_time(
    connection: sqlite3.Connection, query: CaptureQuery, seqs: Sequence[int] | None, *, now: float, buckets: int
) -> Histogram:
    """Return the matches over time, from the query's `since_s` (or the oldest match) to its `until_s` (or `now`).

    `seqs` are the numbers of the matches. If it is None, all matches count, for a query without a text, run or ID.
    """
    where = joined(index_conditions(query)) if seqs is None else Condition(_PICKED, (json.dumps(seqs),))
    until = now if query.until_s is None else query.until_s
    since = _oldest(connection, where) if query.since_s is None else query.since_s
    if since is None:
        return Histogram(until, until, ((0, 0),) * buckets, (0,) * buckets)
    since = min(since, until)
    parts = _Parts(since, max((until - since) / buckets, 1e-9), buckets)
    counts = _count_by_index(connection, query, parts) if seqs is None else _count_grouped(connection, where, parts)
    found = list(counts)
    return Histogram(since, until, tuple((each[0], each[1]) for each in found), tuple(each[2] for each in found))


def _runs(connection: sqlite3.Connection, where: Condition) -> Iterator[tuple[int, int]]:
    """Yield runs (latest, oldest) of matches, latest first.

    Usually, no number is missing. If most captures match as well, reading the numbers of the other captures is faster.
    """
    count, latest, oldest = connection.execute(_BOUNDS).fetchone()
    if not count:
        return
    others = Condition(f"({where.sql}) IS NOT TRUE", where.values)
    is_whole, reads_others = latest - oldest + 1 == count, False
    while latest >= oldest:
        seqs = _numbers(connection, others if reads_others else where, latest)
        end = seqs[-1] if len(seqs) == _NUMBERS_PER_PART else oldest
        yield from _between(seqs, latest, end) if reads_others else zip(seqs, seqs, strict=True)
        if is_whole and 2 * len(seqs) > latest - end:
            reads_others = not reads_others
        latest = end - 1


def _between(others: Iterable[int], latest: int, oldest: int) -> Iterator[tuple[int, int]]:
    """Yield the runs between `latest` and `oldest` without `others`, the numbers from the latest to the oldest."""
    for other in others:
        if other < latest:
            yield latest, other + 1
        latest = other - 1
    if latest >= oldest:
        yield latest, oldest


def _numbers(connection: sqlite3.Connection, where: Condition, latest: int) -> list[int]:
    """Return the numbers of the latest `_NUMBERS_PER_PART` matches at most, up to `latest`, latest first."""
    sql = (
        "SELECT group_concat(seq) FROM (SELECT rows.seq FROM seen.rows AS rows NOT INDEXED "  # noqa: S608
        f"WHERE rows.seq <= ? AND {where.sql} ORDER BY rows.seq DESC LIMIT {_NUMBERS_PER_PART})"
    )
    written = connection.execute(sql, (latest, *where.values)).fetchone()[0] or ""
    return sorted(json.loads(f"[{written}]"), reverse=True)  # SQLite doesn't guarantee an order


def _oldest(connection: sqlite3.Connection, where: Condition) -> float | None:
    """Return the time of the oldest match, or None."""
    sql = f"SELECT rows.received_at FROM seen.rows AS rows WHERE {where.sql} ORDER BY rows.received_at LIMIT 1"  # noqa: S608
    found = connection.execute(sql, where.values).fetchone()
    return None if found is None else found[0]


class _Parts(NamedTuple):
    """Buckets of `width_s` seconds from `since_s` on. Captures outside of them count in the first or last bucket."""

    since_s: float
    width_s: float
    buckets: int


def _count_by_index(
    connection: sqlite3.Connection, query: CaptureQuery, parts: _Parts
) -> Iterator[tuple[int, int, int]]:
    """Yield the counts of all matches, without sorting: the index `moments` is in the order of time."""
    first, last = query.since_s or 0.0, math.inf if query.until_s is None else query.until_s
    where = joined(index_conditions(replace(query, since_s=None, until_s=None)))
    sql = (
        f"SELECT {_COUNTS} FROM seen.rows AS rows INDEXED BY moments "  # noqa: S608
        f"WHERE rows.received_at >= ? AND rows.received_at < ? AND {where.sql}"
    )
    inner = (parts.since_s + part * parts.width_s for part in range(1, parts.buckets))
    for start, end in pairwise((first, *inner, last)):
        yield connection.execute(sql, (max(start, first), min(end, last), *where.values)).fetchone()


def _count_grouped(connection: sqlite3.Connection, where: Condition, parts: _Parts) -> list[tuple[int, int, int]]:
    """Return the counts of the captures that match a condition."""
    sql = (
        f"SELECT max(0, min(CAST((rows.received_at - ?) / ? AS INTEGER), ?)) AS part, {_COUNTS} "  # noqa: S608
        f"FROM seen.rows AS rows WHERE {where.sql} GROUP BY part"
    )
    found = connection.execute(sql, (parts.since_s, parts.width_s, parts.buckets - 1, *where.values)).fetchall()
    counts = {part: (total, failed, rejected) for part, total, failed, rejected in found}
    return [counts.get(part, (0, 0, 0)) for part in range(parts.buckets)]
