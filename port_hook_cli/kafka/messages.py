"""The messages of a reader: as invocations, how far they are processed, and how many of them may be in progress."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from threading import Condition

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import LATEST_TIMESTAMP_MS, MessageOrigin
from port_hook_cli.kafka.client import TIMESTAMP_NOT_AVAILABLE, Message
from port_hook_cli.kafka.connection import TopicPart
from port_hook_cli.signatures.signing import headers_in

_MAX_FIELDS = 1_000
_MAX_HEAD_BYTES = 256 * 1024
_is_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}").fullmatch
_has_control = re.compile("[\x00-\x08\x0a-\x1f\x7f]").search


def part_of(message: Message) -> TopicPart:
    """Return the topic and partition of a message."""
    return message.topic() or "", message.partition() or 0


def size_of(message: Message) -> int:
    """Return the size of a message's value in bytes."""
    return len(message.value() or b"")


def origin_of(message: Message) -> MessageOrigin:
    """Return the position of a message in Kafka."""
    kind, moment = message.timestamp()
    is_known = kind != TIMESTAMP_NOT_AVAILABLE and 0 <= moment <= LATEST_TIMESTAMP_MS  # a producer can set any
    return MessageOrigin(*part_of(message), message.offset() or 0, moment if is_known else None)


def message_headers(value: bytes) -> Headers:
    """Return the headers of a message, and the headers that an HTTP request with the same value has.

    Never raises. A header is left out if HTTP cannot send it, because of its name or a line break.
    """
    fields: list[tuple[str, str]] = []
    size = 0
    for name, field in (headers_in(value) or {}).items():
        text = field if isinstance(field, str) else json.dumps(field, ensure_ascii=False)
        if not _is_token(name) or name.lower() == "content-length" or _has_control(text):
            continue
        if not text.isascii():
            text = text.encode("utf-8", "surrogatepass").decode("latin-1")
        size += len(name) + len(text)
        if len(fields) == _MAX_FIELDS or size > _MAX_HEAD_BYTES:
            break
        fields.append((name, text))
    if "content-type" not in [name.lower() for name, _ in fields]:
        fields.append(("content-type", "application/json"))
    return Headers((*fields, ("content-length", str(len(value)))))


class PartitionProgress:
    """The messages of one partition that are in progress, in the order of their offsets.

    Messages can finish in any order. `next_offset` never passes an unfinished message. It is None until a message has
    finished.
    """

    def __init__(self) -> None:
        self.next_offset: int | None = None
        self._started: deque[int] = deque()
        self._finished: set[int] = set()

    def __len__(self) -> int:
        return len(self._started)

    def start(self, offset: int) -> None:
        """Record a message. Its offset is larger than the offsets of all earlier messages."""
        self._started.append(offset)

    def finish(self, offset: int) -> int | None:
        """Record that a message is saved. Return `next_offset` if it has changed, and otherwise None."""
        self._finished.add(offset)
        last: int | None = None
        while self._started and self._started[0] in self._finished:
            last = self._started.popleft()
            self._finished.remove(last)
        if last is None:
            return None
        self.next_offset = last + 1
        return self.next_offset

    def drop(self, offset: int) -> None:
        """Forget the last message, which another consumer gets and processes."""
        assert self._started[-1] == offset
        self._started.pop()


MAX_MESSAGES = 1_000
MAX_BYTES = 32 * 1024 * 1024
_BYTES_PER_MESSAGE = 1_024


class MessageCapacity:
    """Counts messages and their bytes. The reader's thread adds messages, and the event loop releases them."""

    def __init__(self, *, messages: int = MAX_MESSAGES, size: int = MAX_BYTES) -> None:
        self._most_messages, self._most_bytes = messages, size
        self._messages = self._bytes = 0
        self._is_awaited = False
        self._lock = Condition()

    def take(self, size: int) -> None:
        """Count a message whose value has `size` bytes."""
        with self._lock:
            self._messages += 1
            self._bytes += size + _BYTES_PER_MESSAGE

    def release(self, size: int, count: int = 1) -> None:
        """Stop counting `count` messages, whose values have `size` bytes in total."""
        with self._lock:
            self._messages -= count
            self._bytes -= size + count * _BYTES_PER_MESSAGE
            if self._is_awaited and self.is_free_again:
                self._is_awaited = False
                self._lock.notify_all()

    def wait(self, timeout_s: float) -> None:
        """Wait until half of the capacity is free, or for `timeout_s` seconds."""
        with self._lock:
            if not self.is_free_again:
                self._is_awaited = True
                self._lock.wait(timeout_s)

    @property
    def room(self) -> int:
        """How many messages may be added. The result is 0 if the counted messages have too many bytes."""
        return 0 if self._bytes >= self._most_bytes else max(0, self._most_messages - self._messages)

    @property
    def is_free_again(self) -> bool:
        """Whether less than half of the capacity is in use, so that reading should resume."""
        return self._messages <= self._most_messages // 2 and self._bytes <= self._most_bytes // 2


# A lag is reported when it exceeds the first number. Its end is reported when the lag falls below the second number.
_LAG, _CAUGHT_UP = 1_000, 100


class ReadPositions:
    """Tracks the next offset of each partition, the number of missing messages, and whether many messages wait."""

    def __init__(self) -> None:
        self._next: dict[TopicPart, int] = {}
        self._missed = 0
        self._is_lagging = False

    def __contains__(self, part: TopicPart) -> bool:
        return part in self._next

    def add(self, starts: Mapping[TopicPart, int]) -> None:
        """Add partitions with their first offsets."""
        self._next.update(starts)

    def replace(self, starts: Mapping[TopicPart, int]) -> None:
        """Replace all partitions with these partitions and their first offsets."""
        self._next = dict(starts)

    def advance(self, part: TopicPart, offset: int) -> None:
        """Record that a message was read. If messages are missing before it, the brokers have deleted them."""
        self._missed += max(0, offset - self._next.get(part, offset))
        self._next[part] = offset + 1

    def take_missed(self) -> int:
        """Return the number of messages that have gone missing since the last call of this method."""
        missed, self._missed = self._missed, 0
        return missed

    def changed_lag(self, end_of: Callable[[TopicPart], int | None]) -> int | None:
        """Return how many messages wait if they have become many, 0 if they have become few again, otherwise None.

        `end_of` returns the offset after the last message of a partition, or None if this offset is unknown.
        """
        ends = ((end_of(part), position) for part, position in self._next.items())
        lag = sum(max(0, end - position) for end, position in ends if end is not None)
        if (lag > _LAG) is self._is_lagging or _CAUGHT_UP <= lag <= _LAG:
            return None
        self._is_lagging = lag > _LAG
        return lag if self._is_lagging else 0
