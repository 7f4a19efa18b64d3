"""Reads topics in a separate thread, because librdkafka's calls block and call its callbacks.

The thread connects, assigns partitions or joins a group, and hands messages over in batches. The thread waits while too
many messages are in progress, and reports to a `ReaderEvents` through the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from threading import Event, Thread
from time import monotonic
from typing import Protocol, TypeAlias

from port_hook_cli.errors import PortHookError
from port_hook_cli.invocations.models import Partition
from port_hook_cli.kafka.assignment import PartitionAssignment, ReaderEvents, ReaderReports
from port_hook_cli.kafka.client import Message
from port_hook_cli.kafka.connection import KafkaConnection, KafkaPlan, TopicPart
from port_hook_cli.kafka.link import READER_TIMES, BrokerLink, ReaderTimes
from port_hook_cli.kafka.messages import MessageCapacity, part_of, size_of
from port_hook_cli.text.safe import brief

_BATCH = 500
_HELD_UP_S = 0.05
_CLOSE_S = 3.0


class MessageReader(Protocol):
    """Reads topics, and passes the messages to a source through `ReaderEvents`."""

    async def open(self) -> None:
        """Connect and find the partitions. Raises PortHookError."""

    def stop(self) -> None:
        """Stop reading messages."""

    async def close(self) -> None:
        """Commit the saved positions, and disconnect."""

    def use_credentials(self, connection: KafkaConnection) -> None:
        """Use other credentials for connections from now on."""

    def acknowledge(self, part: TopicPart, next_offset: int) -> None:
        """Commit soon that the messages of a partition before `next_offset` are saved.

        This has an effect only in a group.
        """


ReaderFactory: TypeAlias = Callable[
    [KafkaConnection, KafkaPlan, ReaderEvents, MessageCapacity, Callable[[Partition], int | None]], MessageReader
]
"""Creates a reader. `TopicReader` is the default."""


class TopicReader:
    """A thread that reads the topics in `plan`. `start_at` returns the saved offset of a partition, or None."""

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
        """Connect and find the partitions. Raises PortHookError."""
        self._thread.start()
        await asyncio.shield(self._opened)

    def stop(self) -> None:
        """Stop reading messages."""
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
        """Use other credentials for connections from now on."""
        self._renewed = connection

    def acknowledge(self, part: TopicPart, next_offset: int) -> None:
        """Commit soon that the messages of a partition before `next_offset` are saved.

        This has an effect only in a group.
        """
        if self._plan.group is not None:
            self._assignment.saved.add(part, next_offset)

    def _run(self) -> None:
        try:
            self._assignment.begin(self._link.connect(self._stopping))
            self._look_at = monotonic() + self._plan.look_for_partitions_s
            self._reports.tell(_settle, self._opened, None)
            self._read()
        except Exception as error:  # noqa: BLE001 - the user must also learn of a defect
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
        """Hand over the messages that arrive next.

        No reference to them outlives this method, because messages can be large.
        """
        first = self._link.consumer.poll(self._times.poll_s)
        if first is not None:
            more = self._link.consumer.consume(min(room, _BATCH) - 1, 0) if room > 1 else []
            self._hand_over([first, *more])

    def _is_held_up(self, room: int) -> bool:
        """Wait a little if too many messages are in progress. Return whether there were too many.

        After a while, the partitions are paused. The pause discards the messages that librdkafka has fetched, so that
        the reader can poll it. A member of a group that does not poll is removed from the group.
        """
        assignment = self._assignment
        if room and not assignment.is_paused:
            self._held_up_at = None
            return False
        now = monotonic()
        self._held_up_at = self._held_up_at or now
        if assignment.is_paused and self._capacity.is_free_again:
            assignment.resume()
            self._link.responds()  # wakes librdkafka, which might wait up to a second before it fetches
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
            self._assignment.positions.advance(part_of(message), message.offset() or 0)
            self._capacity.take(size_of(message))
        if messages:
            self._reports.tell(self._events.arrived, messages)

    def _tend(self) -> None:
        """Do what is due: check a connection that may be lost, look for new partitions, and report changes."""
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
            self._reports.tell(self._events.rejected if trouble.is_rejected else self._events.lost, trouble.reason)

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
