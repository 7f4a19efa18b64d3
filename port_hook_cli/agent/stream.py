"""Handles messages as they arrive, one after another: predicts each message, and sends its request on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeAlias

from port_hook_cli.agent.mappings import StreamMappings, WatchedMappings
from port_hook_cli.agent.performing import AgentSender, Performed, PerformingEvent
from port_hook_cli.agent.predictor import AgentInput, Predictor
from port_hook_cli.errors import PortHookError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.prediction.prediction import ShownPrediction

DRAIN_S = 2.0
"""The number of seconds that the current message may take after Ctrl-C."""

_WATCH_INTERVAL_S = 0.3


@frozen
class Watching:
    """The source is ready, and messages can arrive."""


@frozen
class Arrived:
    """A message arrived, or is handled again because the mapping file has changed. Users see `title`."""

    title: str


@frozen
class Unread:
    """A message could not be predicted, for this reason."""

    source: AgentInput
    reason: str


@frozen
class Predicted:
    """A message was predicted, and no request is sent."""

    shown: ShownPrediction


@frozen
class Unsent:
    """A message was predicted, and its request must not be sent."""

    shown: ShownPrediction
    problem: UsageError


AgentEvent: TypeAlias = PerformingEvent | Watching | Arrived | Unread | Predicted | Unsent


AgentFailure: TypeAlias = Performed | PortHookError
"""A request without a 2xx response, or the error that prevented it."""


class MessageSource(Protocol):
    """A source of messages."""

    async def feed(self, messages: MessageStream) -> None:
        """Pass messages on until `messages` end, or until this call is cancelled.

        Raises the error that ended the stream.
        """
        ...


class MessageStream:
    """Handles one message at a time, until it has handled `count` messages.

    Without a `sender`, it doesn't send requests. `ended` is done after the last message, or has the error that ended
    the stream.
    """

    def __init__(
        self,
        predictor: Predictor,
        mappings: StreamMappings,
        sender: AgentSender | None,
        count: int | None,
        on_event: Callable[[AgentEvent], None],
    ) -> None:
        self._predictor, self._sender, self._count = predictor, sender, count
        self._mappings, self._watched = mappings.current, mappings.watched
        self._last: tuple[AgentInput, str] | None = None
        self._lock = asyncio.Lock()
        self._taken = 0
        self.on_event = on_event
        self._failure: AgentFailure | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def take_all(self, source: MessageSource) -> AgentFailure | None:
        """Handle the messages of a source until the stream ends or is cancelled. Return the first failure of a request.

        Raises PortHookError.
        """
        await source.feed(self)
        return self._failure

    async def wait(self) -> None:
        """Wait until the stream ends or is cancelled. Raises the error that ended the stream."""
        following = asyncio.create_task(self._follow(self._watched)) if self._watched else None
        try:
            await asyncio.shield(self.ended)
        except asyncio.CancelledError:
            return
        finally:
            if following is not None:
                following.cancel()

    @property
    def is_busy(self) -> bool:
        """Whether a message is being handled."""
        return self._lock.locked()

    def end(self) -> None:
        """End the stream."""
        if not self.ended.done():
            self.ended.set_result(None)

    def fail(self, error: Exception) -> None:
        """End the stream, and make `wait` raise an error."""
        if not self.ended.done():
            self.ended.set_exception(error)

    async def take(self, source: AgentInput, title: str) -> None:
        """Handle a message. Users see `title`. An error that is not about this message ends the stream."""
        async with self._lock:
            if self.ended.done():
                return
            self._last = (source, title)
            try:
                await self._handle(source, title)
            except Exception as error:  # noqa: BLE001 - such as a closed stdout: `wait` raises it
                self.fail(error)
                return
            self._taken += 1
            if self._taken == self._count:
                self.end()

    async def _follow(self, watched: WatchedMappings) -> None:
        """Handle the last message again whenever the mapping file changes. This method runs until it is cancelled."""
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            if watched.has_changed():
                async with self._lock:
                    await self._handle_again(watched)

    async def _handle_again(self, watched: WatchedMappings) -> None:
        mappings = watched.read()
        if mappings is None:
            return
        self._mappings = mappings
        if self._last is not None:
            source, title = self._last
            try:
                await self._handle(source, f"{title} ({watched.name} has changed)")
            except Exception as error:  # noqa: BLE001 - as in `take`
                self.fail(error)

    async def _handle(self, source: AgentInput, title: str) -> None:
        self.on_event(Arrived(title))
        if source.problem:
            self.on_event(Unread(source, source.problem))
            return
        try:
            shown = await asyncio.to_thread(self._predictor.predict, source, self._mappings)
        except PortHookError as problem:
            self.on_event(Unread(source, problem.message))
            return
        await self._act(shown)
        self._predictor.forget(shown)

    async def _act(self, shown: ShownPrediction) -> None:
        """Send the request of a prediction, if there is a sender and a request."""
        if self._sender is None or shown.prediction.wire is None:
            self.on_event(Predicted(shown))
            return
        try:
            performed = await self._sender.perform(shown, self.on_event)
        except UsageError as problem:
            self.on_event(Unsent(shown, problem))
            self._failure = self._failure or problem
            return
        if not performed.delivery.ok:
            self._failure = self._failure or performed
