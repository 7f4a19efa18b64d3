"""The protocol between the pipeline and the sources of invocations: the HTTP server, a relay, a message queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from port_hook_cli.invocations.models import Invocation, MessageOrigin, Partition, Response

Receive: TypeAlias = Callable[[Invocation, str], Awaitable[Response | None]]
"""The pipeline. It takes an invocation and the address of its sender, "unknown" if there is none.

It returns the response after the invocation is saved; None if the source is to close the connection without one. It
raises StoreError if the invocation could not be saved: then the source must not acknowledge it. When it is cancelled,
it records the invocation as interrupted.
"""


def _ignore(_: str) -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLog:
    """What the store has of messages of Kafka.

    `positions` are the offsets of the next messages of partitions that earlier listeners watched, `saved` the places of
    the latest messages that were saved. `keep` records the offset of the next message of a partition: call it after all
    messages before it were saved.
    """

    positions: Mapping[Partition, int] = field(default_factory=dict)
    saved: Sequence[MessageOrigin] = ()
    keep: Callable[[Partition, int], None] = lambda _partition, _next_offset: None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceContext:
    """What a source gets from the listener.

    `receive` is the pipeline; a source may call it many times at once. `notice` reports a sentence to the user, such as
    a lost connection; a source reports each change once. `now` returns the seconds since the epoch and `new_id` an id,
    for the invocations. `mount` is the path that the listener serves: the target of an invocation that has no path of
    its own. A source drops bodies of more than `max_body` bytes, and reports them. If `is_counted` is set, the session
    ends after a number of invocations, so a source that takes messages from others takes one at a time. `messages` is
    for a source of messages. `leave` takes an invocation, by its
    id, out of the queue if it still waits for its turn; a source whose senders wait for the response calls it when one
    disconnects.
    """

    receive: Receive
    notice: Callable[[str], None]
    now: Callable[[], float]
    new_id: Callable[[], str]
    mount: str = "/"
    max_body: int = 10 * 1024 * 1024
    is_counted: bool = False
    messages: MessageLog = field(default_factory=MessageLog)
    leave: Callable[[str], None] = _ignore


class Source(Protocol):
    """Something that invocations come from. It feeds `SourceContext.receive` until it is closed."""

    async def close(self, drain_s: float) -> None:
        """Take no more invocations, give those in progress `drain_s` seconds, and cancel the rest."""
        ...


OpenSource: TypeAlias = Callable[[SourceContext], Awaitable[Source]]
"""Opens a source: returns when it takes invocations, raises PortHookError if it cannot. Later problems are notices."""
