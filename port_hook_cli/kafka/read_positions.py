"""How far the partitions were read."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from port_hook_cli.kafka.starts import TopicPart

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
