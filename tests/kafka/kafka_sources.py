"""The source of `listen --kafka` without a listener: a pipeline that records its calls, and topics to read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count

from port_hook_cli.invocations.models import Invocation, Partition, Response
from port_hook_cli.invocations.source import Group, MessageLog, SourceContext
from port_hook_cli.kafka.connection import KafkaConnection, KafkaPlan, SecurityProtocol
from port_hook_cli.kafka.link import ReaderTimes
from port_hook_cli.kafka.reader import TopicReader
from port_hook_cli.kafka.source import KafkaSource, open_kafka
from tests.kafka_clusters import TIMEOUT_S

# The test cluster waits about as long for a group's earlier members.
_SESSION_TIMEOUT_S = 2.0
_TIMES = ReaderTimes(poll_s=0.02, tend_s=0.1, pause_after_s=0, rejected_after_s=0.3)


class Pipeline:
    """Takes invocations like a listener's pipeline, and records the source's notices."""

    def __init__(self) -> None:
        self.taken: list[Invocation] = []
        self.notices: list[str] = []
        self.positions: dict[Partition, int] = {}
        self.problems: list[Exception] = []
        self.held: dict[bytes, asyncio.Event] = {}
        self.is_cancelled = False
        self.has_groups = False
        self.groups: list[list[bytes]] = []
        self.alone: set[bytes] = set()  # the bodies that no group takes
        self.saving_group = asyncio.Event()  # groups are saved only while this is set
        self.saving_group.set()
        self._changed = asyncio.Event()

    async def receive(self, invocation: Invocation, sender: str) -> Response | None:
        assert sender == "unknown"
        self._changed.set()
        if invocation.body in self.held:
            try:
                await self.held[invocation.body].wait()
            except asyncio.CancelledError:
                self.is_cancelled = True
                raise
        if self.problems:
            raise self.problems.pop()
        self.take(invocation)
        return Response(status=200)

    def take(self, *invocations: Invocation) -> None:
        self.taken += invocations
        self._changed.set()

    def new_group(self) -> Group | None:
        return RecordedGroup(self) if self.has_groups else None

    def notice(self, text: str) -> None:
        self.notices.append(text)
        self._changed.set()

    def keep(self, partition: Partition, next_offset: int) -> None:
        self.positions[partition] = next_offset
        self._changed.set()

    async def until(self, is_so: Callable[[], object]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()

    async def bodies(self, number: int) -> list[bytes]:
        await self.until(lambda: len(self.taken) >= number)
        return [invocation.body for invocation in self.taken]

    def kept(self, topic: str) -> dict[int, int]:
        return {part.number: offset for part, offset in self.positions.items() if part.topic == topic}


class RecordedGroup:
    """A group whose invocations are recorded in a pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._added: list[Invocation] = []

    def add(self, invocation: Invocation) -> bool:
        if invocation.body == b"defect":
            raise ValueError
        if invocation.body in self._pipeline.alone:
            return False
        self._added.append(invocation)
        return True

    async def save(self) -> None:
        await self._pipeline.saving_group.wait()
        if self._pipeline.problems:
            raise self._pipeline.problems.pop()
        self._pipeline.groups.append([invocation.body for invocation in self._added])
        self._pipeline.take(*self._added)


class Topics:
    """Opens the topics of one organization."""

    def __init__(
        self, address: str, org: str, get_connection: Callable[[], Awaitable[KafkaConnection]] | None = None
    ) -> None:
        self.runs, self.change_log = f"{org}.runs", f"{org}.change.log"
        self._connection = KafkaConnection(brokers=(address,), protocol=SecurityProtocol.PLAINTEXT)
        self._get_connection = get_connection or self._plain
        self._org = org

    async def _plain(self) -> KafkaConnection:
        return self._connection

    @asynccontextmanager
    async def read(
        self,
        pipeline: Pipeline,
        *,
        group: str | None = None,
        from_end: bool = False,
        since_s: float | None = None,
        positions: dict[Partition, int] | None = None,
        look_for_partitions_s: float = 30.0,
        times: ReaderTimes = _TIMES,
    ) -> AsyncIterator[KafkaSource]:
        numbers = count(1)
        context = SourceContext(
            receive=pipeline.receive,
            notice=pipeline.notice,
            now=time.time,
            new_id=lambda: f"id{next(numbers)}",
            mount="/port",
            messages=MessageLog(positions=positions or {}, keep=pipeline.keep),
        )
        plan = KafkaPlan(
            org_id=self._org,
            topics=(self.runs, self.change_log),
            group=group,
            from_end=from_end,
            since_s=since_s,
            look_for_partitions_s=look_for_partitions_s,
            session_timeout_s=_SESSION_TIMEOUT_S,
        )
        source = await open_kafka(plan, self._get_connection, context, partial(TopicReader, times=times))
        try:
            yield source
        finally:
            await source.close(2)
