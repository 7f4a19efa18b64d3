"""The source of `listen --kafka` without brokers: a test reports the events of a reader, in any order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Event

from confluent_kafka import TIMESTAMP_CREATE_TIME, Message

from port_hook_cli.errors import PortHookError
from port_hook_cli.invocations.models import MessageOrigin, Partition
from port_hook_cli.invocations.source import MessageLog, SourceContext
from port_hook_cli.kafka.assignment import GivenPartitions, ReaderEvents
from port_hook_cli.kafka.connection import KafkaConnection, KafkaPlan, SecurityProtocol, TopicPart
from port_hook_cli.kafka.messages import MessageCapacity
from port_hook_cli.kafka.source import KafkaSource, open_kafka
from tests.kafka.kafka_sources import Pipeline

RUNS = "org_1.runs"
GROUP = "org_1.port-hook.me"
A, B = (RUNS, 0), (RUNS, 1)
NOW = 1_700_000_000.0


class RecordedReader:
    """A reader that doesn't connect, and records the source's calls."""

    def __init__(self, capacity: MessageCapacity, opening_problem: PortHookError | None) -> None:
        self.capacity = capacity
        self.acknowledged: list[tuple[TopicPart, int]] = []
        self.credentials: list[KafkaConnection] = []
        self.calls: list[str] = []
        self._opening_problem = opening_problem

    async def open(self) -> None:
        self.calls.append("open")
        if self._opening_problem is not None:
            raise self._opening_problem

    def stop(self) -> None:
        self.calls.append("stop")

    async def close(self) -> None:
        self.calls.append("close")

    def use_credentials(self, connection: KafkaConnection) -> None:
        self.credentials.append(connection)

    def acknowledge(self, part: TopicPart, next_offset: int) -> None:
        self.acknowledged.append((part, next_offset))


@dataclass(frozen=True)
class Feed:
    """A source, and its reader, whose events the test reports."""

    source: KafkaSource
    reader: RecordedReader

    def assign(self, *parts: TopicPart, cluster: str = "cluster", **details: object) -> None:
        """Report assigned partitions. Without `starts` in `details`, they start at 0."""
        starts = details.pop("starts", dict.fromkeys(parts, 0))
        self.source.assigned(GivenPartitions(cluster=cluster, starts=starts, **details))  # type: ignore[arg-type]

    def arrive(self, *messages: Message) -> None:
        """Report messages."""
        for message in messages:
            self.reader.capacity.take(len(message.value() or b""))
        self.source.arrived(messages)

    def revoke(self, *parts: TopicPart) -> Event:
        """Report partitions that another consumer gets. Return the event that the source sets afterward."""
        done = Event()
        self.source.revoked(parts, done)
        return done


class Recorder:
    """A reader factory that remembers its reader."""

    def __init__(self, opening_problem: PortHookError | None = None) -> None:
        self.reader: RecordedReader | None = None
        self._opening_problem = opening_problem

    def __call__(
        self,
        connection: KafkaConnection,
        plan: KafkaPlan,
        events: ReaderEvents,
        capacity: MessageCapacity,
        start_at: Callable[[Partition], int | None],
    ) -> RecordedReader:
        del connection, plan, events, start_at
        self.reader = RecordedReader(capacity, self._opening_problem)
        return self.reader


def received(
    part: TopicPart, offset: int, value: bytes | None = b"", timestamp: tuple[int, int] = (TIMESTAMP_CREATE_TIME, 1)
) -> Message:
    """Return a message from a partition."""
    topic, partition = part
    return Message(topic=topic, partition=partition, offset=offset, value=value, timestamp=timestamp)


@asynccontextmanager
async def fed(
    pipeline: Pipeline,
    *,
    group: str | None = None,
    since_s: float | None = None,
    saved: Sequence[MessageOrigin] = (),
    mount: str = "/port",
    max_body: int = 1_000_000,
    is_counted: bool = False,
    brokers: tuple[str, ...] = ("127.0.0.1:9092",),
    recorder: Recorder | None = None,
    new_connection: Callable[[], KafkaConnection] | None = None,
) -> AsyncIterator[Feed]:
    """Open a source. Close it at the end of the block, without waiting for messages in progress."""
    connection = KafkaConnection(brokers=brokers, protocol=SecurityProtocol.PLAINTEXT)
    is_first = True

    async def get_connection() -> KafkaConnection:
        nonlocal is_first
        if is_first or new_connection is None:
            is_first = False
            return connection
        return new_connection()

    context = SourceContext(
        receive=pipeline.receive,
        notice=pipeline.notice,
        now=lambda: NOW,
        new_id=lambda: "id",
        mount=mount,
        max_body=max_body,
        is_counted=is_counted,
        messages=MessageLog(saved=saved, keep=pipeline.keep),
        new_group=pipeline.new_group,
    )
    plan = KafkaPlan(org_id="org_1", topics=(RUNS,), group=group, since_s=since_s)
    recorder = recorder or Recorder()
    source = await open_kafka(plan, get_connection, context, recorder)
    assert recorder.reader is not None
    source.retry_pause_s = source.refresh_pause_s = 0.01
    try:
        yield Feed(source, recorder.reader)
    finally:
        await source.close(0)
