"""How a source handles the events of its reader, without brokers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_NOT_AVAILABLE

from port_hook_cli.errors import BrokerError, PortApiError, PortHookError, StoreError
from port_hook_cli.invocations.models import LATEST_TIMESTAMP_MS, MessageOrigin, Partition
from port_hook_cli.invocations.small_documents import SMALL_BYTES
from port_hook_cli.kafka.connection import KafkaConnection
from port_hook_cli.kafka.messages import MAX_BYTES, MAX_MESSAGES
from tests.kafka.fed_sources import GROUP, NOW, RUNS, A, B, Recorder, fed, received
from tests.kafka.kafka_sources import Pipeline


def holding(*bodies: bytes) -> Pipeline:
    """Return a pipeline that saves these bodies when their events are set."""
    pipeline = Pipeline()
    pipeline.held = {body: asyncio.Event() for body in bodies}
    return pipeline


def others() -> set[asyncio.Task[Any]]:
    """Return the tasks besides the test's own."""
    return asyncio.all_tasks() - {asyncio.current_task()}


async def settle() -> None:
    """Run the ready tasks for more turns than any of them needs. A task that isn't done then waits for an event."""
    for _ in range(20):
        await asyncio.sleep(0)


FIRST = (RUNS, 2)  # a partition whose first message waits


# Captures.


@pytest.mark.parametrize(
    ("timestamp", "timestamp_ms"),
    [
        ((TIMESTAMP_CREATE_TIME, 1_700_000_000_123), 1_700_000_000_123),
        ((TIMESTAMP_CREATE_TIME, 0), 0),
        ((TIMESTAMP_CREATE_TIME, LATEST_TIMESTAMP_MS), LATEST_TIMESTAMP_MS),
        ((TIMESTAMP_CREATE_TIME, LATEST_TIMESTAMP_MS + 1), None),
        ((TIMESTAMP_CREATE_TIME, -1), None),
        ((TIMESTAMP_NOT_AVAILABLE, 1), None),
    ],
)
async def test_capture_has_the_topic_partition_offset_and_time_of_its_message(
    timestamp: tuple[int, int], timestamp_ms: int | None
) -> None:
    pipeline = Pipeline()
    async with fed(pipeline) as feed:
        feed.assign((RUNS, 3), (RUNS, 0))
        feed.arrive(received((RUNS, 3), 41, b"1", timestamp), received((RUNS, 0), 0, b"2", timestamp))
        await pipeline.bodies(2)
    assert [taken.origin for taken in pipeline.taken] == [
        MessageOrigin(RUNS, 3, 41, timestamp_ms),
        MessageOrigin(RUNS, 0, 0, timestamp_ms),
    ]


@pytest.mark.parametrize(("mount", "target"), [("/", "/"), ("/port", "/port"), ("/port/", "/port")])
async def test_capture_looks_like_a_post_request_to_the_listener(mount: str, target: str) -> None:
    pipeline = Pipeline()
    async with fed(pipeline, mount=mount) as feed:
        feed.assign(A)
        feed.arrive(received(A, 0, b"{}"))
        await pipeline.bodies(1)
    (taken,) = pipeline.taken
    assert (taken.method, taken.target, taken.body, taken.received_at) == ("POST", target, b"{}", NOW)


async def test_message_is_too_large_only_when_it_exceeds_the_limit() -> None:
    pipeline = Pipeline()
    async with fed(pipeline, max_body=3) as feed:
        feed.assign(A)
        feed.arrive(received(A, 0, b"1234"), received(A, 1, b"123"))
        assert await pipeline.bodies(1) == [b"123"]
        await pipeline.until(lambda: pipeline.kept(RUNS) == {0: 2})
    assert [line for line in pipeline.notices if "4 bytes" in line] == [
        f"Kafka: {RUNS}[0]@0 has 4 bytes, so it was not captured (limit --max-body)."
    ]


# Acknowledged messages.


async def test_group_commits_after_a_message_and_all_before_it_are_saved() -> None:
    pipeline = holding(b"first")
    async with fed(pipeline, group=GROUP) as feed:
        feed.assign(A, B)
        feed.arrive(received(A, 5, b"first"), received(A, 6, b"second"), received(B, 9, b"other"))
        await pipeline.bodies(2)
        await settle()
        assert feed.reader.acknowledged == [(B, 10)]
        pipeline.held[b"first"].set()
        await pipeline.bodies(3)
        await settle()
        assert feed.reader.acknowledged == [(B, 10), (A, 7)]
    assert pipeline.positions == {}  # a group's positions are the brokers', not the store's


async def test_watcher_saves_its_start_and_its_position_after_each_saved_message() -> None:
    pipeline = Pipeline()
    async with fed(pipeline) as feed:
        feed.assign(starts={A: 4, B: 7}, cluster="mine")
        assert pipeline.positions == {Partition("mine", *A): 4, Partition("mine", *B): 7}
        feed.arrive(received(A, 4))
        await pipeline.until(lambda: pipeline.positions == {Partition("mine", *A): 5, Partition("mine", *B): 7})
        assert feed.reader.acknowledged == []


async def test_partition_is_handed_over_after_its_message_in_progress_is_saved_and_committed() -> None:
    pipeline = holding(b"a", b"b")
    async with fed(pipeline, group=GROUP) as feed:
        feed.assign(A, B)
        feed.arrive(received(A, 5, b"a"), received(B, 7, b"b"))
        await settle()
        done = feed.revoke(A)
        assert not done.is_set()
        assert pipeline.notices[-1] == f"Kafka: handed over {RUNS}[0]."

        pipeline.held[b"b"].set()
        await pipeline.bodies(1)
        await settle()
        assert (feed.reader.acknowledged, done.is_set()) == ([(B, 8)], False)

        pipeline.held[b"a"].set()
        await pipeline.bodies(2)
        await settle()
        assert (feed.reader.acknowledged, done.is_set()) == ([(B, 8), (A, 6)], True)


async def test_waiting_messages_are_left_to_the_next_consumer_of_their_partition() -> None:
    pipeline = holding(b"in progress")
    async with fed(pipeline, group=GROUP, is_counted=True) as feed:
        feed.assign(A, B, FIRST)
        messages = [received(A, 5, b"in progress"), received(A, 6, b"6"), received(B, 7, b"b"), received(A, 7, b"7")]
        feed.arrive(*messages, received(FIRST, 0))
        await settle()
        done = feed.revoke(A, FIRST)
        assert feed.source.waiting == 1
        assert feed.reader.capacity.room == MAX_MESSAGES - 2

        pipeline.held[b"in progress"].set()
        assert await pipeline.bodies(2) == [b"in progress", b"b"]
        await settle()
        assert done.is_set()
        assert feed.reader.acknowledged == [(A, 6), (B, 8)]
        assert (feed.source.waiting, feed.source.in_progress) == (0, 0)
        assert feed.reader.capacity.room == MAX_MESSAGES


async def test_partition_without_messages_in_progress_is_handed_over_immediately() -> None:
    pipeline = Pipeline()
    async with fed(pipeline, group=GROUP) as feed:
        feed.assign(A)
        assert feed.revoke(A, B).is_set()


async def test_messages_of_a_lost_partition_are_not_handled_and_their_progress_is_forgotten() -> None:
    pipeline = Pipeline()
    async with fed(pipeline, group=GROUP) as feed:
        feed.assign(A, B)
        feed.revoke(B)
        feed.arrive(received(B, 3, b"handed over"))
        feed.assign(B)  # A is lost: the group does not report it
        feed.arrive(received(A, 5, b"lost"), received(B, 8, b"b"))
        assert await pipeline.bodies(1) == [b"b"]
        await settle()
        assert feed.reader.acknowledged == [(B, 9)]  # the unsaved message of the earlier assignment doesn't hold it up
        assert feed.reader.capacity.room == MAX_MESSAGES


async def test_reassigned_partition_starts_with_new_progress() -> None:
    pipeline = holding(b"slow")
    async with fed(pipeline, group=GROUP) as feed:
        feed.assign(A)
        feed.arrive(received(A, 5, b"slow"))
        await settle()
        feed.assign(A)  # the group was lost meanwhile
        feed.arrive(received(A, 5, b"again"))
        assert await pipeline.bodies(1) == [b"again"]
        await settle()
        assert feed.reader.acknowledged == [(A, 6)]


async def test_watcher_position_does_not_change_when_a_message_is_saved_after_a_new_assignment() -> None:
    pipeline = holding(b"slow")
    async with fed(pipeline) as feed:
        feed.assign(starts={A: 5})
        feed.arrive(received(A, 5, b"slow"))
        await settle()
        feed.assign(starts={A: 2})
        pipeline.held[b"slow"].set()
        await pipeline.bodies(1)
        await settle()
        assert pipeline.kept(RUNS) == {0: 2}
        assert feed.reader.acknowledged == []


async def test_capacity_is_released_for_each_handled_message_and_each_message_of_another_consumer() -> None:
    pipeline, value = Pipeline(), b"1" * 2**20
    async with fed(pipeline, group=GROUP, max_body=2**21) as feed:
        feed.assign(A, B)
        for offset in range(40):
            feed.arrive(received(A, offset, value), received(FIRST, offset, value))  # another consumer has FIRST
            await settle()
            feed.arrive(received(B, offset, value))
            feed.revoke(B)  # before it is handled
            feed.assign(A, B)
        await settle()
        assert [taken.origin and taken.origin.partition for taken in pipeline.taken] == [0] * 40
        assert feed.reader.capacity.room == MAX_MESSAGES
    assert 40 * len(value) > MAX_BYTES


# Groups.


def grouping() -> Pipeline:
    """Return a pipeline that saves messages in groups."""
    pipeline = Pipeline()
    pipeline.has_groups = True
    return pipeline


async def test_simultaneous_messages_are_saved_as_one_group_and_acknowledged_once_per_partition() -> None:
    pipeline = grouping()
    pipeline.saving_group.clear()
    async with fed(pipeline, group=GROUP) as feed:
        feed.assign(A, B)
        feed.arrive(received(A, 5, b"a5"), received(B, 8, b"b8"), received(A, 6, b"a6"))
        await settle()
        assert (feed.source.waiting, feed.source.in_progress, feed.reader.acknowledged) == (0, 3, [])
        pipeline.saving_group.set()
        await settle()
        assert pipeline.groups == [[b"a5", b"b8", b"a6"]]
        assert feed.reader.acknowledged == [(A, 7), (B, 9)]
        assert (feed.source.in_progress, feed.reader.capacity.room) == (0, MAX_MESSAGES)


async def test_group_has_at_most_64_messages_in_their_order() -> None:
    pipeline, bodies = grouping(), [f"{number}".encode() for number in range(150)]
    async with fed(pipeline) as feed:
        feed.assign(A)
        feed.arrive(*(received(A, offset, body) for offset, body in enumerate(bodies)))
        assert await pipeline.bodies(150) == bodies
        await pipeline.until(lambda: pipeline.kept(RUNS) == {0: 150})
    assert [*map(len, pipeline.groups)] == [64, 64, 22]


async def test_messages_outside_a_group_are_processed_alone_without_delaying_later_messages() -> None:
    pipeline, large = grouping(), b"1" * (SMALL_BYTES + 1)
    pipeline.alone = {b"slow"}
    pipeline.held = {b"slow": asyncio.Event()}
    async with fed(pipeline, group=GROUP, max_body=2**20) as feed:
        feed.assign(A)
        feed.arrive(*(received(A, offset, body) for offset, body in enumerate([b"0", b"slow", b"defect", large, b"4"])))
        await settle()
        assert pipeline.groups == [[b"0", b"4"]]
        feed.arrive(received(A, 5, b"5"), received(A, 6, b"6"))
        assert await pipeline.bodies(6) == [b"0", b"4", b"defect", large, b"5", b"6"]
        assert feed.reader.acknowledged == [(A, 1)]
        pipeline.held[b"slow"].set()
        await pipeline.bodies(7)
        await settle()
        assert feed.reader.acknowledged == [(A, 1), (A, 7)]
        assert feed.reader.capacity.room == MAX_MESSAGES
        feed.arrive(received(A, 7, b"7"))
        await pipeline.bodies(8)
    assert pipeline.groups == [[b"0", b"4"], [b"7"]]


async def test_too_large_message_is_not_in_a_group() -> None:
    pipeline = grouping()
    async with fed(pipeline, max_body=3) as feed:
        feed.assign(A)
        feed.arrive(received(A, 0, b"123"), received(A, 1, b"1234"))
        await pipeline.until(lambda: pipeline.kept(RUNS) == {0: 2})
    assert (pipeline.groups, len(pipeline.taken)) == ([[b"123"]], 1)
    assert pipeline.notices[-1].endswith("@1 has 4 bytes, so it was not captured (limit --max-body).")


async def test_messages_of_an_unsaved_group_are_processed_alone() -> None:
    pipeline = grouping()
    pipeline.problems = [StoreError("The disk is full.") for _ in range(2)]
    async with fed(pipeline, group=GROUP) as feed:
        feed.assign(A)
        feed.arrive(received(A, 0, b"0"), received(A, 1, b"1"))
        assert sorted(await pipeline.bodies(2)) == [b"0", b"1"]
        await settle()
        assert feed.reader.acknowledged[-1] == (A, 2)
        assert feed.reader.capacity.room == MAX_MESSAGES
    assert pipeline.groups == []
    assert [line for line in pipeline.notices if "saved" in line][1:] == ["Kafka: messages are saved again."]


async def test_messages_are_processed_alone_when_the_pipeline_does_not_make_groups() -> None:
    pipeline = Pipeline()
    async with fed(pipeline) as feed:
        feed.assign(A)
        for offset, pipeline.has_groups in enumerate([False, True, True, False, True]):
            feed.arrive(received(A, offset, f"{offset}".encode()))
            await pipeline.bodies(offset + 1)
            await settle()
        assert pipeline.kept(RUNS) == {0: 5}
    assert pipeline.groups == [[b"1"], [b"2"], [b"4"]]


async def test_partition_is_handed_over_after_a_group_with_its_messages_is_saved() -> None:
    pipeline = grouping()
    pipeline.saving_group.clear()
    async with fed(pipeline, group=GROUP) as feed:
        feed.assign(A, B)
        feed.arrive(received(A, 5), received(B, 7))
        await settle()
        done = feed.revoke(A)
        assert not done.is_set()
        pipeline.saving_group.set()
        await settle()
        assert done.is_set()
        assert feed.reader.acknowledged == [(A, 6), (B, 8)]


async def test_group_is_not_acknowledged_when_it_is_not_saved_before_the_end() -> None:
    pipeline = grouping()
    pipeline.saving_group.clear()
    async with fed(pipeline, group=GROUP) as feed:
        feed.assign(A)
        feed.arrive(received(A, 0))
        await settle()
        await feed.source.close(0)
        assert (pipeline.groups, feed.reader.acknowledged) == ([], [])


async def test_session_with_a_message_count_does_not_save_groups() -> None:
    pipeline = grouping()
    async with fed(pipeline, is_counted=True) as feed:
        feed.assign(A)
        feed.arrive(received(A, 0, b"0"), received(A, 1, b"1"))
        assert await pipeline.bodies(2) == [b"0", b"1"]
    assert pipeline.groups == []


# Closing.


async def test_close_does_not_wait_for_an_idle_source() -> None:
    async with fed(Pipeline()) as feed:
        feed.assign(A)
        await settle()
        async with asyncio.timeout(10):
            await feed.source.close(60)
        assert feed.reader.calls == ["open", "stop", "close"]


async def test_close_waits_only_for_messages_in_progress() -> None:
    pipeline = holding(b"in progress")
    async with fed(pipeline, group=GROUP, is_counted=True) as feed:
        feed.assign(A)
        feed.arrive(received(A, 0, b"in progress"), received(A, 1, b"waits"))
        await settle()
        closing = asyncio.create_task(feed.source.close(60))
        await settle()
        feed.arrive(received(A, 2, b"late"))
        pipeline.held[b"in progress"].set()
        async with asyncio.timeout(10):
            await closing
        assert feed.reader.acknowledged == [(A, 1)]
    assert [taken.body for taken in pipeline.taken] == [b"in progress"]


async def test_close_cancels_messages_in_progress_after_its_timeout() -> None:
    pipeline = holding(b"in progress")
    async with fed(pipeline, group=GROUP) as feed:
        feed.assign(A)
        feed.arrive(received(A, 0, b"in progress"))
        await settle()
        await feed.source.close(0)
        assert pipeline.is_cancelled
        assert feed.reader.acknowledged == []


async def test_reader_is_closed_when_it_cannot_be_opened() -> None:
    recorder = Recorder(BrokerError("Kafka cannot be used."))
    with pytest.raises(BrokerError, match="cannot be used"):
        async with fed(Pipeline(), recorder=recorder):
            raise AssertionError
    assert recorder.reader is not None
    assert recorder.reader.calls == ["open", "stop", "close"]


# Problems with the store.


async def test_save_is_retried_until_it_succeeds_and_each_outage_is_reported_once() -> None:
    pipeline = Pipeline()
    async with fed(pipeline, group=GROUP) as feed, asyncio.timeout(8):
        feed.assign(A)
        for first in (0, 2):
            pipeline.problems = [StoreError("The disk is full.", hint="Free some space.") for _ in range(3)]
            feed.arrive(received(A, first))
            await pipeline.bodies(first + 1)
            feed.arrive(received(A, first + 1))
            await pipeline.bodies(first + 2)
        await settle()
        assert feed.reader.acknowledged == [(A, offset) for offset in (1, 2, 3, 4)]
    told = [line for line in pipeline.notices if "saved" in line]
    assert told[0].startswith("Kafka: a message was not saved: The disk is full. Free some space.")
    assert told == [told[0], "Kafka: messages are saved again."] * 2


async def test_failed_save_is_retried_after_a_pause() -> None:
    pipeline = Pipeline()
    pipeline.problems = [StoreError("The disk is full."), StoreError("The disk is full.")]
    async with fed(pipeline) as feed:
        feed.source.retry_pause_s = 60
        feed.assign(A)
        feed.arrive(received(A, 0))
        await settle()
        assert len(pipeline.problems) == 1
        await feed.source.close(0)


# Notices.


ASSIGNED = f"Kafka: the group {GROUP} gave this listener {RUNS}[0]."
WATCHED = f"Kafka: watching {RUNS}[0] at 127.0.0.1:9092, without committing offsets."
RESUMED = "Kafka: resuming where the last listener with this store stopped, 2 messages ago (--since now skips them)."
FOUND_NONE = (
    "Kafka: the broker finds no message since the time of --since. Only new messages are shown. The embedded broker of"
    " a sandbox cannot find messages by time."
)


@pytest.mark.parametrize(
    ("group", "details", "lines"),
    [
        (GROUP, {"starts": {A: 0}}, [ASSIGNED]),
        (
            GROUP,
            {"starts": {A: 0, B: 0, ("org_1.change.log", 4): 0}},
            [f"Kafka: the group {GROUP} gave this listener {RUNS} (2 partitions), org_1.change.log[4]."],
        ),
        (
            GROUP,
            {"starts": {}},
            [f"Kafka: the group {GROUP} gave this listener no partitions. Other consumers have all of them."],
        ),
        (None, {"starts": {A: 0}}, [WATCHED]),
        (None, {"starts": {}}, ["Kafka: watching nothing at 127.0.0.1:9092, without committing offsets."]),
        (
            None,
            {"starts": {A: 0}, "lost": 1_234},
            [WATCHED, "Kafka: the brokers deleted 1,234 messages before they were read."],
        ),
        (
            None,
            {"starts": {A: 0}, "shortened": [A]},
            [WATCHED, f"Kafka: {RUNS}[0] ends before the saved position. Reading starts at the end."],
        ),
        (None, {"starts": {A: 0}, "lag": 1}, [WATCHED, "Kafka: starting 1 message before the end."]),
        (None, {"starts": {A: 0}, "lag": 2, "is_resumed": True}, [WATCHED, RESUMED]),
        (None, {"starts": {A: 0}, "is_resumed": True}, [WATCHED]),
        (None, {"starts": {A: 0}, "finds_none": True}, [WATCHED, FOUND_NONE]),
    ],
)
async def test_assignment_is_reported(group: str | None, details: dict[str, Any], lines: list[str]) -> None:
    pipeline = Pipeline()
    async with fed(pipeline, group=group) as feed:
        feed.assign(**details)
    assert pipeline.notices == lines


@pytest.mark.parametrize(
    ("offsets", "start", "told"),
    [
        ([], 0, None),
        ([1, 2], 3, None),
        ([1, 2, 3], 3, "1 message again that the store already has: 3."),
        ([3, 4, 1], 2, "2 messages again that the store already has: 3-4."),
        ([1, 3, 4, 5, 7, 9], 0, "6 messages again that the store already has: 1, 3-5, 7, 9."),
        ([1, 3, 5, 7, 9, 10], 0, "6 messages again that the store already has: 1, 3, 5, 7, …."),
    ],
)
@pytest.mark.parametrize("group", [None, GROUP])
async def test_repeated_messages_are_listed(
    group: str | None, offsets: list[int], start: int, told: str | None
) -> None:
    saved = [MessageOrigin(*A, offset) for offset in offsets]
    elsewhere = [MessageOrigin("another.topic", 0, 100), MessageOrigin(RUNS, 7, 100)]
    pipeline = Pipeline()
    async with fed(pipeline, group=group, saved=[*saved, *elsewhere]) as feed:
        feed.assign(starts={A: start, B: 0})
    expected = [] if told is None else [f"Kafka: {RUNS}[0] delivers {told}"]
    assert [line for line in pipeline.notices if "again" in line] == expected


async def test_messages_repeated_by_since_are_not_listed() -> None:
    pipeline = Pipeline()
    async with fed(pipeline, saved=[MessageOrigin(*A, 5)], since_s=0.0) as feed:
        feed.assign(A)
    assert not any("again" in line for line in pipeline.notices)


async def test_lag_and_deleted_messages_are_reported() -> None:
    pipeline = Pipeline()
    async with fed(pipeline) as feed:
        feed.source.lagging(1_500)
        feed.source.lagging(0)
        feed.source.missed(1)
        feed.source.missed(1_000)
    assert pipeline.notices == [
        "Kafka: 1,500 messages behind.",
        "Kafka: caught up.",
        "Kafka: the brokers deleted 1 message before they were read.",
        "Kafka: the brokers deleted 1,000 messages before they were read.",
    ]


async def test_repeated_problem_is_reported_once_until_a_message_arrives() -> None:
    pipeline = Pipeline()
    async with fed(pipeline) as feed:
        for reason in ("too large", "too large", "other"):
            feed.source.failed(reason)
        feed.arrive()
        feed.source.failed("other")
    assert pipeline.notices == ["Kafka: too large.", "Kafka: other.", "Kafka: other."]


@pytest.mark.parametrize(
    ("brokers", "is_local"), [(("127.0.0.1:1", "localhost:2"), True), (("127.0.0.1:1", "kafka.example.com:2"), False)]
)
async def test_lost_connection_is_reported_with_sandbox_advice_only_when_all_brokers_are_local(
    brokers: tuple[str, ...], is_local: bool
) -> None:
    pipeline = Pipeline()
    async with fed(pipeline, brokers=brokers) as feed:
        feed.source.lost("Connection refused")
        feed.source.recovered()
    lost, recovered = pipeline.notices
    advice = " If you have restarted a sandbox with --kafka embedded, start this command again."
    assert lost == (
        f"Kafka: the connection to {', '.join(brokers)} is lost: Connection refused. Reconnecting."
        + (advice if is_local else "")
    )
    assert recovered == "Kafka: connected again."


async def test_rejected_credentials_are_renewed_until_the_brokers_accept_them() -> None:
    pipeline = Pipeline()
    problems: list[PortHookError] = [
        PortApiError("Port cannot be reached.", hint="Check the network."),
        PortApiError("Port cannot be reached.", hint="Check the network."),
        PortApiError("Port rejects the client."),
    ]
    asked: list[KafkaConnection] = []
    has_asked_twice = asyncio.Event()

    def new_connection() -> KafkaConnection:
        if problems:
            raise problems.pop(0)
        asked.append(KafkaConnection(brokers=(f"127.0.0.1:{len(asked) + 1}",)))
        if len(asked) == 2:
            has_asked_twice.set()
        return asked[-1]

    async with fed(pipeline, new_connection=new_connection) as feed:
        workers = len(others())
        feed.source.rejected("wrong password")
        feed.source.rejected("wrong password")
        assert len(others()) == workers + 1  # a second rejection doesn't start another task
        await asyncio.wait_for(has_asked_twice.wait(), 10)
        feed.source.recovered()
        await settle()
        assert feed.reader.credentials == asked
        assert len(others()) == workers
        feed.source.lost("gone")
        feed.source.rejected("wrong password")
        await settle()
        assert len(asked) == 3
    assert others() == set()  # a closed source doesn't ask for credentials

    refused = "Kafka: the brokers rejected the credentials: wrong password. Getting new credentials."
    assert pipeline.notices[:4] == [
        refused,
        refused,
        "Kafka: no new credentials: Port cannot be reached. Check the network.",
        "Kafka: no new credentials: Port rejects the client.",
    ]
    assert "connection to 127.0.0.1:2 is lost" in pipeline.notices[5]  # the address of the last credentials
