"""What a reader of topics reports: from its thread, in the event loop."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event
from typing import Protocol

from port_hook_cli.kafka.client import Message
from port_hook_cli.kafka.starts import GivenPartitions, TopicPart


class ReaderEvents(Protocol):
    """What a reader reports, in the event loop."""

    def assigned(self, assignment: GivenPartitions) -> None:
        """Handle partitions that were assigned, before their first message."""

    def revoked(self, parts: Sequence[TopicPart], done: Event) -> None:
        """Handle partitions that another consumer gets. Set `done` when their messages are processed."""

    def arrived(self, messages: Sequence[Message]) -> None:
        """Handle messages, in order."""

    def lost(self, reason: str) -> None:
        """Handle the loss of all brokers."""

    def refused(self, reason: str) -> None:
        """Handle credentials that the brokers no longer accept."""

    def recovered(self) -> None:
        """Handle the end of a loss or refusal."""

    def lagging(self, count: int) -> None:
        """Handle a change of the lag: `count` messages wait; 0 means few."""

    def missed(self, count: int) -> None:
        """Handle messages that the brokers deleted before they were read."""

    def failed(self, reason: str) -> None:
        """Handle any other problem."""


class ReaderReports:
    """Passes the events of a reader's thread to the event loop."""

    def __init__(self, events: ReaderEvents, loop: AbstractEventLoop) -> None:
        self.events, self._loop = events, loop

    def tell(self, callback: Callable[..., object], *values: object) -> None:
        """Call `callback` soon in the event loop. Do nothing if the loop has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *values)

    def failed(self, reason: str) -> None:
        """Report a problem."""
        self.tell(self.events.failed, reason)
