"""The protocols of sources of invocations (the HTTP server, a relay, a message queue), and of their recipients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from typing import Protocol, TypeAlias

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Delivery, Invocation, MessageOrigin, Partition, Response

Receive: TypeAlias = Callable[[Invocation, str], Awaitable[Response | None]]
"""The pipeline. It takes an invocation and the address of its sender, or "unknown".

It returns the response after the invocation is saved, or None if the source must close the connection without a
response. It raises StoreError if it cannot save the invocation. Then the source must not acknowledge it. When it is
canceled, it records the invocation as interrupted.
"""


class Group(Protocol):
    """A group of invocations, saved in one commit. Nobody waits for their responses."""

    def add(self, invocation: Invocation) -> bool:
        """Verify an invocation and add it. Return False if only `SourceContext.receive` can process it."""

    async def save(self) -> None:
        """Save the added invocations, all or none.

        Raises StoreError if none is saved. The source may then pass each of them to `SourceContext.receive`.
        """


def _ignore(_: str) -> None:
    return


def _no_group() -> None:
    return


@frozen(kw_only=True)
class MessageLog:
    """What the store knows about Kafka messages.

    `positions` are the next offsets of partitions that earlier listeners watched. `saved` are the origins of the latest
    saved messages. `keep` records the next offset of a partition. Call it after saving all messages before it.
    """

    positions: Mapping[Partition, int] = field(default_factory=dict)
    saved: Sequence[MessageOrigin] = ()
    keep: Callable[[Partition, int], None] = lambda _partition, _next_offset: None


@frozen(kw_only=True)
class SourceContext:
    """What the listener passes to a source.

    `receive` is the pipeline. A source may call it many times concurrently. `notice` reports a sentence to the user,
    such as a lost connection. A source reports each change once. `now` returns the seconds since the epoch and `new_id`
    an ID, for the invocations. `mount` is the path that the listener serves, which is the target of an invocation
    without a path. A source skips bodies of more than `max_body` bytes, and reports them. If `is_counted` is set, the
    session ends after a number of invocations, so a source that consumes messages processes one at a time. `messages`
    is for a source of messages. `new_group` returns a group for invocations whose senders don't wait, or None if
    `receive` has to process each invocation. `leave` removes an invocation (by its ID) from the queue while it waits. A
    source whose senders wait for the response calls it when a sender disconnects.
    """

    receive: Receive
    notice: Callable[[str], None]
    now: Callable[[], float]
    new_id: Callable[[], str]
    mount: str = "/"
    max_body: int = 10 * 1024 * 1024
    is_counted: bool = False
    messages: MessageLog = field(default_factory=MessageLog)
    new_group: Callable[[], Group | None] = _no_group
    leave: Callable[[str], None] = _ignore


class Source(Protocol):
    """An origin of invocations. It feeds `SourceContext.receive` until it is closed."""

    async def close(self, drain_s: float) -> None:
        """Accept no more invocations, wait `drain_s` seconds for the invocations in progress, and cancel the rest."""
        ...


OpenSource: TypeAlias = Callable[[SourceContext], Awaitable[Source]]
"""Opens a source: returns when it accepts invocations, or raises PortHookError. Later problems are notices."""


class Recipient(Protocol):
    """Where requests go: an HTTP target, a Lambda function, or the pipeline of a listener."""

    async def send(self, invocation: Invocation, url: str, /) -> Delivery:
        """Send one request and return the outcome, as a Delivery even after a failure."""
        ...
