"""Reads topics in a thread of its own: librdkafka's calls block, and call its callbacks.

The thread connects, assigns partitions or joins a group, and hands messages over in batches. It waits while too many
are in progress. It reports to a `ReaderEvents` through the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Event, Lock, Thread
from time import monotonic
from typing import Protocol, TypeAlias

from port_hook_cli.errors import PortHookError
from port_hook_cli.invocations.models import Partition
from port_hook_cli.kafka.client import Consumer, KafkaException, Message, TopicPartition
from port_hook_cli.kafka.connection import KafkaConnection
from port_hook_cli.kafka.link import READER_TIMES, BrokerLink, ReaderTimes
from port_hook_cli.kafka.plan import KafkaPlan
from port_hook_cli.kafka.progress import MessageCapacity
from port_hook_cli.kafka.reader_events import ReaderEvents, ReaderReports
from port_hook_cli.kafka.starts import GivenPartitions, StartFinder, TopicPart
from port_hook_cli.text.safe import brief

# A lag is reported when it exceeds the first number; its end, when it falls below the second.
_LAG, _CAUGHT_UP = 1_000, 100


class ReadPositions:
    """The next offset of each partition, how many messages are missing before it, and whether many wait to be read."""

    def __init__(self) -> None:
        self._next: dict[TopicPart, int] = {}
        self._missed = 0
        self._is_lagging = False

    def __contains__(self, part: TopicPart) -> bool:
        return part in self._next

    def add(self, starts: Mapping[TopicPart, int]) -> None:
        """Add partitions, with their first offset."""
        self._next.update(starts)

    def replace(self, starts: Mapping[TopicPart, int]) -> None:
        """Keep only these partitions, with their first offset."""
        self._next = dict(starts)

    def advance(self, part: TopicPart, offset: int) -> None:
        """Record that a message was read. The brokers have deleted those that are missing before it."""
        self._missed += max(0, offset - self._next.get(part, offset))
        self._next[part] = offset + 1

    def take_missed(self) -> int:
        """Return how many messages are missing since the last call."""
        missed, self._missed = self._missed, 0
        return missed

    def changed_lag(self, end_of: Callable[[TopicPart], int | None]) -> int | None:
        """Return how many messages wait if there are many now, 0 if there are few again, or None if that is unchanged.

        `end_of` returns the offset after the last message of a partition, or None if it is not known.
        """
        ends = ((end_of(part), position) for part, position in self._next.items())
        lag = sum(max(0, end - position) for end, position in ends if end is not None)
        if (lag > _LAG) is self._is_lagging or _CAUGHT_UP <= lag <= _LAG:
            return None
        self._is_lagging = lag > _LAG
        return lag if self._is_lagging else 0


_HAND_OVER_S = 2.0


class SavedOffsets:
    """The offsets to commit. The event loop adds them, the reader's thread stores them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._next: dict[TopicPart, int] = {}

    def add(self, part: TopicPart, next_offset: int) -> None:
        """Commit, soon, that the messages of a partition before `next_offset` are saved."""
        with self._lock:
            self._next[part] = next_offset

    def replace(self, offsets: dict[TopicPart, int]) -> None:
        """Commit these offsets, soon, and forget the others."""
        with self._lock:
            self._next = offsets

    def store(self, consumer: Consumer) -> None:
        """Tell librdkafka what to commit. Only the thread calls it: some calls wait while they hold Python's lock."""
        with self._lock:
            saved, self._next = self._next, {}
        for part, offset in saved.items():
            with suppress(KafkaException):  # another consumer has the partition now
                consumer.store_offsets(offsets=[TopicPartition(*part, offset)])


class PartitionAssignment:
    """The partitions of a reader. Only its thread uses this, except for `saved`.

    `start_at` returns the offset kept for a partition, or None.
    """

    def __init__(
        self,
        link: BrokerLink,
        plan: KafkaPlan,
        reports: ReaderReports,
        stopping: Event,
        start_at: Callable[[Partition], int | None],
    ) -> None:
        self._link, self._plan, self._reports, self._stopping = link, plan, reports, stopping
        self._start_at = start_at
        self.positions = ReadPositions()
        self.saved = SavedOffsets()
        self.is_paused = False

    def begin(self, parts: Sequence[TopicPart]) -> None:
        """Read these partitions, or join the group of the plan; raises BrokerError."""
        try:
            if self._plan.group is None:
                self._watch(parts)
            else:
                self._link.consumer.subscribe(
                    list(self._plan.topics), on_assign=self._on_assign, on_revoke=self._on_revoke
                )
        except KafkaException as error:  # the brokers may refer to an address that cannot be reached
            raise self._link.problem(error) from None

    def watch_new(self) -> None:
        """Also read partitions that were created in the meantime, if the brokers respond."""
        with suppress(KafkaException):
            if new := [part for part in self._link.parts() if part not in self.positions]:
                self._watch(new, are_new=True)

    def pause(self) -> None:
        """Stop fetching. What librdkafka has fetched is dropped, and fetched again after `resume`."""
        self._link.consumer.pause(self._link.consumer.assignment())
        self.is_paused = True

    def resume(self) -> None:
        """Fetch again."""
        self._link.consumer.resume(self._link.consumer.assignment())
        self.is_paused = False

    def _watch(self, parts: Sequence[TopicPart], *, are_new: bool = False) -> None:
        """Watch partitions from where the plan says, or from their beginning if they are new."""
        start = self._finder(self._start_at).find(parts, are_new=are_new)
        assigned = [TopicPartition(*part, offset) for part, offset in start.starts.items()]
        self._link.consumer.incremental_assign(assigned)
        self.positions.add(start.starts)
        self._reports.tell(self._reports.events.assigned, start)

    def _on_assign(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        """Start each partition where the group has committed, or else where the plan says."""
        starts: dict[TopicPart, int] = {}
        if given:
            found = self._finder(lambda _: None).find_in_group(given, self._stopping, self._reports.failed)
            if found is None:
                return
            starts, fresh = found
            consumer.assign([TopicPartition(*part, offset) for part, offset in starts.items()])
            self.saved.replace({part: starts[part] for part in fresh})
        self.positions.replace(starts)
        self.is_paused = False
        self._reports.tell(self._reports.events.assigned, GivenPartitions(cluster=self._link.cluster, starts=starts))

    def _on_revoke(self, consumer: Consumer, taken: list[TopicPartition]) -> None:
        """Let the messages in progress finish, so that the next consumer does not get them again."""
        if self._stopping.is_set():
            return
        done = Event()
        self._reports.tell(self._reports.events.revoked, [(item.topic, item.partition) for item in taken], done)
        done.wait(_HAND_OVER_S)
        self.saved.store(consumer)

    def _finder(self, start_at: Callable[[Partition], int | None]) -> StartFinder:
        return StartFinder(self._link.consumer, self._link.cluster, self._plan, start_at)


_BATCH = 500
_HELD_UP_S = 0.05
_CLOSE_S = 3.0


class MessageReader(Protocol):
    """Reads topics, and passes the messages to a source through `ReaderEvents`."""

    async def open(self) -> None:
        """Connect and find the partitions; raises PortHookError."""

    def stop(self) -> None:
        """Take no more messages."""

    async def close(self) -> None:
        """Commit the saved positions, and disconnect."""

    def use_credentials(self, connection: KafkaConnection) -> None:
        """Connect with other credentials from now on."""

    def acknowledge(self, part: TopicPart, next_offset: int) -> None:
        """Commit, soon, that the messages of a partition before `next_offset` are saved; only in a group."""


ReaderFactory: TypeAlias = Callable[
    [KafkaConnection, KafkaPlan, ReaderEvents, MessageCapacity, Callable[[Partition], int | None]], MessageReader
]
"""Creates a reader. `TopicReader` is the default."""


class TopicReader:
    """A thread that reads the topics of `plan`. `start_at` returns the offset kept for a partition, or None."""

    def __init__(
        self,
        connection: KafkaConnection,
        plan: KafkaPlan,
        events: ReaderEvents,
        capacity: MessageCapacity,
        start_at: Callable[[Partition], int | None],
        times: ReaderTimes = READER_TIMES,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._plan, self._events, self._capacity, self._times = plan, events, capacity, times
        self._opened: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._stopping, self._closing = Event(), Event()
        self._reports = ReaderReports(events, loop)
        self._link = BrokerLink(connection, plan, self._reports.failed, times)
        self._assignment = PartitionAssignment(self._link, plan, self._reports, self._stopping, start_at)
        self._renewed: KafkaConnection | None = None
        self._held_up_at: float | None = None
        self._tend_at = self._look_at = 0.0
        self._thread = Thread(target=self._run, name="port-hook-kafka", daemon=True)

    async def open(self) -> None:
        """Connect and find the partitions; raises PortHookError."""
        self._thread.start()
        await asyncio.shield(self._opened)

    def stop(self) -> None:
        """Take no more messages."""
        self._stopping.set()

    async def close(self) -> None:
        """Commit the saved positions, and disconnect."""
        self._stopping.set()
        self._closing.set()
        if self._thread.ident is None:  # it was never started
            return
        await asyncio.wait({self._ended}, timeout=_CLOSE_S)
        if self._opened.done() and not self._opened.cancelled():
            self._opened.exception()  # it was raised already, or no one waits for it

    def use_credentials(self, connection: KafkaConnection) -> None:
        """Connect with other credentials from now on."""
        self._renewed = connection

    def acknowledge(self, part: TopicPart, next_offset: int) -> None:
        """Commit, soon, that the messages of a partition before `next_offset` are saved; only in a group."""
        if self._plan.group is not None:
            self._assignment.saved.add(part, next_offset)

    def _run(self) -> None:
        try:
            self._assignment.begin(self._link.connect(self._stopping))
            self._look_at = monotonic() + self._plan.look_for_partitions_s
            self._reports.tell(_settle, self._opened, None)
            self._read()
        except Exception as error:  # noqa: BLE001 - the user must learn of a defect, too
            self._reports.tell(self._give_up, error)
        finally:
            self._closing.wait()
            self._link.close(self._assignment.saved.store)
            self._reports.tell(_settle, self._ended, None)

    def _give_up(self, error: Exception) -> None:
        if self._opened.done():
            reason = error.message.rstrip(".") if isinstance(error, PortHookError) else _described(error)
            self._events.failed(f"reading stopped: {reason}")
        else:
            self._opened.set_exception(error)

    def _read(self) -> None:
        while not self._stopping.is_set():
            self._assignment.saved.store(self._link.consumer)
            room = self._capacity.room
            if not self._is_held_up(room):
                self._read_batch(room)
            if monotonic() >= self._tend_at:
                self._tend_at = monotonic() + self._times.tend_s
                self._tend()

    def _read_batch(self, room: int) -> None:
        """Hand over what arrives next. Nothing here keeps the messages, which can be large."""
        first = self._link.consumer.poll(self._times.poll_s)
        if first is not None:
            more = self._link.consumer.consume(min(room, _BATCH) - 1, 0) if room > 1 else []
            self._hand_over([first, *more])

    def _is_held_up(self, room: int) -> bool:
        """Wait a little if too much is in progress; return whether it was.

        After a while the partitions are paused, which drops what librdkafka has fetched, so that it can be polled: a
        member that does not poll is removed from the group.
        """
        assignment = self._assignment
        if room and not assignment.is_paused:
            self._held_up_at = None
            return False
        now = monotonic()
        self._held_up_at = self._held_up_at or now
        if assignment.is_paused and self._capacity.is_free_again:
            assignment.resume()
            return False
        if not assignment.is_paused and now - self._held_up_at >= self._times.pause_after_s:
            assignment.pause()
        if assignment.is_paused:
            self._link.consumer.poll(0)
        self._capacity.wait(_HELD_UP_S)
        return True

    def _hand_over(self, found: Sequence[Message]) -> None:
        messages: list[Message] = []
        for message in found:
            error = message.error()
            if error is not None:
                self._link.note(error)
                continue
            messages.append(message)
            part = (message.topic() or "", message.partition() or 0)
            self._assignment.positions.advance(part, message.offset() or 0)
            self._capacity.take(len(message.value() or b""))
        if messages:
            self._reports.tell(self._events.arrived, messages)

    def _tend(self) -> None:
        """Do what is due: check a connection that may be lost, look for new partitions, report what changed."""
        if self._renewed is not None:
            self._link.renew(self._renewed)
            self._renewed = None
        if self._link.trouble.is_suspected:
            self._check_connection()
        elif self._plan.group is None and monotonic() >= self._look_at:
            self._look_at = monotonic() + self._plan.look_for_partitions_s
            self._assignment.watch_new()
        self._tell_progress()

    def _check_connection(self) -> None:
        trouble = self._link.trouble
        if self._link.responds():
            if trouble.clear():
                self._reports.tell(self._events.recovered)
            return
        message = self._link.consumer.poll(0)  # librdkafka tells the link why
        if message is not None:
            self._hand_over([message])
        if trouble.tell():
            self._reports.tell(self._events.refused if trouble.is_refused else self._events.lost, trouble.reason)

    def _tell_progress(self) -> None:
        positions = self._assignment.positions
        if (lag := positions.changed_lag(self._link.known_end)) is not None:
            self._reports.tell(self._events.lagging, lag)
        if missed := positions.take_missed():
            self._reports.tell(self._events.missed, missed)


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {brief(str(error))}"


def _settle(future: asyncio.Future[None], result: None) -> None:
    if not future.done():
        future.set_result(result)
