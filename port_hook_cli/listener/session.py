"""The work of the `listen` command: a listener with its public URL and its observers, from start to end."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import field
from typing import Any, NamedTuple, TypeAlias

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.source import OpenSource
from port_hook_cli.invocations.targets import address_of
from port_hook_cli.listener.ending import Ended, Watcher
from port_hook_cli.listener.handler_check import check_handlers
from port_hook_cli.listener.keys import KeyCommands
from port_hook_cli.listener.observers import Observer, Observers
from port_hook_cli.listener.pipeline import Pipeline
from port_hook_cli.listener.public_url import (
    Follow,
    TunnelOptions,
    WatchedTunnel,
    open_public_url,
    with_mount,
)
from port_hook_cli.listener.serving import DRAIN_S, ListenPlan, Serving, served
from port_hook_cli.listener.view import IN_THE_PAGE, ready_event, ready_lines, summary_event, summary_lines
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.echo import typed_keys_hidden
from port_hook_cli.tunnels.protocol import Opening, decline
from port_hook_cli.tunnels.report import TunnelReport, tunnel_summary

Ask: TypeAlias = Callable[[str], Awaitable[bool]]
Companion: TypeAlias = Callable[[Serving, Callable[[], str | None]], AbstractAsyncContextManager[tuple[str, str]]]
"""Opens a companion of a listener, from the listener and its public URL.

Returns a label and the companion's own URL.
"""


class Pointed(NamedTuple):
    """The actions and nodes in Port that call the listener. `follow` sets a new URL there.

    `targets` maps each path and query in Port to its name, or to None if several share it.
    """

    follow: Follow
    targets: Mapping[str, str | None]


Pointing: TypeAlias = Callable[[str | None, str, Callable[[str], None]], AbstractAsyncContextManager[Pointed]]
"""Retargets actions and nodes in Port until the context ends.

The arguments are the listener's public URL, or None without a tunnel, its URL on this machine, and a function that
shows a line to the user.
"""


@frozen(kw_only=True)
class Session:
    """The tasks of a listener: receive and forward invocations, open its tunnel, and use its public URL.

    `sources` are opened in addition to the HTTP server. `companions` run beside the listener, from before its first
    invocation until after its last invocation. `settled` contains the IDs of the runs that have ended before the
    session ends, and `still_open` the IDs of runs that Port or a sandbox says haven't ended.
    """

    plan: ListenPlan
    tunnel: TunnelOptions = field(default_factory=TunnelOptions)
    sources: Sequence[OpenSource] = ()
    pointing: Pointing | None = None
    companions: Sequence[Companion] = ()
    settled: Collection[str] = ()
    still_open: Collection[str] = ()


@frozen(kw_only=True)
class Interaction:
    """The actions of a session for the user at its terminal. By default, a session has no user.

    `ask` asks a yes-or-no question. `secret_place` says where the client secret comes from. `keys` runs the commands of
    the keys that the user types.
    """

    ask: Ask = decline
    secret_place: str = ""
    keys: KeyCommands | None = None


_NO_USER = Interaction()


class StoppedEarly(Exception):
    """The session was stopped before its listener was ready."""


@asynccontextmanager
async def listening(
    session: Session,
    runtime: Runtime,
    observers: Sequence[Observer],
    stop: asyncio.Event,
    interaction: Interaction = _NO_USER,
) -> AsyncIterator[Listening]:
    """Listen until the context ends, or until `Listening.wait` ends the session, for example because `stop` is set.

    `observers` learn what happens, and are closed last. Raises PortHookError if the listener, its tunnel, a source or a
    companion cannot start, and StoppedEarly if `stop` is set before the listener is ready.
    """
    try:
        async with AsyncExitStack() as stack:
            hiding = stack.enter_context(ExitStack())  # closed last
            listener = Listening(session, runtime, observers, stop, interaction, stack)
            await _unless_stopped(listener.open(), listener)
            await _unless_stopped(listener.begin(), listener)  # a companion may take seconds to start
            listener.read_keys(hiding)  # from here on, no prompt reads the terminal
            yield listener
            await listener.end()
    finally:
        for each in observers:
            each.close()


class Listening:
    """A running listener. `stack` closes the resources that it opens."""

    def __init__(
        self,
        session: Session,
        runtime: Runtime,
        observers: Sequence[Observer],
        stop: asyncio.Event,
        interaction: Interaction,
        stack: AsyncExitStack,
    ) -> None:
        self._session, self._runtime, self._interaction, self._stack = session, runtime, interaction, stack
        self._watcher = Watcher(session.plan, session.tunnel)
        self.observer = Observers([*observers, self._watcher], limit=session.plan.count)
        self.stop = stop
        self._serving: Serving
        self._tunnel: WatchedTunnel | None = None
        self._ended: Ended | None = None

    @property
    def url(self) -> str:
        """The listener's URL on this machine."""
        return self._serving.url

    @property
    def public_url(self) -> str | None:
        """The URL to set in Port, or None without a tunnel. The URL can change."""
        return self._tunnel.public_url if self._tunnel else None

    async def open(self) -> None:
        """Open the listener and its tunnel, and retarget the actions and nodes."""
        session, observer, options = self._session, self.observer, self._session.tunnel
        mount = session.plan.policy.routes.mount
        serving = self._serving = await self._stack.enter_async_context(
            served(session.plan, self._runtime, observer, public_url=options.public_url, sources=session.sources)
        )
        opening = Opening(
            local_url=serving.origin,
            source=serving.context,
            environ=self._runtime.environ,
            home=self._runtime.home,
            notice=observer.notice,
            ask=self._interaction.ask,
            accept_host_key=options.accept_host_key,
            keepalive_s=options.keepalive_s,
        )
        opened = await open_public_url(options, opening, serving)
        follow = None
        if session.pointing:
            public_url = with_mount(opened.tunnel.url, mount) if opened else None
            pointing = session.pointing(public_url, serving.url, observer.notice)
            follow, serving.flow.retargeted = await self._stack.enter_async_context(pointing)
        if opened is not None:
            self._tunnel = WatchedTunnel(
                opened, opening, serving, options, mount=mount, report=self._tunnel_changed, follow=follow
            )
            self._stack.push_async_callback(self._tunnel.leave)

    async def begin(self) -> None:
        """Open the companions, show that the listener is ready, and accept invocations."""
        session, serving, observer = self._session, self._serving, self.observer
        # Companions are closed after the drain, so that they show the last requests in progress.
        beside = [
            await serving.after_drain.enter_async_context(open_(serving, lambda: self.public_url))
            for open_ in session.companions
        ]
        self._show_ready(beside)
        serving.accept()
        if self._tunnel:
            self._tunnel.begin()
        checking = asyncio.create_task(check_handlers(session.plan.policy.routes, observer.notice))
        self._stack.callback(checking.cancel)

    def _show_ready(self, beside: Sequence[tuple[str, str]]) -> None:
        observer, user = self.observer, self._interaction
        self._notice_all(
            ready_lines(
                self._session.plan.policy,
                url=self.url,
                public_url=self.public_url,
                retargeted=self._session.pointing is not None,
                secret_place=user.secret_place,
                beside=beside,
            )
        )
        if self._tunnel and self._tunnel.is_relay:
            observer.notice("This relay responds to Port itself. Port does not get your handler's responses.")
            observer.notice("")
        self._record_address(self.public_url or self.url)
        observer.event(ready_event(url=self.url, public_url=self.public_url))

    def _tunnel_changed(self, report: TunnelReport) -> None:
        self._record_address(report.url)
        self.observer.tunnel(report)

    def _record_address(self, url: str) -> None:
        """Record where Port reaches this listener, for `replay --missed`."""
        self._serving.record_address(address_of(url), self._runtime.now())

    def read_keys(self, hiding: ExitStack) -> None:
        """Hide what the user types until `hiding` is closed. Run the commands of typed keys until the session ends."""
        keys, serving = self._interaction.keys, self._serving
        is_hidden = hiding.enter_context(typed_keys_hidden(self._runtime, at_once=keys is not None))
        if keys and is_hidden:
            holding, notice = serving.flow.holding, self.observer.notice
            reading = keys.reading(serving.context, holding, notice, lambda: self.public_url or self.url, self.stop)
            self._stack.enter_context(reading)
        else:
            serving.flow.holding.release = IN_THE_PAGE

    async def wait(self) -> Ended:
        """Wait until the session is stopped or over, end the session, and return how it ended."""
        waits = [asyncio.create_task(event.wait()) for event in (self.stop, self._watcher.over)]
        try:
            timeout_s = self._session.plan.timeout_s
            done, _ = await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            self._watcher.has_timed_out = not done
        finally:
            await _cancel(*waits)
        return await self.end()

    async def end(self) -> Ended:
        """End the session, and return how it ended. A second call returns the same result.

        Requests in progress get their responses, everything is closed in order, and the observers finish their pending
        work. If the session was stopped, all of this takes only seconds.
        """
        if self._ended is None:
            tally = self._serving.flow.tally
            self._watcher.over.set()
            self._notice_all(_stopping_lines(self._serving.flow))
            await self._stack.aclose()
            await self.observer.finish(self.stop)
            for run_id in self._session.settled:
                tally.waiting.pop(run_id, None)
            self._notice_all(summary_lines(tally, self._session.still_open))
            report = self._tunnel.report if self._tunnel else None
            if self._tunnel and report:
                self.observer.notice(tunnel_summary(report, self._tunnel.lost_count))
            self.observer.event(summary_event(tally, tunnel=report))
            reason, complaints = self._watcher.outcome()
            self._notice_all(f"error: {complaint}" for complaint in complaints)
            self._ended = Ended(reason, tally)
        return self._ended

    def _notice_all(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.observer.notice(line)


async def _unless_stopped(opening: Coroutine[Any, Any, None], listener: Listening) -> None:
    """Await `opening`, which may take seconds. Raise StoppedEarly if the user presses Ctrl-C first."""
    task, stopped = asyncio.create_task(opening), asyncio.create_task(listener.stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
    finally:
        await _cancel(task, stopped)
    listener.observer.notice("Stopped before it was ready.")
    raise StoppedEarly


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they have ended. The errors of the tasks are ignored."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _stopping_lines(flow: Pipeline) -> Iterator[str]:
    if in_flight := flow.in_flight:
        requests = "1 request" if in_flight == 1 else f"{in_flight} requests"
        yield f"Stopping. Waiting up to {DRAIN_S:g} s for {requests} in your handler."
    if held := flow.holding.unanswered:
        what = "1 held request gets" if held == 1 else f"{held} held requests get"
        yield f"Stopping. {what} no response. `port-hook replay --failed` sends held requests."
