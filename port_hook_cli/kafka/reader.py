"""Reads topics in a thread of its own: librdkafka's calls block, and call its callbacks.

The thread connects, assigns partitions or joins a group, and hands messages over in batches. It waits while too many
are in progress. It reports to a `ReaderEvents` through the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, Protocol

from port_hook_cli.errors import BrokerError, PortHookError
from port_hook_cli.invocations.models import Partition
from port_hook_cli.kafka.capacity import MessageCapacity
from port_hook_cli.kafka.client import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from port_hook_cli.kafka.connection import KafkaConnection, client_settings, is_loopback_broker, refuse_elsewhere
from port_hook_cli.kafka.plan import KafkaPlan
from port_hook_cli.kafka.starts import GivenPartitions, StartFinder, TopicPart
from port_hook_cli.kafka.trouble import ConnectionTrouble, error_text, is_about_the_connection, unusable
from port_hook_cli.text.safe import brief

_CONNECT_TIMEOUT_S = 10.0
_FIRST_TRY_S, _REFUSED_AFTER_S = 0.5, 1.5
_POLL_S = 0.2
_BATCH = 500
_TEND_S = 0.5
_HELD_UP_S, _PAUSE_AFTER_S = 0.05, 2.0
_CHECK_TIMEOUT_S = 1.0
_HAND_OVER_S = 2.0
_CLOSE_S = 3.0
_MAX_CLUSTER_ID = 200
# A lag is reported when it exceeds the first number; its end, when it falls below the second.
_LAG, _CAUGHT_UP = 1_000, 100


class ReaderEvents(Protocol):
    """What a reader reports, in the event loop."""

    def assigned(self, assignment: GivenPartitions) -> None:
        """Handle partitions that were assigned, before their first message."""

    def revoked(self, parts: Sequence[TopicPart], done: Event) -> None:
        """Handle partitions that another consumer gets. Set `done` when their messages are processed."""

    def arrived(self, messages: Sequence[Message]) -> None:
        """Handle messages, in order."""

    def lost(self, reason: str) -> None:
        """Handle the loss of all brokers."""

    def refused(self, reason: str) -> None:
        """Handle credentials that the brokers no longer accept."""

    def recovered(self) -> None:
        """Handle the end of a loss or refusal."""

    def lagging(self, count: int) -> None:
        """Handle a change of the lag: how many messages wait, 0 if few do."""

    def missed(self, count: int) -> None:
        """Handle messages that the brokers deleted before they were read."""

    def failed(self, reason: str) -> None:
        """Handle any other problem."""


class TopicReader:
    """A thread that reads the topics of `plan`. `start_at` returns the offset kept for a partition, or None."""

    def __init__(
        self,
        connection: KafkaConnection,
        plan: KafkaPlan,
        events: ReaderEvents,
        capacity: MessageCapacity,
        start_at: Callable[[Partition], int | None],
    ) -> None:
        self._connection, self._plan, self._events, self._capacity = connection, plan, events, capacity
        self._start_at = start_at
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._stopping, self._closing = Event(), Event()
        self._consumer: Consumer | None = None
        self._lock = Lock()
        self._saved: dict[TopicPart, int] = {}
        self._renewed: KafkaConnection | None = None
        self._trouble = ConnectionTrouble()
        self._cluster = ""
        self._positions: dict[TopicPart, int] = {}
        self._is_paused = self._is_lagging = False
        self._missing = 0
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
            with self._lock:
                self._saved[part] = next_offset

    def _store_saved(self) -> None:
        """Tell librdkafka what to commit. Only this thread calls it: some calls wait while they hold Python's lock."""
        assert self._consumer is not None
        with self._lock:
            saved, self._saved = self._saved, {}
        for part, offset in saved.items():
            with suppress(KafkaException):  # another consumer has the partition now
                self._consumer.store_offsets(offsets=[TopicPartition(*part, offset)])

    def _run(self) -> None:
        try:
            self._open()
            self._tell(_settle, self._opened, None)
            self._read()
        except Exception as error:  # noqa: BLE001 - the user must learn of a defect, too
            self._tell(self._give_up, error)
        finally:
            self._closing.wait()
            if self._consumer is not None:
                with suppress(KafkaException, RuntimeError):
                    self._store_saved()
                    self._consumer.close()
            self._tell(_settle, self._ended, None)

    def _give_up(self, error: Exception) -> None:
        if self._opened.done():
            reason = error.message.rstrip(".") if isinstance(error, PortHookError) else _described(error)
            self._events.failed(f"reading stopped: {reason}")
        else:
            self._opened.set_exception(error)

    def _tell(self, callback: Callable[..., object], *values: object) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(callback, *values)

    def _open(self) -> None:
        consumer = self._consumer = self._new_consumer()
        found = self._connect(consumer)
        self._cluster = str(found.cluster_id)[:_MAX_CLUSTER_ID]
        parts = [(topic, number) for topic in self._plan.topics for number in _partitions(found.topics.get(topic))]
        if not parts:
            raise _no_topics(self._connection, self._plan)
        try:
            if self._plan.group is None:
                self._assign(parts)
            else:
                consumer.subscribe(list(self._plan.topics), on_assign=self._on_assign, on_revoke=self._on_revoke)
        except KafkaException as error:  # the brokers may refer to an address that cannot be reached
            consumer.poll(0)  # calls `_on_error` with the reasons
            raise unusable(self._connection, self._trouble.reason or error_text(error.args[0])) from None
        self._look_at = monotonic() + self._plan.look_for_partitions_s

    def _new_consumer(self) -> Consumer:
        settings = client_settings(self._connection) | _reading(self._connection, self._plan)
        try:
            return Consumer({**settings, "error_cb": self._on_error}, logger=_silent_logger())
        except KafkaException as error:
            raise unusable(self._connection, error_text(error.args[0])) from None

    def _connect(self, consumer: Consumer) -> Any:
        """Return the cluster's topics. Give up early if the brokers refuse, and later if they do not respond."""
        started = monotonic()
        while True:
            try:
                return self._cluster_data(consumer, _FIRST_TRY_S)
            except KafkaException as error:
                consumer.poll(0)  # calls `_on_error` with the reasons
                took_s = monotonic() - started
                is_over = took_s > _CONNECT_TIMEOUT_S or self._stopping.is_set()
                if is_over or self._trouble.is_refused or (self._trouble.is_suspected and took_s > _REFUSED_AFTER_S):
                    raise unusable(self._connection, self._trouble.reason or error_text(error.args[0])) from None

    def _cluster_data(self, consumer: Consumer, timeout_s: float) -> Any:
        """Return the cluster's brokers and topics; raises BrokerError for brokers that must not be used."""
        found = consumer.list_topics(timeout=timeout_s)
        refuse_elsewhere(self._connection, ((broker.host, broker.port) for broker in found.brokers.values()))
        return found

    def _assign(self, parts: Sequence[TopicPart], *, are_new: bool = False) -> None:
        """Watch partitions from where the plan says, or from their beginning if they are new."""
        assert self._consumer is not None
        finder = StartFinder(self._consumer, self._cluster, self._plan, self._start_at)
        start = finder.find(parts, are_new=are_new)
        self._consumer.incremental_assign([TopicPartition(*part, offset) for part, offset in start.starts.items()])
        self._positions.update(start.starts)
        self._tell(self._events.assigned, start)

    def _on_assign(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        """Start each partition where the group has committed, or else where the plan says."""
        starts: dict[TopicPart, int] = {}
        if given:
            finder = StartFinder(consumer, self._cluster, self._plan, lambda _: None)
            found = finder.find_in_group(given, self._stopping, self._tell_failed)
            if found is None:
                return
            starts, fresh = found
            consumer.assign([TopicPartition(*part, offset) for part, offset in starts.items()])
            with self._lock:
                self._saved = {part: starts[part] for part in fresh}
        self._positions = dict(starts)
        self._is_paused = False
        self._tell(self._events.assigned, GivenPartitions(cluster=self._cluster, starts=starts))

    def _tell_failed(self, reason: str) -> None:
        self._tell(self._events.failed, reason)

    def _on_revoke(self, _: Consumer, taken: list[TopicPartition]) -> None:
        """Let the messages in progress finish, so that the next consumer does not get them again."""
        if self._stopping.is_set():
            return
        done = Event()
        self._tell(self._events.revoked, [(item.topic, item.partition) for item in taken], done)
        done.wait(_HAND_OVER_S)
        self._store_saved()

    def _read(self) -> None:
        assert self._consumer is not None
        while not self._stopping.is_set():
            self._store_saved()
            room = self._capacity.room
            if self._is_held_up(room):
                pass
            elif (first := self._consumer.poll(_POLL_S)) is not None:
                more = self._consumer.consume(min(room, _BATCH) - 1, 0) if room > 1 else []
                self._hand_over([first, *more])
            if monotonic() >= self._tend_at:
                self._tend_at = monotonic() + _TEND_S
                self._tend()

    def _is_held_up(self, room: int) -> bool:
        """Wait a little if too much is in progress; return whether it was.

        After a while the partitions are paused, which drops what librdkafka has fetched, so that it can be polled: a
        member that does not poll is removed from the group.
        """
        assert self._consumer is not None
        if room and not self._is_paused:
            self._held_up_at = None
            return False
        now = monotonic()
        self._held_up_at = self._held_up_at or now
        if self._is_paused and self._capacity.is_free_again:
            self._consumer.resume(self._consumer.assignment())
            self._is_paused = False
            return False
        if not self._is_paused and now - self._held_up_at > _PAUSE_AFTER_S:
            self._consumer.pause(self._consumer.assignment())
            self._is_paused = True
        if self._is_paused:
            self._consumer.poll(0)
        self._capacity.wait(_HELD_UP_S)
        return True

    def _hand_over(self, found: Sequence[Message]) -> None:
        messages: list[Message] = []
        for message in found:
            error = message.error()
            if error is not None:
                self._on_error(error)
                continue
            messages.append(message)
            self._advance((message.topic() or "", message.partition() or 0), message.offset() or 0)
            self._capacity.take(len(message.value() or b""))
        if messages:
            self._tell(self._events.arrived, messages)

    def _advance(self, part: TopicPart, offset: int) -> None:
        expected = self._positions.get(part, offset)
        self._missing += max(0, offset - expected)
        self._positions[part] = offset + 1

    def _on_error(self, error: KafkaError) -> None:
        code = error.code()
        self._trouble.note(code, error_text(error))
        if not is_about_the_connection(code):
            self._tell(self._events.failed, error_text(error))

    def _tend(self) -> None:
        """Do what is due: check a connection that may be lost, look for new partitions, report the lag."""
        if self._renewed is not None and self._renewed.password is not None:
            assert self._consumer is not None
            self._consumer.set_sasl_credentials(self._renewed.username, self._renewed.password.reveal())
            self._renewed = None
        if self._trouble.is_suspected:
            self._check_connection()
        elif self._plan.group is None and monotonic() >= self._look_at:
            self._look_at = monotonic() + self._plan.look_for_partitions_s
            self._look_for_partitions()
        self._tell_lag()
        if self._missing:
            self._tell(self._events.missed, self._missing)
            self._missing = 0

    def _check_connection(self) -> None:
        assert self._consumer is not None
        try:
            self._cluster_data(self._consumer, _CHECK_TIMEOUT_S)
        except KafkaException:
            self._consumer_events()
            if self._trouble.tell():
                told = self._events.refused if self._trouble.is_refused else self._events.lost
                self._tell(told, self._trouble.reason)
            return
        if self._trouble.clear():
            self._tell(self._events.recovered)

    def _consumer_events(self) -> None:
        """Let librdkafka call `_on_error`, if no message can be returned."""
        assert self._consumer is not None
        message = self._consumer.poll(0)
        if message is not None:
            self._hand_over([message])

    def _look_for_partitions(self) -> None:
        assert self._consumer is not None
        with suppress(KafkaException):
            found = self._cluster_data(self._consumer, _CHECK_TIMEOUT_S).topics
            parts = [(topic, number) for topic in self._plan.topics for number in _partitions(found.get(topic))]
            if new := [part for part in parts if part not in self._positions]:
                self._assign(new, are_new=True)

    def _tell_lag(self) -> None:
        lag = sum(self._lags())
        if (lag > _LAG) is not self._is_lagging and (lag > _LAG or lag < _CAUGHT_UP):
            self._is_lagging = lag > _LAG
            self._tell(self._events.lagging, lag if self._is_lagging else 0)

    def _lags(self) -> Iterator[int]:
        assert self._consumer is not None
        for part, position in self._positions.items():
            with suppress(KafkaException, TypeError):
                _, high = self._consumer.get_watermark_offsets(TopicPartition(*part), cached=True)
                yield max(0, high - position)


def _reading(connection: KafkaConnection, plan: KafkaPlan) -> dict[str, Any]:
    """Return the settings for reading: low latency, bounded memory, and nothing committed that was not saved."""
    # Brokers that have messages respond at once. Those of tests and of the sandbox wait this long.
    wait_ms = 5 if all(map(is_loopback_broker, connection.brokers)) else 100
    return {
        "group.id": plan.group_id,
        "enable.auto.commit": plan.group is not None,
        "auto.commit.interval.ms": 200,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": wait_ms,
        "fetch.error.backoff.ms": 50,
        "fetch.queue.backoff.ms": 20,
        "queued.min.messages": 50_000,
        "queued.max.messages.kbytes": 16 * 1024,
        "fetch.max.bytes": 8 * 1024 * 1024,
        "session.timeout.ms": 10_000,
        "log_level": 0,
    }


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {brief(str(error))}"


def _silent_logger() -> logging.Logger:
    """Return a logger that drops what librdkafka would write to stderr."""
    logger = logging.getLogger("port-hook-kafka")
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)
    return logger


def _settle(future: asyncio.Future[None], result: None) -> None:
    if not future.done():
        future.set_result(result)


def _partitions(topic: Any) -> Iterator[int]:
    """Yield the numbers of a topic's partitions; none if it does not exist."""
    if topic is not None and topic.error is None:
        yield from sorted(topic.partitions)


def _no_topics(connection: KafkaConnection, plan: KafkaPlan) -> BrokerError:
    names = " and ".join(brief(topic) for topic in plan.topics)
    return BrokerError(
        f"Kafka at {connection.address} has no topic {names}.",
        hint="Check PORT_ORG_ID. Port creates the topics when the execution agent uses Kafka.",
    )
