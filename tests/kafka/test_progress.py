from __future__ import annotations

from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.kafka.messages import MessageCapacity, PartitionProgress, ReadPositions


@given(st.sets(st.integers(0, 200), min_size=1), st.randoms(use_true_random=False))
def test_position_never_passes_an_unsaved_message(offsets: set[int], random: object) -> None:
    progress, unsaved = PartitionProgress(), set(offsets)
    for offset in sorted(offsets):
        progress.start(offset)
    order = sorted(offsets)
    random.shuffle(order)  # type: ignore[attr-defined]
    for offset in order:
        unsaved.discard(offset)
        progress.finish(offset)
        expected = [saved + 1 for saved in sorted(offsets) if not any(other <= saved for other in unsaved)]
        assert progress.next_offset == (expected[-1] if expected else None)
    assert len(progress) == 0


def test_position_is_returned_only_when_it_changes() -> None:
    progress = PartitionProgress()
    for offset in (5, 6, 9):
        progress.start(offset)

    assert [progress.finish(6), progress.finish(5), progress.finish(9)] == [None, 7, 10]


def test_position_stays_before_a_message_of_another_consumer() -> None:
    progress = PartitionProgress()
    for offset in (1, 2, 3):
        progress.start(offset)
    progress.drop(3)

    assert [progress.finish(1), progress.finish(2)] == [2, 3]
    assert len(progress) == 0


WITHOUT_VALUE = 1_024
"""Bytes that each message counts in addition to its value."""


def test_capacity_is_bounded_by_messages_and_by_bytes() -> None:
    capacity = MessageCapacity(messages=3, size=10_000)
    capacity.take(1)
    assert capacity.room == 2
    capacity.take(9_000)
    assert (capacity.room, capacity.is_free_again) == (0, False)
    capacity.release(9_000)
    assert (capacity.room, capacity.is_free_again) == (2, True)


def test_room_is_zero_when_messages_or_bytes_reach_the_limit() -> None:
    capacity = MessageCapacity(messages=2, size=3 * WITHOUT_VALUE)
    capacity.take(2 * WITHOUT_VALUE - 1)
    assert capacity.room == 1
    capacity.release(2 * WITHOUT_VALUE - 1)
    capacity.take(2 * WITHOUT_VALUE)
    assert capacity.room == 0
    capacity.release(2 * WITHOUT_VALUE)
    for _ in range(3):  # a batch that arrived meanwhile may be too large
        capacity.take(0)
    assert capacity.room == 0


def test_capacity_is_free_again_when_half_of_its_messages_and_bytes_are_free() -> None:
    by_messages = MessageCapacity(messages=4)
    by_size = MessageCapacity(size=4 * WITHOUT_VALUE)
    for capacity in (by_messages, by_size):
        for _ in range(3):
            capacity.take(0)
        assert not capacity.is_free_again
        capacity.release(0)
        assert capacity.is_free_again


def test_waiting_ends_as_soon_as_half_of_the_capacity_is_free() -> None:
    capacity = MessageCapacity(messages=4)
    for _ in range(4):
        capacity.take(0)
    waiting = Thread(target=capacity.wait, args=(60.0,), daemon=True)
    waiting.start()
    capacity.release(0)
    waiting.join(0.05)
    assert waiting.is_alive()
    capacity.release(0)
    waiting.join(30)
    assert not waiting.is_alive()
    capacity.wait(60.0)  # returns immediately


def test_waiting_ends_after_its_timeout() -> None:
    capacity = MessageCapacity(messages=1)
    capacity.take(0)
    capacity.wait(0.01)
    assert not capacity.is_free_again


A, B = ("runs", 0), ("runs", 1)


def test_missing_messages_are_counted_once() -> None:
    positions = ReadPositions()
    positions.add({A: 10})
    for offset in (10, 13, 14):
        positions.advance(A, offset)
    assert (positions.take_missed(), positions.take_missed()) == (2, 0)


def test_messages_before_the_first_or_a_repeated_message_do_not_count_as_missing() -> None:
    positions = ReadPositions()
    positions.advance(B, 500)
    positions.advance(B, 400)
    assert (positions.take_missed(), B in positions) == (0, True)


def test_replaced_partitions_are_forgotten() -> None:
    positions = ReadPositions()
    positions.add({A: 1})
    positions.replace({B: 2})
    assert (A in positions, B in positions) == (False, True)


def test_lag_is_reported_above_1000_messages_and_its_end_below_100() -> None:
    positions = ReadPositions()
    positions.add({A: 0})
    ends = (0, 1_000, 1_001, 5_000, 1_000, 100, 99, 0, 1_000, 1_001)
    told = [positions.changed_lag(lambda _, end=end: end) for end in ends]  # type: ignore[misc]
    assert told == [None, None, 1_001, None, None, None, 0, None, None, 1_001]


def test_lag_is_the_sum_of_partitions_with_a_known_end() -> None:
    positions = ReadPositions()
    positions.add({A: 100, B: 100, ("runs", 2): 0})
    ends = {A: 1_100, B: 101, ("runs", 2): None}
    assert positions.changed_lag(ends.get) == 1_001
    # An end that is not known yet is a negative number of librdkafka.
    assert positions.changed_lag({A: -1_001, B: 150, ("runs", 2): 10}.get) == 0


def test_partitions_read_to_their_end_do_not_lag() -> None:
    positions = ReadPositions()
    parts = {("runs", number): 0 for number in range(200)}
    positions.add(parts)
    assert positions.changed_lag({**dict.fromkeys(parts, 0), A: 1_001}.get) == 1_001
    assert positions.changed_lag(dict.fromkeys(parts, 0).get) == 0
