"""Where reading starts, depending on the brokers' messages, the saved positions and the user's options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Event, Timer
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_END, OFFSET_INVALID, KafkaError, KafkaException, TopicPartition

from port_hook_cli.invocations.models import Partition
from port_hook_cli.kafka.assignment import GivenPartitions, PartitionAssignment, SavedOffsets, StartFinder
from port_hook_cli.kafka.connection import KafkaPlan, TopicPart

RUNS = "org_1.runs"
A, B = (RUNS, 0), (RUNS, 1)
SINCE_S = 1_700_000_000.5


class Brokers:
    """A consumer of partitions. `ends` has their first and next offsets, and `commits` the group's commits.

    `since` has the offsets of the first messages since SINCE_S. The first `failures` requests for commits fail.
    """

    def __init__(
        self,
        ends: Mapping[TopicPart, tuple[int, int]],
        *,
        commits: Mapping[TopicPart, int] | None = None,
        since: Mapping[TopicPart, int] | None = None,
        failures: int = 0,
    ) -> None:
        self._ends, self._commits, self._since, self._failures = ends, commits or {}, since or {}, failures
        self.stopping: Event | None = None
        self.stored: list[tuple[str, int, int]] = []
        self.refused: set[TopicPart] = set()

    def get_watermark_offsets(self, part: TopicPartition, *, timeout: float) -> tuple[int, int]:
        assert timeout > 0
        return self._ends[part.topic, part.partition]

    def offsets_for_times(self, parts: list[TopicPartition], *, timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        assert {part.offset for part in parts} == {1_700_000_000_500}
        return [
            TopicPartition(part.topic, part.partition, self._since.get((part.topic, part.partition), OFFSET_END))
            for part in parts
        ]

    def committed(self, parts: list[TopicPartition], *, timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        if self._failures:
            self._failures -= 1
            if not self._failures and self.stopping is not None:
                self.stopping.set()
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - librdkafka's own name
        return [
            TopicPartition(part.topic, part.partition, self._commits.get((part.topic, part.partition), OFFSET_INVALID))
            for part in parts
        ]

    def store_offsets(self, *, offsets: list[TopicPartition]) -> None:
        for part in offsets:
            if (part.topic, part.partition) in self.refused:
                raise KafkaException(KafkaError(KafkaError._STATE))  # noqa: SLF001 - librdkafka's own name
            self.stored.append((part.topic, part.partition, part.offset))


def finder(
    brokers: Any, kept: Mapping[TopicPart, int] | None = None, *, since_s: float | None = None, from_end: bool = False
) -> StartFinder:
    """Return a finder for a store with the saved positions in `kept`."""
    positions = {Partition("cluster", *part): offset for part, offset in (kept or {}).items()}
    plan = KafkaPlan(org_id="org_1", topics=(RUNS,), since_s=since_s, from_end=from_end)
    return StartFinder(brokers, "cluster", plan, positions.get, ask_again_s=0.01)


def found(starts: Mapping[TopicPart, int], *shortened: TopicPart, **details: Any) -> GivenPartitions:
    return GivenPartitions(cluster="cluster", starts=starts, shortened=list(shortened), **details)


def test_watcher_without_a_saved_position_starts_at_the_end() -> None:
    brokers = Brokers({A: (3, 10), B: (0, 0)})
    assert finder(brokers).find([A, B]) == found({A: 10, B: 0})


def test_watcher_resumes_at_the_saved_position() -> None:
    brokers = Brokers({A: (3, 10), B: (0, 5)})
    assert finder(brokers, {A: 4, B: 5}).find([A, B]) == found({A: 4, B: 5}, lag=6, is_resumed=True)
    assert finder(brokers, {A: 3}).find([A, B]) == found({A: 3, B: 5}, lag=7, is_resumed=True)


def test_deleted_messages_after_the_saved_position_are_counted() -> None:
    brokers = Brokers({A: (3, 10), B: (2, 10)})
    assert finder(brokers, {A: 1, B: 1}).find([A, B]) == found({A: 3, B: 2}, lag=15, lost=3, is_resumed=True)


def test_partition_is_read_from_its_end_when_it_ends_before_the_saved_position() -> None:
    brokers = Brokers({A: (3, 10), B: (3, 10)})
    assert finder(brokers, {A: 11, B: 10}).find([A, B]) == found({A: 10, B: 10}, A, is_resumed=True)


def test_from_end_does_not_use_the_saved_position() -> None:
    assert finder(Brokers({A: (3, 10)}), {A: 4}, from_end=True).find([A]) == found({A: 10})


def test_new_partition_is_read_from_its_beginning() -> None:
    brokers = Brokers({A: (3, 10)})
    assert finder(brokers, {A: 4}).find([A], are_new=True) == found({A: 3}, lag=7)
    assert finder(brokers, since_s=SINCE_S).find([A], are_new=True) == found({A: 3}, lag=7)


def test_since_starts_at_the_first_message_after_its_time() -> None:
    brokers = Brokers({A: (0, 10), B: (3, 10)}, since={A: 0})
    assert finder(brokers, {A: 4, B: 4}, since_s=SINCE_S).find([A, B]) == found({A: 0, B: 10}, lag=10)


@pytest.mark.parametrize(("ends", "finds_none"), [((3, 3), False), ((3, 4), True)])
def test_since_reports_missing_messages_after_its_time(ends: tuple[int, int], finds_none: bool) -> None:
    brokers = Brokers({A: ends})
    assert finder(brokers, since_s=SINCE_S).find([A]) == found({A: ends[1]}, finds_none=finds_none)


def test_group_starts_at_its_commits_and_reports_partitions_without_a_commit() -> None:
    brokers = Brokers({A: (0, 10), B: (3, 10)}, commits={A: 0})
    given = [TopicPartition(*A), TopicPartition(*B)]
    assert finder(brokers).find_in_group(given, Event(), pytest.fail) == ({A: 0, B: 10}, [B])


def test_group_asks_for_its_commits_until_the_brokers_respond() -> None:
    told: list[str] = []
    brokers = Brokers({A: (0, 10)}, commits={A: 7}, failures=3)
    start = finder(brokers).find_in_group([TopicPartition(*A)], Event(), told.append)
    assert start == ({A: 7}, [])
    (reason,) = told  # only the first failure
    assert reason.startswith("the group's positions are not known: ")
    assert reason.endswith(". Asking again")


def test_group_start_stays_unknown_when_the_listener_ends_before_the_brokers_respond() -> None:
    brokers = Brokers({A: (0, 10)}, failures=2)
    brokers.stopping = Event()
    start = finder(brokers).find_in_group([TopicPartition(*A)], brokers.stopping, lambda _: None)
    assert start is None


def test_latest_saved_offset_of_each_partition_is_stored_once() -> None:
    saved, brokers = SavedOffsets(), Brokers({})
    consumer: Any = brokers
    for part, offset in ((A, 5), (B, 7), (A, 6)):
        saved.add(part, offset)
    saved.store(consumer)
    saved.store(consumer)
    assert brokers.stored == [(*A, 6), (*B, 7)]


def test_other_saved_offsets_are_stored_when_a_partition_belongs_to_another_consumer() -> None:
    saved, brokers = SavedOffsets(), Brokers({})
    consumer: Any = brokers
    brokers.refused = {A}
    saved.replace({A: 5, B: 7})
    saved.store(consumer)
    assert brokers.stored == [(*B, 7)]


class Member(Brokers):
    """A consumer in a group. Each partition has ten messages, and the group has committed five of `A`."""

    def __init__(self) -> None:
        super().__init__({A: (0, 10), B: (0, 10)}, commits={A: 5})
        self.assigned: list[tuple[TopicPart, int]] = []
        self.started: list[tuple[TopicPart, int]] = []
        self.give: Callable[..., None]
        self.take: Callable[..., None]

    def subscribe(self, topics: list[str], *, on_assign: Callable[..., None], on_revoke: Callable[..., None]) -> None:
        assert topics == [RUNS]
        self.give, self.take = on_assign, on_revoke

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        assert not asynchronous
        if (RUNS, offsets[0].partition) in self.refused:
            raise KafkaException(KafkaError(KafkaError.REBALANCE_IN_PROGRESS))
        self.started = [*self.assigned, *(((part.topic, part.partition), part.offset) for part in offsets)]

    def assign(self, parts: list[TopicPartition]) -> None:
        self.assigned = [((part.topic, part.partition), part.offset) for part in parts]

    def assignment(self) -> list[TopicPartition]:
        return []

    def pause(self, _: list[TopicPartition]) -> None:
        """Stop fetching."""


class Reports:
    """Calls events directly, in the test's thread. `save` does what a source saves before a handover."""

    def __init__(self) -> None:
        self.events = self
        self.given: list[GivenPartitions] = []
        self.revocations: list[list[TopicPart]] = []
        self.save: Callable[[], None] = lambda: None

    def tell(self, callback: Callable[..., object], *values: object) -> None:
        callback(*values)

    def assigned(self, assignment: GivenPartitions) -> None:
        self.given.append(assignment)

    def revoked(self, parts: Sequence[TopicPart], done: Event) -> None:
        self.revocations.append(list(parts))

        def finish() -> None:
            self.save()
            done.set()

        Timer(0.05, finish).start()  # messages in progress take a moment

    def failed(self, reason: str) -> None:
        raise AssertionError(reason)


class Joined:
    """A member that has joined its group."""

    def __init__(self) -> None:
        self.member, self.reports, self.stopping = Member(), Reports(), Event()
        link: Any = SimpleNamespace(consumer=self.member, cluster="cluster")
        plan = KafkaPlan(org_id="org_1", topics=(RUNS,), group="org_1.me")
        reports: Any = self.reports
        self.assignment = PartitionAssignment(link, plan, reports, self.stopping, lambda _: None)
        self.assignment.begin([A, B])

    def give(self, *parts: TopicPart) -> None:
        self.member.give(self.member, [TopicPartition(*part) for part in parts])

    def take(self, *parts: TopicPart) -> None:
        self.member.take(self.member, [TopicPartition(*part) for part in parts])

    def stored(self) -> list[tuple[str, int, int]]:
        consumer: Any = self.member
        self.assignment.saved.store(consumer)
        return self.member.stored


def test_member_starts_at_committed_offsets_and_commits_its_start_for_other_partitions() -> None:
    joined = Joined()
    joined.give(A, B)
    assert joined.member.assigned == [(A, 5), (B, 10)]
    assert joined.reports.given == [GivenPartitions(cluster="cluster", starts={A: 5, B: 10})]
    assert (joined.member.started, joined.stored()) == ([(B, 10)], [(*B, 10)])


def test_member_starts_and_commits_its_start_later_when_the_group_is_rebalancing() -> None:
    joined = Joined()
    joined.member.refused = {B}
    joined.give(A, B)
    joined.member.refused = set()
    assert (joined.member.assigned, joined.stored()) == ([(A, 5), (B, 10)], [(*B, 10)])


def test_member_without_partitions_is_reported() -> None:
    joined = Joined()
    joined.give()
    assert joined.reports.given == [GivenPartitions(cluster="cluster", starts={})]


def test_messages_read_by_another_member_do_not_count_as_missed() -> None:
    joined = Joined()
    joined.give(A, B)
    joined.assignment.positions.advance(A, 5)
    joined.give(B)
    joined.assignment.positions.advance(A, 9)
    assert (A in joined.assignment.positions, joined.assignment.positions.take_missed()) == (True, 0)


def test_new_assignment_is_not_paused() -> None:
    joined = Joined()
    joined.give(A)
    joined.assignment.pause()
    joined.give(A, B)
    assert not joined.assignment.is_paused


def test_offset_saved_during_a_handover_is_stored_before_the_next_member_gets_the_partition() -> None:
    joined = Joined()
    joined.give(A, B)
    joined.stored().clear()
    joined.reports.save = lambda: joined.assignment.saved.add(A, 7)
    joined.take(A)
    assert joined.reports.revocations == [[A]]
    assert joined.member.stored == [(*A, 7)]


def test_revoked_partition_is_not_handed_over_when_the_listener_is_ending() -> None:
    joined = Joined()
    joined.give(A)
    joined.stopping.set()
    joined.take(A)
    assert joined.reports.revocations == []


def test_partition_with_an_unknown_start_is_not_assigned_when_the_listener_is_ending() -> None:
    joined = Joined()
    joined.stopping.set()
    joined.give(A)
    assert (joined.member.assigned, joined.reports.given) == ([], [])
