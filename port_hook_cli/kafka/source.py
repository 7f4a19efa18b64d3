"""The source of invocations that reads the topics of Port's execution agent.

A message is acknowledged after it was saved: its position is saved in the store, or committed in the consumer group.
The position never passes an unsaved message. So a killed listener gets some messages again when it restarts, and
reports them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from threading import Event
from typing import NamedTuple, TypeAlias

from port_hook_cli.errors import PortHookError, StoreError
from port_hook_cli.invocations.models import Invocation, MessageOrigin, Partition
from port_hook_cli.invocations.small_documents import SMALL_BYTES
from port_hook_cli.invocations.source import Group, SourceContext
from port_hook_cli.kafka.assignment import GivenPartitions
from port_hook_cli.kafka.client import Message
from port_hook_cli.kafka.connection import KafkaConnection, KafkaPlan, TopicPart, is_loopback_broker
from port_hook_cli.kafka.messages import (
    MessageCapacity,
    PartitionProgress,
    message_headers,
    origin_of,
    size_of,
)
from port_hook_cli.kafka.reader import MessageReader, ReaderFactory, TopicReader
from port_hook_cli.text.safe import brief

GetConnection: TypeAlias = Callable[[], Awaitable[KafkaConnection]]
"""Returns the brokers and newly requested credentials. Raises PortHookError."""

_WORKERS = 64
# A group of this many messages occupies the event loop for a few milliseconds.
_MOST_TOGETHER = 64
_MIN_PAUSE_S, _MAX_PAUSE_S = 0.5, 10.0
_REFRESH_PAUSE_S = 30.0
_CANCEL_S = 2.0
_MOST_NAMED = 4


async def open_kafka(
    plan: KafkaPlan, get_connection: GetConnection, context: SourceContext, make_reader: ReaderFactory = TopicReader
) -> KafkaSource:
    """Connect, and pass the messages of the plan's topics to `context.receive`. Raises PortHookError."""
    source = KafkaSource(plan, await get_connection(), get_connection, context, make_reader)
    try:
        await source.open()
    except BaseException:
        await source.close(0)
        raise
    return source


class _Waiting(NamedTuple):
    """A waiting message with its position and the progress of its partition."""

    message: Message
    origin: MessageOrigin
    progress: PartitionProgress

    @property
    def part(self) -> TopicPart:
        return self.origin.topic, self.origin.partition


class KafkaSource:
    """Reads topics as a source. See `port_hook_cli.invocations.source.Source`.

    `in_progress` is the number of messages that are being processed. After a rejection, the source fetches new
    credentials every `refresh_pause_s` seconds. The source tries to save a message again after `retry_pause_s` seconds,
    and doubles the pause after each failure.
    """

    def __init__(
        self,
        plan: KafkaPlan,
        connection: KafkaConnection,
        get_connection: GetConnection,
        context: SourceContext,
        make_reader: ReaderFactory = TopicReader,
    ) -> None:
        self._plan, self._context = plan, context
        self._connection, self._get_connection = connection, get_connection
        self._capacity = MessageCapacity()
        self._reader: MessageReader = make_reader(
            connection, plan, self, self._capacity, context.messages.positions.get
        )
        self._saved = _by_part(context.messages.saved)
        self._cluster = self._last_problem = ""
        self._progress: dict[TopicPart, PartitionProgress] = {}
        self._waiting: deque[_Waiting] = deque()
        # `_arrival` wakes the task that saves groups. `_wake` wakes the workers, which wait while that task is saving.
        self._arrival, self._wake = asyncio.Event(), asyncio.Event()
        self._is_grouping = False
        self.in_progress = 0
        self.refresh_pause_s, self.retry_pause_s = _REFRESH_PAUSE_S, _MIN_PAUSE_S
        self._is_closing = self._is_unsaved = False
        self._handing_over: list[tuple[Sequence[PartitionProgress], Event]] = []
        self._refreshing: asyncio.Task[None] | None = None
        self._workers: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        """The number of messages that wait to be processed."""
        return len(self._waiting)

    async def open(self) -> None:
        """Connect, and start reading. Raises PortHookError."""
        await self._reader.open()
        if self._context.is_counted:  # a session that ends after some invocations does not take more messages
            tasks = [self._work()]
        else:  # the task for groups starts first, so that no worker takes messages that a group can have
            tasks = [self._save_groups(), *(self._work() for _ in range(_WORKERS))]
        self._workers = [*map(asyncio.create_task, tasks)]

    async def close(self, drain_s: float) -> None:
        """Stop reading, wait `drain_s` seconds for the messages in progress, and cancel the remaining messages."""
        self._is_closing = True
        self._reader.stop()
        self._waiting.clear()
        self._arrival.set()
        self._wake.set()
        if self._refreshing is not None:
            self._refreshing.cancel()
        if self._workers:
            await asyncio.wait(self._workers, timeout=drain_s)
        for worker in self._workers:
            worker.cancel()
        if self._workers:
            await asyncio.wait(self._workers, timeout=_CANCEL_S)
        await self._reader.close()

    def assigned(self, assignment: GivenPartitions) -> None:
        """Handle newly assigned partitions, before their first message arrives."""
        self._cluster = assignment.cluster
        is_group = self._plan.group is not None
        if is_group:
            self._progress = {}
        for part, start in assignment.starts.items():
            self._progress[part] = PartitionProgress()
            if not is_group:
                self._context.messages.keep(Partition(self._cluster, *part), start)
        for line in self._assignment_lines(assignment):
            self._context.notice(line)

    def revoked(self, parts: Sequence[TopicPart], done: Event) -> None:
        """Handle partitions that another consumer gets: discard waiting messages, and wait for messages in progress."""
        taken = [progress for part in parts if (progress := self._progress.pop(part, None)) is not None]
        kept = [item for item in self._waiting if item.progress not in taken]
        for item in reversed(self._waiting):
            if item.progress in taken:
                item.progress.drop(item.origin.offset)
                self._capacity.release(size_of(item.message))
        self._waiting = deque(kept)
        self._context.notice(f"Kafka: handed over {_names(parts)}.")
        self._handing_over.append((taken, done))
        self._end_hand_over()

    def arrived(self, messages: Sequence[Message]) -> None:
        """Handle messages that have arrived, in order."""
        self._last_problem = ""
        for message in messages:
            origin = origin_of(message)
            progress = self._progress.get((origin.topic, origin.partition))
            if progress is None or self._is_closing:
                self._capacity.release(size_of(message))
                continue
            progress.start(origin.offset)
            self._waiting.append(_Waiting(message, origin, progress))
        self._arrival.set()
        if not self._is_grouping:
            self._wake.set()

    def lost(self, reason: str) -> None:
        """Handle the loss of the connection to all brokers."""
        lost = f"Kafka: the connection to {self._connection.address} is lost: {reason}. Reconnecting."
        if all(map(is_loopback_broker, self._connection.brokers)):
            lost += " If you have restarted a sandbox with --kafka embedded, start this command again."
        self._context.notice(lost)

    def rejected(self, reason: str) -> None:
        """Handle credentials that the brokers no longer accept, and get new credentials."""
        self._context.notice(f"Kafka: the brokers rejected the credentials: {reason}. Getting new credentials.")
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())

    def recovered(self) -> None:
        """Handle the end of a loss or of a rejection."""
        if self._refreshing is not None:
            self._refreshing.cancel()
        self._context.notice("Kafka: connected again.")

    def lagging(self, count: int) -> None:
        """Handle a change of the lag."""
        self._context.notice(f"Kafka: {count:,} messages behind." if count else "Kafka: caught up.")

    def missed(self, count: int) -> None:
        """Handle messages that the brokers deleted before the messages were read."""
        self._context.notice(_deleted(count))

    def failed(self, reason: str) -> None:
        """Handle any other problem."""
        if reason != self._last_problem:  # librdkafka repeats some every second
            self._last_problem = reason
            self._context.notice(f"Kafka: {reason}.")

    async def _refresh(self) -> None:
        """Get new credentials until the brokers accept the credentials."""
        told = ""
        while True:
            try:
                self._connection = await self._get_connection()
                self._reader.use_credentials(self._connection)
            except PortHookError as error:
                if error.message != told:
                    told = error.message
                    self._context.notice(f"Kafka: no new credentials: {error.message} {error.hint}".rstrip())
            await asyncio.sleep(self.refresh_pause_s)

    async def _save_groups(self) -> None:
        """Save waiting messages in groups. While no group can be formed, let the workers process the messages."""
        try:
            while not self._is_closing:
                group = self._context.new_group()
                self._is_grouping = group is not None
                if group is None or not self._waiting:
                    if self._waiting:
                        self._wake.set()
                    self._arrival.clear()
                    await self._arrival.wait()
                elif others := await self._save_group(group):
                    self._is_grouping = False
                    self._wake.set()
                    await asyncio.gather(*others)
        finally:
            self._is_grouping = False
            self._wake.set()

    async def _save_group(self, group: Group) -> Sequence[Coroutine[None, None, None]]:
        """Save waiting messages in one commit. For each unsaved message, return a coroutine that processes it."""
        items = [self._waiting.popleft() for _ in range(min(_MOST_TOGETHER, len(self._waiting)))]
        self.in_progress += len(items)
        added: list[_Waiting] = []
        others: list[_Waiting] = []
        try:
            for item in items:
                (added if self._is_added(group, item) else others).append(item)
            try:
                await group.save()
            except Exception:  # noqa: BLE001 - each message is tried again, which reports errors
                added, others = [], items
            self._finish(added)
        finally:
            self.in_progress -= len(items)
        self._capacity.release(sum([size_of(item.message) for item in added]), len(added))
        return [self._process(item) for item in others]

    def _is_added(self, group: Group, item: _Waiting) -> bool:
        value = item.message.value() or b""
        if len(value) > min(SMALL_BYTES, self._context.max_body):
            return False
        try:
            return group.add(self._invocation(item.origin, value))
        except Exception:  # noqa: BLE001 - the message is processed alone, which reports errors
            return False

    async def _work(self) -> None:
        while not self._is_closing:
            if not self._waiting or self._is_grouping:
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._process(self._waiting.popleft())
            if self._context.is_counted:
                await asyncio.sleep(0)  # the observers count it
                await asyncio.sleep(0)

    async def _process(self, item: _Waiting) -> None:
        """Process a message.

        A worker that waits for its next message must not hold this message, which can be large.
        """
        value = item.message.value() or b""
        self.in_progress += 1
        try:
            if len(value) > self._context.max_body:
                self._context.notice(
                    f"Kafka: {brief(item.origin.name)} has {len(value):,} bytes, so it was not captured"
                    " (limit --max-body)."
                )
            else:
                await self._save(self._invocation(item.origin, value))
            self._finish([item])
        finally:
            self.in_progress -= 1
            self._capacity.release(len(value))

    async def _save(self, invocation: Invocation) -> None:
        """Pass an invocation to the pipeline until it is saved."""
        pause_s = self.retry_pause_s
        while True:
            try:
                await self._context.receive(invocation, "unknown")
            except StoreError as error:
                self._tell_unsaved(error)
            except Exception as error:  # noqa: BLE001 - a defect in port-hook must not end the source
                name = brief(invocation.origin.name) if invocation.origin else ""
                self._context.notice(f"Kafka: {name} failed: {type(error).__name__}: {brief(str(error))}")
                return
            else:
                if self._is_unsaved:
                    self._is_unsaved = False
                    self._context.notice("Kafka: messages are saved again.")
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _MAX_PAUSE_S)

    def _tell_unsaved(self, error: StoreError) -> None:
        if not self._is_unsaved:
            self._is_unsaved = True
            again = "Messages wait until they can be saved, and may then be forwarded again."
            self._context.notice(f"Kafka: a message was not saved: {error.message} {error.hint} {again}")

    def _finish(self, items: Sequence[_Waiting]) -> None:
        moved: dict[PartitionProgress, tuple[TopicPart, int]] = {}
        for item in items:
            if (offset := item.progress.finish(item.origin.offset)) is not None:
                moved[item.progress] = item.part, offset
        for progress, (part, offset) in moved.items():
            if self._progress.get(part) is progress:
                self._acknowledge(part, offset)
            elif self._plan.group is not None:
                self._reader.acknowledge(part, offset)  # it is being handed over
        if self._handing_over:
            self._end_hand_over()

    def _acknowledge(self, part: TopicPart, offset: int) -> None:
        if self._plan.group is None:
            self._context.messages.keep(Partition(self._cluster, *part), offset)
        else:
            self._reader.acknowledge(part, offset)

    def _end_hand_over(self) -> None:
        still = []
        for taken, done in self._handing_over:
            if any(map(len, taken)):
                still.append((taken, done))
            else:
                done.set()
        self._handing_over = still

    def _invocation(self, origin: MessageOrigin, value: bytes) -> Invocation:
        return Invocation(
            id=self._context.new_id(),
            received_at=self._context.now(),
            method="POST",
            target=self._context.mount.rstrip("/") or "/",
            headers=message_headers(value),
            body=value,
            origin=origin,
        )

    def _assignment_lines(self, assignment: GivenPartitions) -> Iterator[str]:
        parts = list(assignment.starts)
        if self._plan.group is None:
            yield f"Kafka: watching {_names(parts)} at {self._connection.address}, without committing offsets."
        elif parts:
            yield f"Kafka: the group {brief(self._plan.group)} gave this listener {_names(parts)}."
        else:
            group = brief(self._plan.group)
            yield f"Kafka: the group {group} gave this listener no partitions. Other consumers have all of them."
        if assignment.lost:
            yield _deleted(assignment.lost)
        if assignment.shortened:
            yield f"Kafka: {_names(assignment.shortened)} ends before the saved position. Reading starts at the end."
        if assignment.lag and assignment.is_resumed:
            yield (
                f"Kafka: resuming where the last listener with this store stopped, {_count(assignment.lag)} ago"
                " (--since now skips them)."
            )
        elif assignment.lag:
            yield f"Kafka: starting {_count(assignment.lag)} before the end."
        elif assignment.finds_none:
            yield (
                "Kafka: the broker finds no message since the time of --since. Only new messages are shown. The"
                " embedded broker of a sandbox cannot find messages by time."
            )
        yield from self._repeated_lines(assignment)

    def _repeated_lines(self, assignment: GivenPartitions) -> Iterator[str]:
        for part, start in assignment.starts.items():
            again = sorted(offset for offset in self._saved.get(part, ()) if offset >= start)
            if again and self._plan.since_s is None:
                yield (
                    f"Kafka: {_names([part])} delivers {_count(len(again))} again that the store already has:"
                    f" {_ranges(again)}."
                )


def _by_part(saved: Iterable[MessageOrigin]) -> dict[TopicPart, set[int]]:
    found: dict[TopicPart, set[int]] = {}
    for origin in saved:
        found.setdefault((origin.topic, origin.partition), set()).add(origin.offset)
    return found


def _count(number: int) -> str:
    return f"{number:,} message{'' if number == 1 else 's'}"


def _deleted(number: int) -> str:
    return f"Kafka: the brokers deleted {_count(number)} before they were read."


def _names(parts: Sequence[TopicPart]) -> str:
    """Return partitions by topic: `org.runs (4 partitions)`, or `org.runs[2]` for a single partition."""
    by_topic: dict[str, list[int]] = {}
    for topic, number in parts:
        by_topic.setdefault(topic, []).append(number)
    names = [
        f"{brief(topic)}[{numbers[0]}]" if len(numbers) == 1 else f"{brief(topic)} ({len(numbers)} partitions)"
        for topic, numbers in by_topic.items()
    ]
    return ", ".join(names) or "nothing"


def _ranges(offsets: Sequence[int]) -> str:
    """Return sorted offsets as ranges: `3-7, 9`. Only the first few ranges are included."""
    ranges: list[tuple[int, int]] = []
    for offset in offsets:
        if ranges and offset == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], offset)
        else:
            ranges.append((offset, offset))
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in ranges[:_MOST_NAMED]]
    return ", ".join(shown) + (", …" if len(ranges) > _MOST_NAMED else "")
