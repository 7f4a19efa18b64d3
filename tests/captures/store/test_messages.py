"""Kafka messages in a store: their origins, how they are shown, and how far a listener has read."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.captures.database.rows import CAPTURE_COLUMNS, capture_row, read_row
from port_hook_cli.captures.documents.capture_fields import NotACapture
from port_hook_cli.captures.documents.capture_file import capture_summary, read_capture, to_capture
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.writer import StoreWriter
from port_hook_cli.captures.view.capture import capture_lines
from port_hook_cli.captures.view.captures import captures_lines
from port_hook_cli.captures.view.compact import compact_line
from port_hook_cli.captures.view.stored import stored_lines
from port_hook_cli.invocations.models import Capture, MessageOrigin, Partition, Response
from port_hook_cli.replay.sources import from_capture
from tests.captures.listing import listed
from tests.databases import edit
from tests.factories import a_capture, an_invocation

ORIGIN = MessageOrigin("org.runs", 3, 42, 1_700_000_000_123)
PART = Partition("cluster", "org.runs", 3)
ORIGINS = st.builds(
    MessageOrigin,
    topic=st.text(max_size=20),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    timestamp_ms=st.none() | st.integers(0, 10**13),
)


def a_message(origin: MessageOrigin | None = ORIGIN, **fields: object) -> Capture:
    return a_capture(an_invocation(origin=origin), **fields)


@given(st.none() | ORIGINS)
def test_message_origin_is_saved_in_the_store_and_capture_files(origin: MessageOrigin | None) -> None:
    capture = a_message(origin)

    assert read_row(capture_row(capture, keep_secrets=False)).invocation.origin == origin
    document = json.loads(json.dumps(to_capture(capture)))
    assert read_capture(document).invocation.origin == origin


def test_damaged_origin_is_reported(tmp_path: Path) -> None:
    row = list(capture_row(a_message(), keep_secrets=False))
    for written in (
        "x",
        "null",
        "{}",
        '{"topic":"t","partition":0}',
        '{"topic":"t","partition":0,"offset":-1}',
        '{"topic":"t","partition":true,"offset":0}',
        '{"topic":1,"partition":0,"offset":0}',
        '{"topic":"t","partition":0,"offset":0,"timestamp_ms":"now"}',
        "[" * 100_000,
    ):
        row[CAPTURE_COLUMNS.index("kafka")] = written
        with pytest.raises(ValueError, match=r"kafka|Expecting|recursion"):
            read_row(row)
    broken: list[dict[str, object]] = [{}, {"topic": 1}, {"topic": "t", "partition": -1, "offset": 0}, {"topic": "t"}]
    for fields in broken:
        with pytest.raises(NotACapture, match="kafka"):
            read_capture(to_capture(a_message()) | {"kafka": fields})


def test_origin_is_in_the_summary() -> None:
    assert capture_summary(a_message())["kafka"] == {
        "topic": "org.runs",
        "partition": 3,
        "offset": 42,
        "timestamp": "2023-11-14T22:13:20.123Z",
    }
    assert capture_summary(a_message(None))["kafka"] is None


def test_screen_shows_the_origin_of_a_message_without_a_response() -> None:
    capture = a_message(response=Response(status=200))
    compact = compact_line(capture).plain
    shown = "\n".join(line.plain for line in capture_lines(capture, app_url=None))
    assert ("(kafka)" in compact, "->" in compact) == (True, False)
    assert ("kafka org.runs[3]@42" in shown, "-> 200" in shown) == (True, False)
    assert "kafka" in list(captures_lines(listed(capture)))[1]  # instead of a method
    hostile = a_message(ORIGIN._replace(topic="org\x1b[31m"))
    assert "\x1b" not in compact_line(hostile).plain
    assert "org\\x1b[31m[3]@42" in "\n".join(line.plain for line in stored_lines(hostile))
    assert from_capture("last", capture).invocation.origin is None  # a replay is a request


def test_positions_are_replaced_by_later_ones(tmp_path: Path) -> None:
    other = PART._replace(number=1)
    with open_store(None, tmp_path, create=True) as store:
        assert store.kafka_positions() == {}
        store.keep_positions({PART: 1, other: 7})
        store.keep_positions({PART: 2})
        assert store.kafka_positions() == {PART: 2, other: 7}


def test_saved_messages_are_the_latest_undamaged_kafka_messages_first(tmp_path: Path) -> None:
    origins = [MessageOrigin("t", 0, offset) for offset in (3, 12, 5)]
    with open_store(None, tmp_path, create=True) as store:
        store.add([a_message(None), *map(a_message, origins)])
        assert list(store.saved_messages()) == origins[::-1]
        assert list(store.saved_messages(limit=1)) == [origins[-1]]
    edit(store.path, "UPDATE captures SET kafka = 'x' WHERE seq = 3")
    with open_store(None, tmp_path) as store:
        assert list(store.saved_messages()) == [origins[2], origins[0]]


async def test_writer_saves_the_last_position_after_captures_delayed_by_another_program(tmp_path: Path) -> None:
    store = open_store(None, tmp_path, create=True)
    writer = StoreWriter(store, asyncio.get_running_loop())
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        saving = writer.save(replace(a_message(), response=Response(status=200)))
        for position in (42, 43):
            writer.keep_position(PART, position)
        await asyncio.sleep(0)
        assert not saving.done()
        other.rollback()
    await saving
    await writer.close()
    writer.keep_position(PART, 44)  # has no effect after the end

    with open_store(None, tmp_path) as reader:
        assert (reader.number_of_captures(), reader.kafka_positions()) == (1, {PART: 43})
