from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from threading import Event

import pytest
from confluent_kafka import Consumer, KafkaError

from port_hook_cli.errors import BrokerError
from port_hook_cli.kafka.connection import KafkaConnection, KafkaPlan, SecurityProtocol
from port_hook_cli.kafka.link import BrokerLink, ReaderTimes
from port_hook_cli.text.secret import Secret
from tests.kafka.kafka_sources import Pipeline, Topics
from tests.kafka_clusters import TIMEOUT_S, Cluster, a_message, running_tansu, tansu_program


@pytest.fixture
def topics(cluster: Cluster, org: str) -> Topics:
    return Topics(cluster.address, org)


GROUP = "org_1.port-hook.me"


async def sent(cluster: Cluster, topic: str, *values: bytes | None, partition: int = 0) -> None:
    await asyncio.to_thread(cluster.send, topic, *values, partition=partition)


async def test_watcher_gets_exactly_the_messages_after_its_start(cluster: Cluster, topics: Topics) -> None:
    await sent(cluster, topics.runs, b"before")
    pipeline, message = Pipeline(), a_message(RUN_ID="r_1")
    async with topics.read(pipeline):
        await sent(cluster, topics.runs, message, partition=2)
        await pipeline.bodies(1)
        await sent(cluster, topics.change_log, b'{"changelogDestination":{}}')
        await pipeline.bodies(2)

    first, second = pipeline.taken
    assert (first.body, first.method, first.target, first.headers.get("run_id")) == (message, "POST", "/port", "r_1")
    assert first.origin is not None
    assert second.origin is not None
    assert first.origin[:3] == (topics.runs, 2, 0)
    assert abs((first.origin.timestamp_ms or 0) / 1000 - time.time()) < TIMEOUT_S
    assert second.origin[:3] == (topics.change_log, 0, 0)


async def test_watcher_saves_positions_and_does_not_commit(cluster: Cluster, topics: Topics) -> None:
    pipeline = Pipeline()
    async with topics.read(pipeline):
        assert pipeline.kept(topics.runs) == {0: 0, 1: 0, 2: 0, 3: 0}  # where it started
        await sent(cluster, topics.runs, b"1", b"2")
        await pipeline.until(lambda: pipeline.kept(topics.runs)[0] == 2)

    group = f"{topics.runs.removesuffix('.runs')}.port-hook.watch"
    assert await asyncio.to_thread(cluster.committed, group, topics.runs) == {}


async def test_next_watcher_resumes_at_the_position_of_the_last_watcher(cluster: Cluster, topics: Topics) -> None:
    first, second, third = Pipeline(), Pipeline(), Pipeline()
    async with topics.read(first):
        await sent(cluster, topics.runs, b"1", b"2")
        await first.until(lambda: first.kept(topics.runs)[0] == 2)
    await sent(cluster, topics.runs, b"3")
    async with topics.read(second, positions=first.positions):
        assert await second.bodies(1) == [b"3"]
    async with topics.read(third, positions=first.positions, from_end=True):
        await sent(cluster, topics.runs, b"4")
        assert await third.bodies(1) == [b"4"]

    assert any("stopped, 1 message ago (--since now skips them)" in line for line in second.notices)
    assert not any("ago" in line for line in third.notices)


async def test_defect_is_reported_and_does_not_end_the_source_or_its_position(cluster: Cluster, topics: Topics) -> None:
    pipeline = Pipeline()
    pipeline.problems = [RuntimeError("oh\x1b[31m")]
    async with topics.read(pipeline):
        await sent(cluster, topics.runs, b"1", b"2")
        await pipeline.until(lambda: pipeline.kept(topics.runs)[0] == 2)

    assert any(f"{topics.runs}[0]@0 failed: RuntimeError: oh\\x1b[31m" in line for line in pipeline.notices)


async def test_message_without_a_value_has_an_empty_body(cluster: Cluster, topics: Topics) -> None:
    pipeline = Pipeline()
    async with topics.read(pipeline):
        await sent(cluster, topics.runs, None)
        assert await pipeline.bodies(1) == [b""]


async def test_waiting_messages_are_limited_and_all_arrive_once(cluster: Cluster, topics: Topics) -> None:
    pipeline, values = Pipeline(), [str(number).encode() for number in range(3_000)]
    gate = asyncio.Event()
    pipeline.held = dict.fromkeys(values, gate)
    async with topics.read(pipeline) as source:
        await sent(cluster, topics.runs, *values)
        await pipeline.until(lambda: any("behind" in line for line in pipeline.notices))
        async with asyncio.timeout(TIMEOUT_S):
            while source.waiting + source.in_progress < 1_000:  # noqa: ASYNC110 - nothing tells when the last arrive
                await asyncio.sleep(0.01)
        await sent(cluster, topics.runs, b"while it is paused")
        assert source.waiting + source.in_progress == 1_000
        gate.set()
        await pipeline.until(lambda: "Kafka: caught up." in pipeline.notices)
        await sent(cluster, topics.runs, b"last")
        await pipeline.until(lambda: pipeline.taken and pipeline.taken[-1].body == b"last")

    # The reader pauses while they wait. librdkafka then fetches its buffered messages again.
    assert sorted(taken.body for taken in pipeline.taken) == sorted([*values, b"while it is paused", b"last"])
    assert not any("deleted" in line for line in pipeline.notices)


async def test_watcher_does_not_take_messages_from_a_group(cluster: Cluster, topics: Topics) -> None:
    org = topics.runs.removesuffix(".runs")
    settings = {"bootstrap.servers": cluster.address, "group.id": org, "auto.offset.reset": "earliest", "log_level": 0}
    agent = Consumer({**settings, "fetch.wait.max.ms": 5})  # this cluster always waits so long
    agent.subscribe([topics.runs])
    pipeline = Pipeline()
    try:
        async with topics.read(pipeline):
            await sent(cluster, topics.runs, b"1", b"2", b"3")
            watched = await pipeline.bodies(3)
            got = [await asyncio.to_thread(agent.poll, TIMEOUT_S) for _ in range(3)]
    finally:
        agent.close()

    assert [message.value() for message in got if message] == watched == [b"1", b"2", b"3"]


async def test_group_gets_new_messages_and_commits_saved_messages(cluster: Cluster, topics: Topics) -> None:
    group = topics.runs.removesuffix(".runs") + ".port-hook.me"
    await sent(cluster, topics.runs, b"before")
    first, second = Pipeline(), Pipeline()
    first.held[b"2"] = asyncio.Event()
    async with topics.read(first, group=group) as source:
        await first.until(lambda: any("gave this listener" in line for line in first.notices))
        await sent(cluster, topics.runs, b"1", b"2", b"3")
        assert await first.bodies(2) == [b"1", b"3"]
        await source.close(0)
    committed = await asyncio.to_thread(cluster.committed, group, topics.runs)
    assert committed[0] == 2
    async with topics.read(second, group=group):
        assert await second.bodies(2) == [b"2", b"3"]

    assert first.positions == {}  # the broker has the positions of a group


async def test_group_commits_where_a_new_member_starts(cluster: Cluster, topics: Topics) -> None:
    group = topics.runs.removesuffix(".runs") + ".port-hook.me"
    await sent(cluster, topics.runs, b"1", b"2", partition=3)
    pipeline = Pipeline()
    async with topics.read(pipeline, group=group):
        await pipeline.until(lambda: pipeline.notices)
        # Without the commit, the next member would miss messages sent before it joins, even if this member is killed.
        committed = await asyncio.to_thread(cluster.committed, group, topics.runs)
    assert committed == {0: 0, 1: 0, 2: 0, 3: 2}


@pytest.mark.skipif(tansu_program() is None, reason="there is no Tansu for this system")
async def test_partitions_are_handed_over_to_a_new_member_after_their_messages_are_saved() -> None:
    first, second = Pipeline(), Pipeline()
    first.held = {value: asyncio.Event() for value in (b"0", b"1", b"2", b"3")}
    with running_tansu() as cluster:  # the shared cluster rejects commits during a handover
        await asyncio.to_thread(cluster.make_with_partitions, "org_1.runs", 4)
        topics = Topics(cluster.address, "org_1")
        async with topics.read(first, group=GROUP) as source:
            await first.until(lambda: any("(4 partitions)" in line for line in first.notices))
            for number, value in enumerate(first.held):
                await sent(cluster, topics.runs, b"-", value, partition=number)
            await first.until(lambda: source.in_progress == 4 and len(first.taken) == 4)
            async with topics.read(second, group=GROUP):
                await first.until(lambda: any("handed over" in line for line in first.notices))
                for gate in first.held.values():
                    gate.set()
                await second.until(lambda: any("(2 partitions)" in line for line in second.notices))
                committed = await asyncio.to_thread(cluster.committed, GROUP, topics.runs)
                for number in range(4):
                    await sent(cluster, topics.runs, b"+%d" % number, partition=number)
                await second.bodies(2)
                await first.bodies(10)

    assert committed == {0: 2, 1: 2, 2: 2, 3: 2}
    assert {taken.body[:1] for taken in second.taken} == {b"+"}  # not the first member's messages
    bodies = [taken.body for taken in first.taken + second.taken]
    assert sorted(bodies) == sorted([b"-"] * 4 + list(first.held) + [b"+0", b"+1", b"+2", b"+3"])


async def test_unknown_topics_are_an_error(cluster: Cluster) -> None:
    with pytest.raises(BrokerError, match=r"has no topic nobody\.runs and nobody\.change\.log"):
        async with Topics(cluster.address, "nobody").read(Pipeline()):
            raise AssertionError


async def test_missing_change_log_is_not_an_error(cluster: Cluster) -> None:
    org, pipeline = cluster.make_organization(has_change_log=False), Pipeline()
    async with Topics(cluster.address, org).read(pipeline):
        await sent(cluster, f"{org}.runs", b"1")
        assert await pipeline.bodies(1) == [b"1"]


async def test_later_topic_is_read_from_its_beginning(cluster: Cluster) -> None:
    org, pipeline = cluster.make_organization(has_change_log=False), Pipeline()
    async with Topics(cluster.address, org).read(pipeline, look_for_partitions_s=0.3):
        cluster.make(f"{org}.change.log")
        await sent(cluster, f"{org}.change.log", b"1")
        assert await pipeline.bodies(1) == [b"1"]


async def test_unreachable_broker_is_an_error() -> None:
    with pytest.raises(BrokerError, match=r"Kafka at 127\.0\.0\.1:1 cannot be used: .*Connection refused"):
        async with Topics("127.0.0.1:1", "org").read(Pipeline()):
            raise AssertionError


async def test_ca_file_without_certificates_is_rejected() -> None:
    connection = KafkaConnection(
        brokers=("127.0.0.1:1",), username="u", password=Secret("secret-password"), ca_file=Path(__file__)
    )

    async def get_connection() -> KafkaConnection:
        return connection

    with pytest.raises(BrokerError, match=r"ssl\.ca\.location failed") as refused:
        async with Topics("127.0.0.1:1", "org_1", get_connection).read(Pipeline()):
            pass
    assert "PEM" in refused.value.hint


@pytest.mark.skipif(tansu_program() is None, reason="there is no Tansu for this system")
@pytest.mark.parametrize(
    ("advertised", "reason"),
    [("192.0.2.1:9092", "refers to 192.0.2.1:9092, which is not on this machine"), ("127.0.0.1:1", "refused")],
)
async def test_broker_is_rejected_when_it_refers_to_an_unusable_address(advertised: str, reason: str) -> None:
    with running_tansu(advertised) as cluster:
        await asyncio.to_thread(cluster.make, "org_1.runs")
        with pytest.raises(BrokerError, match=reason):
            async with Topics(cluster.address, "org_1").read(Pipeline()):
                pass


def test_error_contains_the_referred_broker_when_librdkafka_connects_to_it_first() -> None:
    local = KafkaConnection(brokers=("127.0.0.1:1",), protocol=SecurityProtocol.PLAINTEXT)
    times = ReaderTimes(rejected_after_s=0.1)
    link = BrokerLink(local, KafkaPlan(org_id="org_1", topics=("org_1.runs",)), print, times)
    link.note(KafkaError(KafkaError._TRANSPORT, "192.0.2.1:9092/1: Connect failed: refused"))  # noqa: SLF001
    try:
        with pytest.raises(BrokerError, match=r"refers to 192\.0\.2\.1:9092, which is not on this machine"):
            link.connect(Event())
    finally:
        link.close(lambda _: None)


async def test_message_is_released_after_it_is_processed(cluster: Cluster, topics: Topics) -> None:
    pipeline, value = Pipeline(), b"1" * 1_000
    pipeline.held[value] = asyncio.Event()
    async with topics.read(pipeline) as source:
        await sent(cluster, topics.runs, value)
        await pipeline.until(lambda: source.in_progress)
        pipeline.held[value].set()
        await pipeline.bodies(1)
        await sent(cluster, topics.runs, b"2")  # the reader holds the last message for its headers
        await pipeline.until(lambda: pipeline.kept(topics.runs)[0] == 2)
        body = pipeline.taken.pop(0).body
        only_here = sys.getrefcount(object())

        assert (body[:1], sys.getrefcount(body)) == (b"1", only_here + 1)
