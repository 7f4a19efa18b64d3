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
from port_hook_cli.captures.view.capture import capture_lines, compact_line
from port_hook_cli.captures.view.captures import captures_lines, stored_lines
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
DAMAGED = [
    "x",
    "null",
    "[]",
    "{}",
    '{"topic":"t","partition":0}',
    '{"topic":"t","partition":0,"offset":-1}',
    '{"topic":"t","partition":true,"offset":0}',
    '{"topic":1,"partition":0,"offset":0}',
    '{"topic":"t","partition":0,"offset":0,"timestamp_ms":"now"}',
    "7",
]


def a_message(origin: MessageOrigin | None = ORIGIN, **fields: object) -> Capture:
    return a_capture(an_invocation(origin=origin), **fields)


@given(st.none() | ORIGINS)
def test_message_origin_is_saved_in_the_store_and_capture_files(origin: MessageOrigin | None) -> None:
    capture = a_message(origin)

    assert read_row(capture_row(capture, keep_secrets=False)).invocation.origin == origin
    document = json.loads(json.dumps(to_capture(capture)))
    assert read_capture(document).invocation.origin == origin


@pytest.mark.parametrize("written", [*DAMAGED, pytest.param("[" * 100_000, id="deep")])
def test_damaged_origin_of_a_row_is_reported(written: str) -> None:
    row = list(capture_row(a_message(), keep_secrets=False))
    row[CAPTURE_COLUMNS.index("kafka")] = written

    with pytest.raises(ValueError, match=r"kafka|Expecting|recursion"):
        read_row(row)


@pytest.mark.parametrize("fields", [{}, {"topic": 1}, {"topic": "t", "partition": -1, "offset": 0}, {"topic": "t"}])
def test_damaged_origin_of_a_capture_file_is_reported(fields: dict[str, object]) -> None:
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

    assert "kafka org.runs[3]@42" in compact_line(capture).plain
    assert "-> 200" not in compact_line(capture).plain
    shown = "\n".join(line.plain for line in capture_lines(capture, app_url=None))
    assert "kafka org.runs[3]@42" in shown
    assert "responded" not in shown


def test_hostile_topic_is_shown_as_escapes() -> None:
    capture = a_message(ORIGIN._replace(topic="org\x1b[31m"))

    assert "\x1b" not in compact_line(capture).plain
    assert "org\\x1b[31m[3]@42" in "\n".join(line.plain for line in stored_lines(capture))


def test_list_of_captures_shows_kafka_instead_of_a_method() -> None:
    assert "kafka" in list(captures_lines(listed(a_message())))[1]


def test_replay_of_a_message_is_a_request() -> None:
    assert from_capture("last", a_message()).invocation.origin is None


def test_positions_are_replaced_by_later_ones(tmp_path: Path) -> None:
    other = PART._replace(number=1)
    with open_store(None, tmp_path, create=True) as store:
        assert store.kafka_positions() == {}
        store.keep_positions({PART: 1, other: 7})
        store.keep_positions({PART: 2})
        assert store.kafka_positions() == {PART: 2, other: 7}


def test_saved_messages_are_the_latest_kafka_messages_first(tmp_path: Path) -> None:
    origins = [MessageOrigin("t", 0, offset) for offset in (3, 12, 5)]
    with open_store(None, tmp_path, create=True) as store:
        store.add([a_message(None), *map(a_message, origins)])
        assert list(store.saved_messages()) == origins[::-1]
        assert list(store.saved_messages(limit=1)) == [origins[-1]]


def test_damaged_message_is_not_a_saved_message(tmp_path: Path) -> None:
    with open_store(None, tmp_path, create=True) as store:
        store.add([a_message(), a_message(ORIGIN._replace(offset=43))])
        path = store.path
    edit(path, "UPDATE captures SET kafka = 'x' WHERE seq = 2")
    with open_store(None, tmp_path) as store:
        assert list(store.saved_messages()) == [ORIGIN]


async def test_writer_saves_the_last_position_after_the_captures(tmp_path: Path) -> None:
    writer = StoreWriter(open_store(None, tmp_path, create=True), asyncio.get_running_loop())
    await writer.save(a_message())
    writer.keep_position(PART, 42)
    writer.keep_position(PART, 43)
    await writer.close()
    writer.keep_position(PART, 44)  # has no effect after the end

    with open_store(None, tmp_path) as store:
        assert store.kafka_positions() == {PART: 43}


async def test_position_is_saved_after_captures_delayed_by_another_program(tmp_path: Path) -> None:
    store = open_store(None, tmp_path, create=True)
    writer = StoreWriter(store, asyncio.get_running_loop())
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        saving = writer.save(replace(a_message(), response=Response(status=200)))
        writer.keep_position(PART, 1)
        await asyncio.sleep(0)
        assert not saving.done()
        other.rollback()
    await saving
    await writer.close()

    with open_store(None, tmp_path) as reader:
        assert (reader.number_of_captures(), reader.kafka_positions()) == (1, {PART: 1})
