"""One session of `listen`: start, public URL, observers, end, exit code."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, TypeVar

from port_hook_cli.errors import ExitCode, UsageError
from port_hook_cli.heap import tune_heap
from port_hook_cli.invocations.forwarding import is_on_this_machine
from port_hook_cli.invocations.source import OpenSource
from port_hook_cli.listener.handler_check import check_handlers
from port_hook_cli.listener.keys import KeyCommands
from port_hook_cli.listener.observers import Observer, Observers
from port_hook_cli.listener.public_url import Follow, TunnelOptions, WatchedTunnel, open_public_url, with_mount
from port_hook_cli.listener.records import ready_event, summary_event
from port_hook_cli.listener.serving import DRAIN_S, ListenPlan, Serving, listening
from port_hook_cli.listener.view import ready_lines, summary_lines
from port_hook_cli.listener.watcher import Watcher
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.retarget.entry import Outcome, PlannedChange
from port_hook_cli.retarget.session import retargeted
from port_hook_cli.retarget.view import outcome_lines, planned_lines
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.echo import typed_keys_hidden
from port_hook_cli.terminal.signals import stop_signal
from port_hook_cli.terminal.threads import UnwaitedThreads
from port_hook_cli.tunnels.protocol import Opening, decline
from port_hook_cli.tunnels.report import tunnel_summary

_QUESTION = "Change that in Port until this listener ends?"
_REPEAT_S = 10.0
T = TypeVar("T")
# Rendering for a terminal takes milliseconds in a thread. Python's default lets a thread run for 5 ms at a time.
_SWITCH_INTERVAL_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Retarget:
    """Actions and workflow nodes (`WORKFLOW#NODE`) to point at the listener while it runs.

    `ask` shows the changes and asks whether to make them; without it, they are shown and made.
    """

    names: Sequence[str]
    access: PortAccess
    ask: Callable[[str], Awaitable[bool]] | None = None


Companion: TypeAlias = Callable[[Serving, Callable[[], str | None]], AbstractAsyncContextManager[str]]
"""Opens something beside a listener, which gets the listener and its public URL; returns what to tell the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What `listen` was asked for: the listener, its tunnel, and what to do with the public URL.

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


@dataclass(frozen=True, slots=True)
class _Started:
    serving: Serving
    tunnel: WatchedTunnel | None


class _LoopProblems:
    """Reports problems of the event loop as one line each, without tracebacks; the same line once in 10 seconds."""

    def __init__(self, notice: Callable[[str], None], now: Callable[[], float]) -> None:
        self._notice, self._now = notice, now
        self._last: tuple[str, float] = ("", 0.0)

    def __call__(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        message = f"{context['message']} ({context.get('exception') or 'no details'})"
        last, reported_at = self._last
        if message == last and self._now() - reported_at < _REPEAT_S:
            return
        self._last = (message, self._now())
        self._notice(message)


async def run_session(
    session: Session, runtime: Runtime, observers: Sequence[Observer], broken: asyncio.Event
) -> ExitCode:
    """Listen until Ctrl-C, SIGTERM, `count`, `timeout_s`, or until stdout is closed by its reader (`broken`)."""
    tune_heap()
    # Objects from the start-up live until the end, and requests create no cycles: garbage collection can be rare.
    gc.freeze()
    gc.set_threshold(20_000)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        with stop_signal() as stop:
            return await _run(session, runtime, observers, stop, broken)
    finally:
        for observer in observers:
            observer.close()
        sys.setswitchinterval(interval)


async def _run(
    session: Session, runtime: Runtime, observers: Sequence[Observer], stop: asyncio.Event, broken: asyncio.Event
) -> ExitCode:
    over = asyncio.Event()
    watcher = _watcher(session, over)
    observer = Observers([*observers, watcher], limit=session.plan.count)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_LoopProblems(observer.notice, runtime.now))
    loop.set_default_executor(UnwaitedThreads())
    async with AsyncExitStack() as stack:
        keys = stack.enter_context(ExitStack())  # closed last
        started = await _unless_stopped(_start(session, runtime, observer, stack), stop)
        if started is None:
            observer.notice("Stopped before it was ready.")
            return ExitCode.OK
        lines = [
            await stack.enter_async_context(open_(started.serving, partial(_public_url, started)))
            for open_ in session.companions
        ]
        _show_ready(session, runtime, observer, started)
        for line in lines:
            observer.notice(line)
        started.serving.accept()
        if started.tunnel:
            started.tunnel.begin()
        checking = asyncio.create_task(check_handlers(session.plan.policy.routes, observer.notice))
        stack.callback(checking.cancel)
        # From here on, the user is asked nothing.
        is_hidden = keys.enter_context(typed_keys_hidden(runtime, at_once=session.keys is not None))
        if session.keys and is_hidden:
            shown_url = lambda: _public_url(started) or started.serving.url  # noqa: E731 - it can change
            turns = started.serving.flow.turns
            stack.enter_context(session.keys.reading(started.serving.context, turns, observer.notice, shown_url, stop))
        await _wait(session.plan, stop, over, broken)
        over.set()
        if in_flight := started.serving.flow.in_flight:
            observer.notice(f"Stopping; {in_flight} still in your handler, waiting up to {DRAIN_S:g} s.")
        if started.serving.flow.turns.is_paused and (held := started.serving.flow.turns.waiting):
            what = "1 held request gets" if held == 1 else f"{held} held requests get"
            observer.notice(f"Stopping; {what} no response. `port-hook replay --failed` sends what was held.")
    await _finish(observer, stop, broken)
    _sum_up(observer, started, session.settled)
    return _outcome(session, watcher, observer)


def _public_url(started: _Started) -> str | None:
    return started.tunnel.public_url if started.tunnel else None


def _watcher(session: Session, stop: asyncio.Event) -> Watcher:
    return Watcher(
        stop,
        count=session.plan.count,
        expect=session.plan.expect,
        exit_after_s=session.tunnel.exit_after_s,
        has_probes=bool(session.tunnel.probe_interval_s),
    )


async def _start(session: Session, runtime: Runtime, observer: Observer, stack: AsyncExitStack) -> _Started:
    options, mount = session.tunnel, session.plan.policy.routes.mount
    serving = await stack.enter_async_context(
        listening(session.plan, runtime, observer, public_url=options.public_url, sources=session.sources)
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
    await asyncio.gather(task, return_exceptions=True)  # its errors no longer matter
    return None


async def _wait(plan: ListenPlan, *events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    _, pending = await asyncio.wait(waits, timeout=plan.timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()


async def _finish(observer: Observer, stop: asyncio.Event, broken: asyncio.Event) -> None:
    """Let the observers finish what they have begun. Ctrl-C, SIGTERM or a closed stdout interrupts them."""
    interrupted = asyncio.Event()
    waits = [asyncio.create_task(_set_after(event, interrupted)) for event in (stop, broken)]
    await observer.finish(interrupted)
    for task in waits:
        task.cancel()


async def _set_after(event: asyncio.Event, other: asyncio.Event) -> None:
    await event.wait()
    other.set()


def _outcome(session: Session, watcher: Watcher, observer: Observer) -> ExitCode:
    """Return the exit code, and say which expectations were not met."""
    if watcher.lost_tunnel:
        within = f"{session.tunnel.exit_after_s:g} s (--exit-on-tunnel-loss)"
        observer.notice(f"error: The tunnel was lost and did not come back within {within}.")
        return ExitCode.TUNNEL_LOST
    complaints = list(_complaints(session.plan, watcher))
    for complaint in complaints:
        observer.notice(f"error: {complaint}")
    return ExitCode.FAILED if complaints else ExitCode.OK


def _complaints(plan: ListenPlan, watcher: Watcher) -> Iterator[str]:
    if plan.count is not None and plan.timeout_s is not None and watcher.shown < plan.count:
        yield f"{watcher.shown} of {plan.count} invocations arrived in {plan.timeout_s:g} s."
    if plan.expect and plan.timeout_s is not None and not watcher.shown:
        yield f"No invocation arrived, so none got a response with {plan.expect.text}."
    if plan.expect and watcher.unexpected:
        yield f"{watcher.unexpected} of {watcher.shown} responses were not {plan.expect.text}."


def _show_ready(session: Session, runtime: Runtime, observer: Observer, started: _Started) -> None:
    serving, tunnel = started.serving, started.tunnel
    public_url = tunnel.public_url if tunnel else None
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
        from port_hook_cli.terminal.clipboard import copy

        observer.notice(copy(public_url or serving.url, environ=runtime.environ, terminal=runtime.stderr))
    observer.event(ready_event(url=serving.url, public_url=public_url))


def _sum_up(observer: Observer, started: _Started, settled: Collection[str]) -> None:
    tally, tunnel = started.serving.flow.tally, started.tunnel
    for run_id in settled:
        tally.waiting.pop(run_id, None)
    for line in summary_lines(tally):
        observer.notice(line)
    if tunnel:
        observer.notice(tunnel_summary(tunnel.report, tunnel.lost_count))
    observer.event(summary_event(tally, tunnel=tunnel.report if tunnel else None))
