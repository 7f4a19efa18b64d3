"""The protocols for sources of invocations (the HTTP server, a relay, a message queue) and for their recipients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from typing import Protocol, TypeAlias

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Delivery, Invocation, MessageOrigin, Partition, Response

Receive: TypeAlias = Callable[[Invocation, str], Awaitable[Response | None]]
"""The pipeline. It takes an invocation and the address of the sender, or "unknown".

It returns the response after the invocation is saved, or None if the source must close the connection without a
response. If it cannot save the invocation, it raises StoreError, and the source must not acknowledge the invocation.
When the pipeline is canceled, it records the invocation as interrupted.
"""


class Group(Protocol):
    """A group of invocations to save in one commit. Nobody waits for their responses."""

    def add(self, invocation: Invocation) -> bool:
        """Verify an invocation and add it to the group. Return False if only `SourceContext.receive` can process it."""

    async def save(self) -> None:
        """Save either all added invocations or none of them.

        Raises StoreError if none is saved. The source may then pass each invocation to `SourceContext.receive`.
        """


def _ignore(_: str) -> None:
    return


def _no_group() -> None:
    return


@frozen(kw_only=True)
class MessageLog:
    """The store's knowledge about Kafka messages.

    `positions` are the next offsets in partitions that earlier listeners watched. `saved` are the origins of the latest
    saved messages. `keep` records the next offset of a partition. Call it after all messages before that offset are
    saved.
    """

    positions: Mapping[Partition, int] = field(default_factory=dict)
    saved: Sequence[MessageOrigin] = ()
    keep: Callable[[Partition, int], None] = lambda _partition, _next_offset: None


@frozen(kw_only=True)
class SourceContext:
    """The values and functions that the listener passes to a source.

    `receive` is the pipeline, which a source may call many times concurrently. `notice` reports a sentence to the user,
    such as a lost connection. A source reports each change once. `now` returns the seconds since the epoch and `new_id`
    returns an ID, both for the invocations. `mount` is the path that the listener serves, and the target of an
    invocation without a path. A source skips bodies of more than `max_body` bytes, and reports them. If `is_counted` is
    set, the session ends after a number of invocations, so a source that consumes messages processes one message at a
    time. `messages` is what the store knows about Kafka messages, for a source of messages. `new_group` returns a group
    for invocations whose senders don't wait, or None if `receive` has to process each invocation. `leave` removes a
    waiting invocation from the queue, by its ID. A source whose senders wait for the response calls `leave` when a
    sender disconnects.
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
    """A source of invocations. It passes them to `SourceContext.receive` until it is closed."""

    async def close(self, drain_s: float) -> None:
        """Stop accepting invocations, wait up to `drain_s` seconds for current ones, and cancel the rest."""
        ...


OpenSource: TypeAlias = Callable[[SourceContext], Awaitable[Source]]
"""Opens a source, and returns when it accepts invocations. Raises PortHookError. Later problems become notices."""


class Recipient(Protocol):
    """A recipient of requests: an HTTP target, a Lambda function, or the pipeline of a listener."""

    async def send(self, invocation: Invocation, url: str, /) -> Delivery:
        """Send one request and return its outcome. A failure is also returned as a Delivery."""
        ...
