"""Kafka topics for tests, read by a consumer without a group."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from port_hook_cli.kafka.connection import KafkaConnection, SecurityProtocol

WAIT_S = 25.0


def plain(*brokers: str) -> KafkaConnection:
    """Return a connection to brokers on this machine."""
    return KafkaConnection(brokers=brokers, protocol=SecurityProtocol.PLAINTEXT)


class Topic:
    """A topic, read from its beginning, without a group: joining one takes seconds."""

    def __init__(self, consumer: Consumer, name: str) -> None:
        self.name = name
        self._consumer = consumer

    def next(self) -> bytes:
        """Return the value of the next message, of any partition. Fail after 25 seconds without one."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            message = self._consumer.poll(0.2)
            if message is not None and message.error() is None:
                return bytes(message.value() or b"")
        raise AssertionError(f"no message arrived in {self.name}")

    def next_document(self) -> dict[str, Any]:
        """Return the next message, read as JSON."""
        found: dict[str, Any] = json.loads(self.next())
        return found


@contextmanager
def reading(broker: str, name: str) -> Iterator[Topic]:
    """Read a topic that exists, until the end of the block."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": "tests",
            "log_level": 0,
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 5,  # an embedded broker always waits this long, even if it has messages
        }
    )
    with closing(consumer):
        partitions = consumer.list_topics(name, WAIT_S).topics[name].partitions
        consumer.assign([TopicPartition(name, number, OFFSET_BEGINNING) for number in partitions])
        yield Topic(consumer, name)
