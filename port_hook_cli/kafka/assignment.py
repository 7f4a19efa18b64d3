"""Which partitions a reader reads: all of them, or those that a group gives it. See `SavedOffsets` about threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event, Lock

from port_hook_cli.invocations.models import Partition
from port_hook_cli.kafka.client import Consumer, KafkaException, TopicPartition
from port_hook_cli.kafka.link import BrokerLink
from port_hook_cli.kafka.plan import KafkaPlan
from port_hook_cli.kafka.read_positions import ReadPositions
from port_hook_cli.kafka.reader_events import ReaderReports
from port_hook_cli.kafka.starts import GivenPartitions, StartFinder, TopicPart

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
