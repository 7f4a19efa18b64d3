"""A store is searched and counted like a plain list of the same captures."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.captures.browsing.browser import StoreBrowser, spans_of
from port_hook_cli.captures.browsing.query import CaptureQuery
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.models import Capture, Delivery, Response, Simulated, Status
from tests.factories import a_capture

STATUSES = (None, -5, 0, 199, 200, 299, 302, 404, 599, 600, 2**62)


class Row(NamedTuple):
    """The values that filters compare, in the order of the columns that `fill` writes."""

    received_at: Any
    status: Any
    action: Any
    is_verified: Any
    response: int | None
    handler: int | None
    is_forwarded: bool
    is_dropped: bool

    @property
    def is_bad(self) -> bool:
        return not self.is_verified or (self.response or 0) >= 400 or (self.is_forwarded and self.handler is None)

    def as_capture(self) -> Capture:
        delivery = Delivery(url="", status=self.handler) if self.is_forwarded else None
        simulated = Simulated(failure="drop", dropped=True) if self.is_dropped else None
        response = None if self.response is None else Response(status=self.response)
        return a_capture(delivery=delivery, response=response, simulated=simulated)

    @property
    def failed(self) -> bool:
        has_outcome = self.is_forwarded or self.response is not None
        is_old = self.received_at < 2e11  # a request of the last minute may be in the handler, and one of the future
        return self.as_capture().handler_failed and (has_outcome or is_old)

    def matches(self, query: CaptureQuery) -> bool:
        handler = "no-response" if self.is_forwarded and self.handler is None else class_of(self.handler)
        return (
            query.action in {None, self.action}
            and (not query.verdicts or self.status in {status.value for status in query.verdicts})
            and query.response in {None, class_of(self.response), str(self.response)}
            and (query.handler in {None, handler, str(self.handler)} or (query.handler == "failed" and self.failed))
            and (query.since_s is None or self.received_at >= query.since_s)
            and (query.until_s is None or self.received_at < query.until_s)
        )


def class_of(status: int | None) -> str:
    return "none" if status is None else f"{status // 100}xx"


captures = st.builds(
    Row,
    received_at=st.sampled_from((0.0, 1.5, 2.0, 7.25, 100.0, 2.5e11)),
    status=st.sampled_from((*(status.value for status in Status), "", "planted", b"\xff")),
    action=st.sampled_from((None, "a", "b", "", b"\xff")),
    is_verified=st.integers(0, 1),
    response=st.sampled_from(STATUSES),
    handler=st.sampled_from(STATUSES),
    is_forwarded=st.booleans(),
    is_dropped=st.booleans(),
).map(lambda row: row if row.is_forwarded else row._replace(handler=None))
TIMES = (0.0, 1.5, 3.0, 50.0)
FILTERS: dict[str, tuple[Any, ...]] = {
    "action": ("a", "unknown"),
    "verdicts": ((Status.VALID,), (Status.INVALID, Status.STALE)),
    "response": ("2xx", "3xx", "4xx", "5xx", "none", "404"),
    "handler": ("2xx", "4xx", "599", "none", "failed", "no-response"),
    "since_s": TIMES,
    "until_s": TIMES,
}
QUERIES = [CaptureQuery(), *(CaptureQuery(**{name: value}) for name, values in FILTERS.items() for value in values)]
combined = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in FILTERS.items()}).map(
    lambda filters: CaptureQuery(**filters)
)


INSERT = """
    INSERT INTO captures
        (seq, id, method, target, headers, body, received_at, status, action, is_verified, response, delivery,
         simulated)
    VALUES (?, 'x', 'POST', '/', '[]', x'', ?, ?, ?, ?, '{"status":' || ? || '}', ?, ?)
"""


def fill(path: Path, rows: dict[int, Row]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for seq, row in rows.items():
            handler = "null" if row.handler is None else row.handler
            delivery = f'{{"status":{handler}}}' if row.is_forwarded else None
            simulated = '{"failure":"drop","dropped":true}' if row.is_dropped else None
            connection.execute(INSERT, (seq, *row[:5], delivery, simulated))


@given(
    rows=st.dictionaries(st.integers(1, 40), captures, max_size=12),
    late=st.dictionaries(st.integers(41, 60), captures, max_size=6),
    dropped=st.sets(st.integers(1, 60), max_size=6),
    query=combined,
    bounds=st.tuples(st.integers(0, 40), st.integers(0, 60), st.integers(1, 5)),
)
def test_store_is_searched_and_counted_like_a_list(
    rows: dict[int, Row],
    late: dict[int, Row],
    dropped: set[int],
    query: CaptureQuery,
    bounds: tuple[int, int, int],
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "captures.db"
        open_store(path, path.parent, create=True).close()
        fill(path, rows)
        with closing(StoreBrowser(path)) as browser:
            browser.catch_up()
            browser.advance(browser.search(query))  # a later search for the same continues with what it found
            fill(path, late)
            dropped -= {max({**rows, **late}, default=0)}  # a store always retains the latest capture
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.executemany("DELETE FROM captures WHERE seq = ?", [(seq,) for seq in dropped])
            browser.catch_up()
            left = {seq: row for seq, row in {**rows, **late}.items() if seq not in dropped}
            for each in (query, *QUERIES):
                check(browser, left, each, bounds)


def check(browser: StoreBrowser, rows: dict[int, Row], query: CaptureQuery, bounds: tuple[int, int, int]) -> None:
    matches = {seq: row for seq, row in sorted(rows.items()) if row.matches(query)}
    after, latest, limit = bounds
    inside = [seq for seq in matches if after < seq <= latest]
    assert browser.page(query, latest=latest, after=after, limit=limit, oldest_first=True) == inside[:limit]
    assert browser.page(query, latest=latest, after=after, limit=limit) == inside[::-1][:limit]
    assert browser.matching(query, range(1, 100)) == list(matches)
    search = browser.search(query)
    browser.advance(search)
    spans = search.spans()
    assert [seq for high, low in spans.spans for seq in range(high, low - 1, -1)] == list(matches)[::-1]
    assert all(a[1] > b[0] + 1 for a, b in zip(spans.spans, spans.spans[1:], strict=False))
    assert (spans.matches, spans.is_complete) == (len(matches), True)
    assert browser.number_of_captures() == len(rows)
    histogram = search.histogram(now=60.0, buckets=4)
    assert histogram.buckets == buckets_of(list(matches.values()), histogram.since_s, histogram.until_s, 4)
    assert sum(histogram.rejected) == sum(not row.is_verified for row in matches.values())


def buckets_of(matches: list[Row], since: float, until: float, buckets: int) -> tuple[tuple[int, int], ...]:
    if matches:
        assert since <= min(row.received_at for row in matches) or since == until
    found = [[0, 0] for _ in range(buckets)]
    for row in matches:
        at = max(0, min(int((row.received_at - since) / max((until - since) / buckets, 1e-9)), buckets - 1))
        found[at][0] += 1
        found[at][1] += row.is_bad
    return tuple((total, failed) for total, failed in found)


def test_spans_end_at_their_limit() -> None:
    assert spans_of(range(18, 0, -2), 3) == (((18, 18), (16, 16), (14, 14)), 3, False)
    assert spans_of((18, 16, 15, 14), 2) == (((18, 18), (16, 14)), 4, True)
    assert spans_of((), 2) == ((), 0, True)
