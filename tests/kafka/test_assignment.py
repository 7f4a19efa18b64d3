"""The partitions of a group member, without brokers: the test calls the callbacks that librdkafka would call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event, Timer
from types import SimpleNamespace
from typing import Any

from confluent_kafka import TopicPartition

from port_hook_cli.kafka.assignment import GivenPartitions, PartitionAssignment
from port_hook_cli.kafka.plan import KafkaPlan, TopicPart
from tests.kafka.test_starts import RUNS, A, B, Brokers


class Member(Brokers):
    """A consumer in a group. Each partition has ten messages, and the group has committed five of `A`."""

    def __init__(self) -> None:
        super().__init__({A: (0, 10), B: (0, 10)}, commits={A: 5})
        self.assigned: list[tuple[TopicPart, int]] = []
        self.give: Callable[..., None]
        self.take: Callable[..., None]

    def subscribe(self, topics: list[str], *, on_assign: Callable[..., None], on_revoke: Callable[..., None]) -> None:
        assert topics == [RUNS]
        self.give, self.take = on_assign, on_revoke

    def assign(self, parts: list[TopicPartition]) -> None:
        self.assigned = [((part.topic, part.partition), part.offset) for part in parts]

    def assignment(self) -> list[TopicPartition]:
        return []

    def pause(self, _: list[TopicPartition]) -> None:
        """Stop fetching."""


class Reports:
    """Calls events directly, in the test's thread. `save` stands for what a source saves before a handover."""

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
    assert joined.stored() == [(*B, 10)]


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
