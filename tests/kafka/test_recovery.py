from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from port_hook_cli.errors import BrokerError, PortApiError
from port_hook_cli.kafka.connection import KafkaConnection
from port_hook_cli.kafka.link import READER_TIMES
from port_hook_cli.text.secret import Secret
from tests.kafka.kafka_sources import Pipeline, Topics
from tests.kafka_clusters import TIMEOUT_S, running_tansu, tansu_program
from tests.kafka_front import KafkaFront, kafka_front

pytestmark = pytest.mark.skipif(tansu_program() is None, reason="there is no Tansu for this system")
USER, PASSWORD = "org_1", "the-password-of-kafka"
RUNS = "org_1.runs"


@asynccontextmanager
async def secured(folder: Path) -> AsyncIterator[KafkaFront]:
    """A broker with SASL_SSL in front."""
    async with kafka_front(folder) as front:
        front.passwords[USER] = PASSWORD
        with running_tansu(front.address) as cluster:
            front.backend_port = int(cluster.address.rpartition(":")[2])
            await asyncio.to_thread(_make_topic, front)
            yield front


def _clients(front: KafkaFront) -> dict[str, str | int | float | bool]:
    return {
        "bootstrap.servers": front.address,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": USER,
        "sasl.password": front.passwords[USER],
        "ssl.ca.location": str(front.ca_file),
    }


def _make_topic(front: KafkaFront) -> None:
    client = AdminClient(_clients(front))
    for made in client.create_topics([NewTopic(RUNS, num_partitions=2, replication_factor=1)]).values():
        made.result(TIMEOUT_S)


async def _send(front: KafkaFront, *values: bytes) -> None:
    def send() -> None:
        producer = Producer(_clients(front))
        for value in values:
            producer.produce(RUNS, value, partition=0)
        assert producer.flush(TIMEOUT_S) == 0

    await asyncio.to_thread(send)


def connection_to(front: KafkaFront) -> KafkaConnection:
    return KafkaConnection(
        brokers=(front.address,), username=USER, password=Secret(front.passwords[USER]), ca_file=front.ca_file
    )


async def test_sasl_ssl_works_and_rejects_a_wrong_password_and_an_unknown_authority(tmp_path: Path) -> None:
    async with secured(tmp_path) as front:
        right = connection_to(front)
        given = [right]

        async def get_connection() -> KafkaConnection:
            return given[0]

        topics, pipeline = Topics(front.address, "org_1", get_connection), Pipeline()
        async with topics.read(pipeline):
            await _send(front, b"1")
            assert await pipeline.bodies(1) == [b"1"]

        given[0] = replace(right, password=Secret("wrong-password"))
        with pytest.raises(BrokerError, match="Authentication failed") as refused:
            async with topics.read(Pipeline()):
                raise AssertionError
        assert "wrong-password" not in f"{refused.value}{refused.value.hint}"
        assert "KAFKA_PASSWORD" in refused.value.hint

        given[0] = replace(right, ca_file=None)
        with pytest.raises(BrokerError, match="certificate") as unknown:
            async with topics.read(Pipeline()):
                raise AssertionError
        assert "KAFKA_CA_FILE" in unknown.value.hint


async def test_since_starts_with_the_messages_from_then_on(tmp_path: Path) -> None:
    async with secured(tmp_path) as front:

        async def get_connection() -> KafkaConnection:
            return connection_to(front)

        topics, earlier, later = Topics(front.address, "org_1", get_connection), Pipeline(), Pipeline()
        await _send(front, b"1")
        await _send(front, b"2")
        async with topics.read(earlier, since_s=time.time() - 600):
            assert await earlier.bodies(2) == [b"1", b"2"]
        origin = earlier.taken[1].origin
        assert origin is not None
        await _send(front, b"3")
        async with topics.read(later, since_s=((origin.timestamp_ms or 0) + 1) / 1000):
            await later.until(lambda: any(one.body == b"3" for one in later.taken))

    assert b"1" not in [one.body for one in later.taken]  # this broker goes back to the message before the moment
    assert any("starting 2 messages before the end" in line for line in earlier.notices)


async def test_lost_brokers_and_expired_credentials_are_reported_once_and_recovered_from(tmp_path: Path) -> None:
    async with secured(tmp_path) as front:
        asked: list[str] = []

        async def get_connection() -> KafkaConnection:
            asked.append(front.passwords[USER])
            if len(asked) == 2:
                raise PortApiError("Port's API does not respond.", hint="Wait.")
            return connection_to(front)

        topics, pipeline = Topics(front.address, "org_1", get_connection), Pipeline()
        # A short time between checks would find a connection that the brokers reject soon after.
        async with topics.read(pipeline, times=READER_TIMES) as source:
            source.refresh_pause_s = 0.2
            front.is_down = True
            front.cut()
            await pipeline.until(lambda: any("is lost" in line for line in pipeline.notices))
            front.is_down = False
            await pipeline.until(lambda: "Kafka: connected again." in pipeline.notices)
            await _send(front, b"1")
            assert await pipeline.bodies(1) == [b"1"]

            front.passwords[USER] = "another-password"
            front.cut()
            await pipeline.until(lambda: pipeline.notices.count("Kafka: connected again.") == 2)
            await _send(front, b"2")
            assert await pipeline.bodies(2) == [b"1", b"2"]

    assert len(asked) >= 3  # the second time, Port's API did not respond
    told = [line for line in pipeline.notices if "watching" not in line]
    assert [line.split(":")[1].split(" ")[1:4] for line in told if "lost" in line] == [["the", "connection", "to"]]
    assert ["restarted a sandbox" in line for line in told if "is lost" in line] == [True]
    assert sum("rejected the credentials" in line for line in told) == 1
    assert sum("Port's API does not respond. Wait." in line for line in told) == 1
    assert not any(PASSWORD in line or "another-password" in line for line in told)
