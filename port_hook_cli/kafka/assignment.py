"""The partitions of a reader: where each partition starts, what was read and saved, and what the reader reports.

Only the reader's thread finds, assigns and reads partitions. The thread reports to the event loop.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Event, Lock
from typing import Protocol

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Partition
from port_hook_cli.kafka.client import Consumer, KafkaException, Message, TopicPartition, error_text
from port_hook_cli.kafka.connection import KafkaPlan, TopicPart
from port_hook_cli.kafka.link import BrokerLink
from port_hook_cli.kafka.messages import ReadPositions

CALL_TIMEOUT_S = 10.0
_ASK_AGAIN_S = 1.0


@frozen(kw_only=True)
class GivenPartitions:
    """The partitions of this reader, with the offset of the next message in each.

    `lag` is the number of waiting messages. `shortened` contains the partitions that end before the saved position.
    `lost` is the number of messages that the broker deleted before they were read. `finds_none` means that messages
    exist, but none of them has arrived since the plan's time.
    """

    cluster: str
    starts: Mapping[TopicPart, int]
    lag: int = 0
    shortened: Sequence[TopicPart] = ()
    lost: int = 0
    is_resumed: bool = False
    finds_none: bool = False


@frozen
class StartFinder:
    """Finds the offsets at which to start reading partitions.

    For a group, this class asks the brokers again every `ask_again_s` seconds until they respond.
    """

    consumer: Consumer
    cluster: str
    plan: KafkaPlan
    start_at: Callable[[Partition], int | None]
    ask_again_s: float = _ASK_AGAIN_S

    def find(self, parts: Sequence[TopicPart], *, are_new: bool = False) -> GivenPartitions:
        """Return the first offset of each partition. `are_new` means that the partitions did not exist at the start."""
        since = self._offsets_since(parts) if self.plan.since_s is not None else {}
        has_own_start = are_new or self.plan.from_end or self.plan.since_s is not None
        starts: dict[TopicPart, int] = {}
        shortened: list[TopicPart] = []
        lag = lost = held = 0
        is_resumed = False
        for part in parts:
            low, high = self.consumer.get_watermark_offsets(TopicPartition(*part), timeout=CALL_TIMEOUT_S)
            kept = None if has_own_start else self.start_at(Partition(self.cluster, *part))
            default = low if are_new else since.get(part, high)
            start = default if kept is None else min(max(kept, low), high)
            if kept is not None:
                is_resumed = True
                lost += max(0, low - kept)
                shortened += [part] if kept > high else []
            starts[part] = start
            lag += high - start
            held += high - low
        return GivenPartitions(
            cluster=self.cluster,
            starts=starts,
            lag=lag,
            shortened=shortened,
            lost=lost,
            is_resumed=is_resumed,
            finds_none=self.plan.since_s is not None and not are_new and not since and held > 0,
        )

    def find_in_group(
        self, given: list[TopicPartition], stopping: Event, tell: Callable[[str], None]
    ) -> tuple[dict[TopicPart, int], list[TopicPart]] | None:
        """Return where a member of a group starts, and which partitions have no commit.

        This method asks until the brokers respond, because a guessed start would skip messages or read them again.
        `tell` gets the first reason why the brokers do not respond. The result is None if `stopping` is set first.
        """
        is_told = False
        while not stopping.is_set():
            try:
                return self._group_starts(given)
            except KafkaException as error:
                if not is_told:
                    tell(f"the group's positions are not known: {error_text(error.args[0])}. Asking again")
                is_told = True
                stopping.wait(self.ask_again_s)
        return None

    def _group_starts(self, given: list[TopicPartition]) -> tuple[dict[TopicPart, int], list[TopicPart]]:
        known = self.consumer.committed(given, timeout=CALL_TIMEOUT_S)
        starts = {(item.topic, item.partition): item.offset for item in known if item.offset >= 0}
        fresh = [(item.topic, item.partition) for item in known if item.offset < 0]
        return starts | dict(self.find(fresh).starts), fresh

    def _offsets_since(self, parts: Sequence[TopicPart]) -> dict[TopicPart, int]:
        moment = round((self.plan.since_s or 0) * 1000)
        wanted = [TopicPartition(*part, moment) for part in parts]
        found = self.consumer.offsets_for_times(wanted, timeout=CALL_TIMEOUT_S)
        return {(item.topic, item.partition): item.offset for item in found if item.offset >= 0}


class ReaderEvents(Protocol):
    """The events that a reader reports in the event loop."""

    def assigned(self, assignment: GivenPartitions) -> None:
        """Handle newly assigned partitions, before their first message arrives."""

    def revoked(self, parts: Sequence[TopicPart], done: Event) -> None:
        """Handle partitions that another consumer gets.

        Set `done` when the messages of these partitions are processed.
        """

    def arrived(self, messages: Sequence[Message]) -> None:
        """Handle messages that have arrived, in order."""

    def lost(self, reason: str) -> None:
        """Handle the loss of the connection to all brokers."""

    def rejected(self, reason: str) -> None:
        """Handle credentials that the brokers no longer accept."""

    def recovered(self) -> None:
        """Handle the end of a loss or of a rejection."""

    def lagging(self, count: int) -> None:
        """Handle a change of the lag. `count` messages wait. A `count` of 0 means that few messages wait."""

    def missed(self, count: int) -> None:
        """Handle messages that the brokers deleted before the messages were read."""

    def failed(self, reason: str) -> None:
        """Handle any other problem."""


class ReaderReports:
    """Passes the events of a reader's thread to the event loop."""

    def __init__(self, events: ReaderEvents, loop: AbstractEventLoop) -> None:
        self.events, self._loop = events, loop

    def tell(self, callback: Callable[..., object], *values: object) -> None:
        """Call `callback` soon in the event loop. Do nothing if the loop has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *values)

    def failed(self, reason: str) -> None:
        """Report a problem to the event loop."""
        self.tell(self.events.failed, reason)


_HAND_OVER_S = 2.0


class SavedOffsets:
    """The offsets to commit. The event loop adds offsets, and the reader's thread stores them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._next: dict[TopicPart, int] = {}

    def add(self, part: TopicPart, next_offset: int) -> None:
        """Commit soon that the messages of a partition before `next_offset` are saved."""
        with self._lock:
            self._next[part] = next_offset

    def replace(self, offsets: dict[TopicPart, int]) -> None:
        """Commit these offsets soon, and forget all other offsets."""
        with self._lock:
            self._next = offsets

    def store(self, consumer: Consumer) -> None:
        """Tell librdkafka which offsets to commit.

        Only the reader's thread may call this method, because some calls wait while they hold Python's lock.
        """
        with self._lock:
            saved, self._next = self._next, {}
        for part, offset in saved.items():
            with suppress(KafkaException):  # another consumer has the partition now
                consumer.store_offsets(offsets=[TopicPartition(*part, offset)])


class PartitionAssignment:
    """The partitions of a reader. Only the reader's thread uses this class, except for `saved`.

    `start_at` returns the saved offset of a partition, or None.
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
        """Read these partitions, or join the group in the plan. Raises BrokerError."""
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
        """Also read new partitions, if the brokers respond."""
        with suppress(KafkaException):
            if new := [part for part in self._link.parts() if part not in self.positions]:
                self._watch(new, are_new=True)

    def pause(self) -> None:
        """Stop fetching messages. librdkafka discards fetched messages, and fetches them again after `resume`."""
        self._link.consumer.pause(self._link.consumer.assignment())
        self.is_paused = True

    def resume(self) -> None:
        """Fetch messages again."""
        self._link.consumer.resume(self._link.consumer.assignment())
        self.is_paused = False

    def _watch(self, parts: Sequence[TopicPart], *, are_new: bool = False) -> None:
        """Watch partitions. New partitions start at their beginning, and other partitions where the plan specifies."""
        start = self._finder(self._start_at).find(parts, are_new=are_new)
        assigned = [TopicPartition(*part, offset) for part, offset in start.starts.items()]
        self._link.consumer.incremental_assign(assigned)
        self.positions.add(start.starts)
        self._reports.tell(self._reports.events.assigned, start)

    def _on_assign(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        """Start each partition at the group's commit. Without a commit, start where the plan specifies."""
        starts: dict[TopicPart, int] = {}
        if given:
            found = self._finder(lambda _: None).find_in_group(given, self._stopping, self._reports.failed)
            if found is None:
                return
            starts, fresh = found
            _commit_starts(consumer, [TopicPartition(*part, starts[part]) for part in fresh])
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


def _commit_starts(consumer: Consumer, starts: list[TopicPartition]) -> None:
    """Commit where a group starts before its first message is read.

    If the member were killed before the next automatic commit, the next member would start at the end again and miss
    the messages in between.
    """
    if starts:
        with suppress(KafkaException):  # the next automatic commit includes them
            consumer.commit(offsets=starts, asynchronous=False)
