"""The verb `listen`: a listener with its public URL and its observers, from its start to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, TypeVar

from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.forwarding import is_on_this_machine
from port_hook_cli.invocations.source import OpenSource
from port_hook_cli.listener.ending import Ended, Watcher
from port_hook_cli.listener.handler_check import check_handlers
from port_hook_cli.listener.keys import KeyCommands
from port_hook_cli.listener.observers import Observer, Observers
from port_hook_cli.listener.public_url import Follow, TunnelOptions, WatchedTunnel, open_public_url, with_mount
from port_hook_cli.listener.serving import DRAIN_S, ListenPlan, Serving, served
from port_hook_cli.listener.view import ready_event, ready_lines, summary_event, summary_lines
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.retarget.entry import Outcome, PlannedChange
from port_hook_cli.retarget.session import retargeted
from port_hook_cli.retarget.view import outcome_lines, planned_lines
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.echo import typed_keys_hidden
from port_hook_cli.tunnels.protocol import Opening, decline
from port_hook_cli.tunnels.report import tunnel_summary

_QUESTION = "Change that in Port until this listener ends?"
T = TypeVar("T")
Companion: TypeAlias = Callable[[Serving, Callable[[], str | None]], AbstractAsyncContextManager[str]]
"""Opens something beside a listener, which gets the listener and its public URL; returns what to tell the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retarget:
    """Actions and workflow nodes (`WORKFLOW#NODE`) to point at the listener while it runs.

    `ask` shows the changes and asks whether to make them; without it, they are shown and made.
    """

    names: Sequence[str]
    access: PortAccess
    ask: Callable[[str], Awaitable[bool]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a listener is to do: receive and forward, open its tunnel, and use its public URL.

    `sources` are opened besides the HTTP server.
    `settled` contains the runs that are known to have ended when the session does.
    `companions` run beside the listener, from before its first invocation until after its last.
    `keys` does what the user asks for with keys on the terminal.
    `secret_place` says where the client secret comes from. `ask` asks the user a yes-or-no question; it is None without
    a terminal.
    """

    plan: ListenPlan
    tunnel: TunnelOptions = field(default_factory=TunnelOptions)
    sources: Sequence[OpenSource] = ()
    ask: Callable[[str], Awaitable[bool]] | None = None
    copy: bool = False
    secret_place: str = ""
    retarget: Retarget | None = None
    companions: Sequence[Companion] = ()
    settled: Collection[str] = ()
    keys: KeyCommands | None = None


class StoppedEarly(Exception):
    """The session was stopped before its listener was ready."""


@dataclass(frozen=True, slots=True)
class _Started:
    serving: Serving
    tunnel: WatchedTunnel | None

    @property
    def public_url(self) -> str | None:
        return self.tunnel.public_url if self.tunnel else None


@dataclass(frozen=True, slots=True)
class _Beginning:
    """A session that begins. `stack` closes what has been opened."""

    session: Session
    runtime: Runtime
    observer: Observer
    watcher: Watcher
    stack: AsyncExitStack
    stop: asyncio.Event


class Listening:
    """A listener that is running."""

    def __init__(self, beginning: _Beginning, started: _Started) -> None:
        self._beginning, self._started = beginning, started
        self._ended: Ended | None = None

    @property
    def url(self) -> str:
        """The listener's URL on this machine."""
        return self._started.serving.url

    @property
    def public_url(self) -> str | None:
        """The URL to set in Port, or None without a tunnel. It can change."""
        return self._started.public_url

    async def wait(self) -> Ended:
        """Wait until the session is stopped or over, end it, and return how it ended."""
        waits = [asyncio.create_task(event.wait()) for event in (self._beginning.stop, self._beginning.watcher.over)]
        timeout_s = self._beginning.session.plan.timeout_s
        _, pending = await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return await self.end()

    async def end(self) -> Ended:
        """End the session, and return how it ended; a second call returns the same.

        Requests in progress get their response, everything is closed in order, and the observers finish what they have
        begun: within seconds if the session was stopped.
        """
        if self._ended is None:
            beginning, serving = self._beginning, self._started.serving
            observer, watcher = beginning.observer, beginning.watcher
            watcher.over.set()
            for line in _stopping_lines(serving):
                observer.notice(line)
            await beginning.stack.aclose()
            await observer.finish(beginning.stop)
            _sum_up(observer, self._started, beginning.session.settled)
            reason, complaints = watcher.outcome()
            for complaint in complaints:
                observer.notice(f"error: {complaint}")
            self._ended = Ended(reason, serving.flow.tally)
        return self._ended


@asynccontextmanager
async def listening(
    session: Session, runtime: Runtime, observers: Sequence[Observer], stop: asyncio.Event
) -> AsyncIterator[Listening]:
    """Listen until the context ends, or until `Listening.wait` returns, which it does when `stop` is set.

    `observers` are told what happens, and are closed last. Raises PortHookError if the listener, its tunnel, a source
    or a companion cannot start, and StoppedEarly if `stop` is set before the listener is ready.
    """
    watcher = Watcher(session.plan, session.tunnel)
    observer = Observers([*observers, watcher], limit=session.plan.count)
    try:
        async with AsyncExitStack() as stack:
            hiding = stack.enter_context(ExitStack())  # closed last
            beginning = _Beginning(session, runtime, observer, watcher, stack, stop)
            started = await _unless_stopped(_start(beginning), stop)
            if started is None:
                observer.notice("Stopped before it was ready.")
                raise StoppedEarly
            await _begin(beginning, started)
            # From here on, the user is asked nothing.
            is_hidden = hiding.enter_context(typed_keys_hidden(runtime, at_once=session.keys is not None))
            if session.keys and is_hidden:
                serving, turns = started.serving, started.serving.flow.turns
                url = partial(_shown_url, started)
                stack.enter_context(session.keys.reading(serving.context, turns, observer.notice, url, stop))
            listener = Listening(beginning, started)
            yield listener
            await listener.end()
    finally:
        for each in observers:
            each.close()


async def _begin(beginning: _Beginning, started: _Started) -> None:
    """Open the companions, show that the listener is ready, and accept invocations."""
    session, observer, stack = beginning.session, beginning.observer, beginning.stack
    lines = [
        await stack.enter_async_context(open_(started.serving, lambda: started.public_url))
        for open_ in session.companions
    ]
    _show_ready(session, beginning.runtime, observer, started)
    for line in lines:
        observer.notice(line)
    started.serving.accept()
    if started.tunnel:
        started.tunnel.begin()
    checking = asyncio.create_task(check_handlers(session.plan.policy.routes, observer.notice))
    stack.callback(checking.cancel)


def _shown_url(started: _Started) -> str:
    return started.public_url or started.serving.url


async def _start(beginning: _Beginning) -> _Started:
    """Open the listener, its tunnel, and point actions and nodes at it."""
    session, runtime, observer, stack = beginning.session, beginning.runtime, beginning.observer, beginning.stack
    options, mount = session.tunnel, session.plan.policy.routes.mount
    serving = await stack.enter_async_context(
        served(session.plan, runtime, observer, public_url=options.public_url, sources=session.sources)
    )
    opening = _opening(session, runtime, observer, serving)
    opened = await open_public_url(options, opening, serving)
    follow = None
    if session.retarget:
        api_url = session.retarget.access.settings.api_url
        url = with_mount(opened.tunnel.url, mount) if opened else _local_url_for_sandbox(api_url, serving.url)
        follow = await _retarget(session.retarget, runtime, observer, stack, url)
    if opened is None:
        return _Started(serving, None)
    tunnel = WatchedTunnel(opened, opening, serving, options, mount=mount, report=observer.tunnel, follow=follow)
    stack.push_async_callback(tunnel.leave)
    return _Started(serving, tunnel)


def _opening(session: Session, runtime: Runtime, observer: Observer, serving: Serving) -> Opening:
    options = session.tunnel
    return Opening(
        local_url=serving.origin,
        source=serving.context,
        environ=runtime.environ,
        home=runtime.home,
        notice=observer.notice,
        ask=session.ask or decline,
        public_url=options.public_url,
        domain=options.domain,
        accept_host_key=options.accept_host_key,
        keepalive_s=options.keepalive_s,
    )


async def _retarget(wanted: Retarget, runtime: Runtime, observer: Observer, stack: AsyncExitStack, url: str) -> Follow:
    """Point actions and nodes at `url` until `stack` is closed; return the function that changes the URL later."""

    async def confirm(changes: Sequence[PlannedChange]) -> bool:
        lines = planned_lines(changes)
        if wanted.ask is not None:
            # Printed together with the question, because another thread prints notices later.
            return await wanted.ask("\n".join((*lines, _QUESTION)))
        for line in lines:
            observer.notice(line)
        return True

    def on_event(event: Outcome | str) -> None:
        for line in [event] if isinstance(event, str) else outcome_lines(event):
            observer.notice(line)

    retargeting = await stack.enter_async_context(
        retargeted(wanted.names, wanted.access, runtime, url, confirm=confirm, on_event=on_event)
    )
    return retargeting.apply


def _local_url_for_sandbox(api_url: str, local_url: str) -> str:
    """Return the listener's local URL if Port's API is on this machine (the sandbox); else raise UsageError."""
    if is_on_this_machine(api_url):
        return local_url
    raise UsageError("--retarget needs a public URL, and there is none.", hint="Choose a tunnel with --tunnel.")


async def _unless_stopped(starting: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
    """Await `starting`, or return None if the user pressed Ctrl-C first: opening a tunnel may take seconds."""
    task, stopped = asyncio.create_task(starting), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)  # its errors do not matter any more
    return None


def _show_ready(session: Session, runtime: Runtime, observer: Observer, started: _Started) -> None:
    serving, tunnel, public_url = started.serving, started.tunnel, started.public_url
    for line in ready_lines(
        session.plan.policy,
        url=serving.url,
        public_url=public_url,
        retargeted=session.retarget is not None,
        secret_place=session.secret_place,
    ):
        observer.notice(line)
    if tunnel and tunnel.is_relay:
        observer.notice("This relay responds to Port itself: Port does not get the responses of your handler.")
        observer.notice("")
    if session.copy:
        from port_hook_cli.terminal.clipboard import copy_text

        observer.notice(copy_text(public_url or serving.url, environ=runtime.environ, terminal=runtime.stderr))
    observer.event(ready_event(url=serving.url, public_url=public_url))


def _stopping_lines(serving: Serving) -> Iterator[str]:
    if in_flight := serving.flow.in_flight:
        yield f"Stopping; {in_flight} still in your handler, waiting up to {DRAIN_S:g} s."
    turns = serving.flow.turns
    if turns.is_paused and (held := turns.waiting):
        what = "1 held request gets" if held == 1 else f"{held} held requests get"
        yield f"Stopping; {what} no response. `port-hook replay --failed` sends what was held."


def _sum_up(observer: Observer, started: _Started, settled: Collection[str]) -> None:
    tally, tunnel = started.serving.flow.tally, started.tunnel
    for run_id in settled:
        tally.waiting.pop(run_id, None)
    for line in summary_lines(tally):
        observer.notice(line)
    if tunnel:
        observer.notice(tunnel_summary(tunnel.report, tunnel.lost_count))
    observer.event(summary_event(tally, tunnel=tunnel.report if tunnel else None))
