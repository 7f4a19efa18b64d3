"""How many messages and bytes a reader may hand over before they are processed."""

from __future__ import annotations

from threading import Thread

from port_hook_cli.kafka.progress import MessageCapacity

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
