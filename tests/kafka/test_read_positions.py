from __future__ import annotations

from port_hook_cli.kafka.progress import ReadPositions

A, B = ("runs", 0), ("runs", 1)


def test_missing_messages_are_counted_once() -> None:
    positions = ReadPositions()
    positions.add({A: 10})
    for offset in (10, 13, 14):
        positions.advance(A, offset)
    assert (positions.take_missed(), positions.take_missed()) == (2, 0)


def test_no_message_is_missing_before_the_first_one_of_an_unknown_partition_or_before_one_that_is_read_again() -> None:
    positions = ReadPositions()
    positions.advance(B, 500)
    positions.advance(B, 400)
    assert (positions.take_missed(), B in positions) == (0, True)


def test_partitions_that_are_replaced_are_forgotten() -> None:
    positions = ReadPositions()
    positions.add({A: 1})
    positions.replace({B: 2})
    assert (A in positions, B in positions) == (False, True)


def test_a_lag_is_reported_above_1000_messages_and_its_end_below_100() -> None:
    positions = ReadPositions()
    positions.add({A: 0})
    ends = (0, 1_000, 1_001, 5_000, 1_000, 100, 99, 0, 1_000, 1_001)
    told = [positions.changed_lag(lambda _, end=end: end) for end in ends]  # type: ignore[misc]
    assert told == [None, None, 1_001, None, None, None, 0, None, None, 1_001]


def test_the_lag_is_that_of_all_partitions_whose_end_is_known() -> None:
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
