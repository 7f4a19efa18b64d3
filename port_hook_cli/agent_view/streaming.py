"""Handles messages as they arrive, one after the other: predicts, shows, and sends if the plan says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from port_hook_cli.agent_view.mappings import StreamMappings, WatchedMappings
from port_hook_cli.agent_view.plan import StreamPlan
from port_hook_cli.agent_view.sending import send_prediction, target_of
from port_hook_cli.agent_view.session import AgentInput, AgentSession, ShownPrediction, predict_input
from port_hook_cli.agent_view.showing import print_raw, show_prediction, show_title, show_unpredicted
from port_hook_cli.errors import ExitCode, PortHookError, UsageError
from port_hook_cli.terminal.console import tell
from port_hook_cli.terminal.signals import stop_signal
from port_hook_cli.terminal.threads import UnwaitedThreads

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi

DRAIN_S = 2.0
"""How long the message that is being handled may take after Ctrl-C."""

_WATCH_INTERVAL_S = 0.3
BeforeSending: TypeAlias = Callable[[ShownPrediction], Awaitable[bool]]
"""Called before a request is sent. If the result is False, the request is not sent."""


async def run_stream(work: Callable[[], Coroutine[Any, Any, ExitCode]]) -> ExitCode:
    """Do `work` until it ends, or until Ctrl-C or SIGTERM, which cancels it."""
    asyncio.get_running_loop().set_default_executor(UnwaitedThreads())
    with stop_signal() as stop:
        working, stopping = asyncio.create_task(work()), asyncio.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not working.done():
            working.cancel()
        try:
            return await working
        except asyncio.CancelledError:
            return ExitCode.OK


async def _always(_: ShownPrediction) -> bool:
    return True


class MessageStream:
    """Handles one message at a time. `ended` is done after the last message, or has the error that ended the stream.

    `port` is a client of Port's API if runs are reported. `code` is that of the first request that was not successful.
    """

    def __init__(self, session: AgentSession, plan: StreamPlan, mappings: StreamMappings, port: PortApi | None) -> None:
        self._session, self._plan, self._port = session, plan, port
        self._mappings, self._watched = mappings.current, mappings.watched
        self._last: tuple[AgentInput, str] | None = None
        self._lock = asyncio.Lock()
        self._taken = 0
        self._is_titled = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.code = ExitCode.OK

    async def wait(self) -> ExitCode:
        """Wait for the end or a cancellation, and return the code; raises the error that ended it."""
        following = asyncio.create_task(self._follow_mappings()) if self._watched else None
        try:
            await asyncio.shield(self.ended)
        except asyncio.CancelledError:
            return self.code
        finally:
            if following is not None:
                following.cancel()
        return self.code

    @property
    def is_busy(self) -> bool:
        """Whether a message is being handled."""
        return self._lock.locked()

    def end(self) -> None:
        """Handle no more messages."""
        if not self.ended.done():
            self.ended.set_result(None)

    def fail(self, error: Exception) -> None:
        """Handle no more messages, and let `wait` raise an error."""
        if not self.ended.done():
            self.ended.set_exception(error)

    async def take(self, source: AgentInput, title: str, before_sending: BeforeSending = _always) -> bool:
        """Handle a message; return whether its request was sent, and reported if the plan says so.

        `title` is for the user. An error that is not about this message ends the stream.
        """
        async with self._lock:
            if self.ended.done():
                return False
            self._last = (source, title)
            try:
                is_sent = await self._handle(source, title, before_sending)
            except Exception as error:  # noqa: BLE001 - such as a closed stdout: the session raises it
                self.fail(error)
                return False
            self._taken += 1
            if self._taken == self._plan.count:
                self.end()
            return is_sent

    async def _follow_mappings(self) -> None:
        """Show the last message again whenever the mapping file changes; this does not end."""
        assert self._watched is not None
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            if self._watched.has_changed():
                async with self._lock:
                    await self._show_again(self._watched)

    async def _show_again(self, watched: WatchedMappings) -> None:
        mappings = watched.read()
        if mappings is None:
            return
        self._mappings = mappings
        if self._last is not None:
            source, title = self._last
            try:
                await self._handle(source, f"{title} ({watched.name} has changed)", _always)
            except Exception as error:  # noqa: BLE001 - as in `take`
                self.fail(error)

    async def _handle(self, source: AgentInput, title: str, before_sending: BeforeSending) -> bool:
        session = self._session
        if source.problem:
            self._show_unread(source, title, source.problem)
            return False
        kept = frozenset(session.runtime.memory.secrets)
        try:
            shown = await asyncio.to_thread(predict_input, session, source, self._mappings)
        except PortHookError as problem:
            self._show_unread(source, title, problem.message)
            return False
        is_sent = await self._show(shown, title, before_sending)
        session.runtime.stdout.flush()
        # Keeping the secrets of all messages would take more and more memory. After an error, the crash report needs
        # them to mask its text. It always needs a secret of the user that a message repeats.
        session.runtime.memory.secrets.difference_update(shown.secrets - kept)
        return is_sent

    async def _show(self, shown: ShownPrediction, title: str, before_sending: BeforeSending) -> bool:
        """Show a prediction, and send its request if the plan says so; return what `take` does."""
        session = self._session
        if session.plan.raw:
            print_raw(shown, session.runtime)
            return False
        self._show_title(title)
        if session.plan.send and shown.prediction.wire is not None:
            return await self._send(shown, before_sending)
        show_prediction(session, shown)
        return False

    def _show_unread(self, source: AgentInput, title: str, reason: str) -> None:
        if self._session.plan.raw:
            raise PortHookError(f"The agent sends nothing: {reason}")
        self._show_title(title)
        show_unpredicted(self._session, source, reason)

    def _show_title(self, title: str) -> None:
        show_title(self._session, title, is_first=not self._is_titled)
        self._is_titled = True

    async def _send(self, shown: ShownPrediction, before_sending: BeforeSending) -> bool:
        try:
            url = target_of(self._session, shown)
        except UsageError as problem:
            self._show_unsent(shown, problem)
            return False
        if not await before_sending(shown):
            show_prediction(self._session, shown)
            return False
        try:
            code = await send_prediction(self._session, shown, url, self._port)
        except PortHookError as problem:
            self._tell(problem)
            self.code = self.code or problem.exit_code
            return False
        self.code = self.code or code
        return True

    def _show_unsent(self, shown: ShownPrediction, problem: PortHookError) -> None:
        show_prediction(self._session, shown)
        self._session.runtime.stdout.flush()
        self._tell(problem)
        self.code = self.code or problem.exit_code

    def _tell(self, problem: PortHookError) -> None:
        tell(f"error: {problem.message}", self._session.runtime)
        if problem.hint:
            tell(f"hint: {problem.hint}", self._session.runtime)
