"""The columns of the index select and count as a plain list of the same captures does."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from port_hook_cli.captures.index.columns import ColumnRow, IndexColumns
from port_hook_cli.captures.index.query import CaptureQuery
from port_hook_cli.invocations.models import Status

VERDICTS = (*(status.value for status in Status), "", "made up", b"\xff")
ACTIONS = (None, "a", "b", "", b"\xff")
STATUSES = (None, -5, 0, 199, 200, 299, 302, 404, 599, 600, 2**62)
MOMENTS = (0.0, 1.5, 2.0, 7.25, 100.0, 2.5e11)
outcomes = st.tuples(st.sampled_from(STATUSES), st.sampled_from(STATUSES), st.sampled_from((None, 1))).map(
    lambda parts: (parts[0], None if parts[2] else parts[1], parts[2])
)
facts = st.tuples(
    st.sampled_from(MOMENTS), st.sampled_from(VERDICTS), st.sampled_from(ACTIONS), st.integers(0, 1), outcomes
)
times = st.sampled_from((None, 0.0, 1.5, 3.0, 50.0))
queries = st.builds(
    CaptureQuery,
    action=st.sampled_from((None, "a", "unknown")),
    verdicts=st.lists(st.sampled_from(Status), max_size=3).map(tuple),
    response=st.sampled_from((None, "2xx", "3xx", "4xx", "5xx", "none")),
    handler=st.sampled_from((None, "2xx", "4xx", "none", "failed")),
    since_s=times,
    until_s=times,
)


def a_row(seq: int, fields: Any) -> ColumnRow:
    moment, verdict, action, is_verified, outcome = fields
    return (seq, moment, verdict, action, is_verified, *outcome)


def is_match(row: ColumnRow, query: CaptureQuery) -> bool:
    _, moment, verdict, action, _, response, handler, fault = row
    return (
        query.action in {None, action}
        and (not query.verdicts or verdict in {status.value for status in query.verdicts})
        and (query.response is None or class_of(response) == query.response)
        and (query.handler is None or ("failed" if fault else class_of(handler)) == query.handler)
        and (query.since_s is None or moment >= query.since_s)
        and (query.until_s is None or moment < query.until_s)
    )


def class_of(status: int | None) -> str:
    return "none" if status is None else f"{status // 100}xx"


def is_failed(row: ColumnRow) -> bool:
    return not row[4] or (row[5] or 0) >= 400 or row[7] is not None


@given(
    newer=st.lists(st.lists(facts, min_size=1, max_size=4), max_size=4),
    older=st.lists(st.lists(facts, min_size=1, max_size=4), max_size=4),
    gaps=st.sets(st.integers(-16, 16)),
    changes=st.dictionaries(st.integers(-16, 20), outcomes, max_size=4),
    dropped=st.sets(st.integers(-16, 20), max_size=6),
    query=queries,
    bounds=st.tuples(st.integers(0, 120), st.integers(80, 120), st.integers(1, 5)),
)
@settings(max_examples=150)
def test_columns_find_the_same_captures_as_a_list(
    newer: list[list[Any]],
    older: list[list[Any]],
    gaps: set[int],
    changes: dict[int, Any],
    dropped: set[int],
    query: CaptureQuery,
    bounds: tuple[int, int, int],
) -> None:
    columns, rows, first, last = IndexColumns(), list[ColumnRow](), 100, 99
    for part in newer:
        added = [a_row(last + at, each) for at, each in enumerate(part, 1) if last + at - 100 not in gaps]
        last += len(part)
        columns.add(added)
        rows += added
    for part in older:
        first -= len(part)
        added = [a_row(first + at, each) for at, each in enumerate(part) if first + at - 100 not in gaps]
        columns.add(added)
        rows = added + rows
    for seq, outcome in changes.items():
        columns.change(100 + seq, *outcome)
        rows = [(*row[:5], *outcome) if row[0] == 100 + seq else row for row in rows]
    columns.forget(100 + seq for seq in dropped)
    rows = [row for row in rows if row[0] - 100 not in dropped]

    matches = [row for row in rows if is_match(row, query)]
    seqs = [row[0] for row in matches]
    newest, after, limit = bounds
    inside = [seq for seq in seqs if after < seq <= newest]
    assert columns.can_select(query)
    assert columns.page(query, newest, after, limit, oldest_first=True) == inside[:limit]
    assert columns.page(query, newest, after, limit, oldest_first=False) == inside[::-1][:limit]
    spans = columns.spans(query, 100)
    assert [seq for high, low in spans.spans for seq in range(high, low - 1, -1)] == seqs[::-1]
    assert all(a[1] > b[0] + 1 for a, b in zip(spans.spans, spans.spans[1:], strict=False))
    assert (spans.matches, spans.is_complete) == (len(seqs), True)
    assert columns.count == len(rows)
    assert columns.count_between(after, newest) == len([row for row in rows if after <= row[0] <= newest])
    histogram = columns.histogram(query, now=60.0, buckets=4)
    assert histogram.buckets == expected_buckets(matches, histogram.since_s, histogram.until_s, 4)
    assert columns.histogram_of(seqs, query, now=60.0, buckets=4) == histogram


def expected_buckets(matches: list[ColumnRow], since: float, until: float, buckets: int) -> tuple[tuple[int, int], ...]:
    if matches:
        assert since <= min(row[1] for row in matches) or since == until
    found = [[0, 0] for _ in range(buckets)]
    for row in matches:
        at = max(0, min(int((row[1] - since) / max((until - since) / buckets, 1e-9)), buckets - 1))
        found[at][0] += 1
        found[at][1] += is_failed(row)
    return tuple((total, failed) for total, failed in found)


def test_no_capture_is_between_numbers_in_the_wrong_order() -> None:
    columns = IndexColumns()
    columns.add([a_row(seq, (1.0, "valid", None, 1, (200, 200, None))) for seq in (99, 101, 103)])
    assert columns.count_between(102, 100) == 0


def test_spans_end_at_their_limit() -> None:
    columns = IndexColumns()
    columns.add([a_row(seq, (1.0, "valid", None, 1, (200, 200, None))) for seq in range(2, 20, 2)])
    assert columns.spans(CaptureQuery(), 3) == (((18, 18), (16, 16), (14, 14)), 3, False)


def test_columns_of_many_captures_are_split_and_counted_completely() -> None:
    columns, count = IndexColumns(), 20_000
    found = [
        a_row(seq, (float(seq), "valid", "ab"[seq % 2], 1, (500 if seq % 10 == 0 else 202, None, None)))
        for seq in range(1, count + 1)
    ]
    columns.add(found[9_000:])
    columns.add(found[:9_000])
    columns.add([a_row(count + 1, (3.0, "valid", "a", 1, (None, None, None)))])
    assert columns.spans(CaptureQuery(), 10).spans == ((count + 1, 1),)
    assert columns.spans(CaptureQuery(response="5xx"), count).matches == count // 10
    histogram = columns.histogram(CaptureQuery(), now=count + 1.0, buckets=8)
    assert histogram.since_s == 1.0
    assert histogram.buckets == ((2501, 250), *[(2500, 250)] * 7)
    assert columns.page(CaptureQuery(response="5xx"), 9_005, 8_985, 10, oldest_first=False) == [9000, 8990]


def test_actions_beyond_those_that_have_a_code_are_not_selected_from_columns() -> None:
    columns = IndexColumns()
    columns.add([a_row(seq, (1.0, "valid", f"action {seq}", 1, (200, 200, None))) for seq in range(1, 301)])
    assert columns.can_select(CaptureQuery(action="action 200"))
    assert columns.page(CaptureQuery(action="action 200"), 300, 0, 5, oldest_first=False) == [200]
    assert not columns.can_select(CaptureQuery(action="action 290"))
    assert columns.spans(CaptureQuery(), 5).matches == 300
