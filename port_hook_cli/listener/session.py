"""One session of `listen`: a listener, its way from Port, its screen, its end, and what it came to."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from port_hook_cli.errors import ExitCode, UsageError
from port_hook_cli.heap import tune_heap
from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.invocations.models import Exchange
from port_hook_cli.listener.public_url import Reaching, Way, reachable
from port_hook_cli.listener.records import ready_event, summary_event
from port_hook_cli.listener.serving import DRAIN_S, Plan, Serving, listening
from port_hook_cli.listener.view import ready_lines, summary_lines
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.retarget.session import retargeted
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.signals import stop_signal
from port_hook_cli.terminal.threads import UnwaitedThreads
from port_hook_cli.tunnels.protocol import Opening, decline
from port_hook_cli.tunnels.records import tunnel_event
from port_hook_cli.tunnels.registry import is_relay
from port_hook_cli.tunnels.report import TunnelReport, TunnelState
from port_hook_cli.tunnels.view import tunnel_lines, tunnel_summary

_SILENCE_S = 10.0
T = TypeVar("T")
# Drawing for a terminal takes milliseconds, in a thread; by default it may keep the interpreter for 5 of them.
_SWITCH_INTERVAL_S = 0.001


class Screen(Protocol):
    """Where a session shows itself."""

    def exchanged(self, exchange: Exchange) -> None:
        """Show an exchange."""

    def notice(self, text: str) -> None:
        """Tell something that is not an invocation."""

    def event(self, record: dict[str, Any]) -> None:
        """Print a record, if records are what this screen prints."""

    def close(self) -> None:
        """Write what is pending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retarget:
    """Actions to point at the listener for as long as it runs; `yes` skips the question.

    One call to Port's API may take `api_timeout_s` seconds.
    """

    actions: Sequence[str]
    settings: Settings
    yes: bool = False
    api_timeout_s: float = API_TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What `listen` was asked for: the listener, the way from Port to it, and what is done with the URL.

    `secret_place` says where the client secret comes from.
    `ask` puts a yes-or-no question to whoever sits there.
    """

    plan: Plan
    reaching: Reaching = field(default_factory=Reaching)
    ask: Callable[[str], Awaitable[bool]] = decline
    copy: bool = False
    secret_place: str = ""
    retarget: Retarget | None = None


class _Watcher:
    """Stands between the flow and the screen; knows when enough was seen, and whether it was what was expected."""

    def __init__(self, session: Session, screen: Screen, stop: asyncio.Event) -> None:
        self._plan, self._screen, self._stop = session.plan, screen, stop
        self._exit_after_s = session.reaching.exit_after_s
        self._has_probes = bool(session.reaching.probe_interval_s)
        self._cut_off: asyncio.TimerHandle | None = None
        self.shown = 0
        self.unexpected = 0
        self.enough = False
        self.is_cut_off = False

    def exchanged(self, exchange: Exchange) -> None:
        if self.enough:  # it was under way when the last one wanted came in
            return
        self.shown += 1
        if self._plan.expect and not (exchange.answer and self._plan.expect.met_by(exchange.answer.status)):
            self.unexpected += 1
        self._screen.exchanged(exchange)
        if self.shown == self._plan.count:
            self.enough = True
            self._stop.set()

    def notice(self, text: str) -> None:
        self._screen.notice(text)

    def tunnel(self, report: TunnelReport) -> None:
        """Tell of a change of the tunnel, and begin or stop to count how long nobody gets through."""
        for line in tunnel_lines(report):
            self._screen.notice(line)
        self._screen.event(tunnel_event(report))
        # That a tunnel was opened says nothing where a probe is to follow: it may be lost again, over and over.
        is_through = report.state.is_good and not (self._has_probes and report.state is TunnelState.OPEN)
        if is_through and self._cut_off:
            self._cut_off.cancel()
            self._cut_off = None
        elif not report.state.is_good and self._exit_after_s is not None and self._cut_off is None:
            self._cut_off = asyncio.get_running_loop().call_later(self._exit_after_s, self._give_up)

    def _give_up(self) -> None:
        if not self._stop.is_set():  # what ends already ends as it was told to
            self.is_cut_off = True
            self._stop.set()


class _Complaints:
    """What the event loop complains of, as one line now and then: no tracebacks, and no flood of them."""

    def __init__(self, notice: Callable[[str], None], now: Callable[[], float]) -> None:
        self._notice, self._now = notice, now
        self._last: tuple[str, float] = ("", 0.0)

    def __call__(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        words = f"{context['message']} ({context.get('exception') or 'no more is known'})"
        last, told_at = self._last
        if words == last and self._now() - told_at < _SILENCE_S:
            return
        self._last = (words, self._now())
        self._notice(words)


async def run_session(session: Session, runtime: Runtime, screen: Screen, broken: asyncio.Event) -> ExitCode:
    """Listen until Ctrl-C, SIGTERM, `count`, `timeout_s`, or the reader of stdout is gone (`broken`)."""
    # What the start-up left behind stays, and requests leave no cycles: the collector need not walk it all so often.
    tune_heap()
    gc.freeze()
    gc.set_threshold(20_000)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        with stop_signal() as stop:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(_Complaints(screen.notice, runtime.now))
            loop.set_default_executor(UnwaitedThreads())
            watcher = _Watcher(session, screen, stop)
            async with AsyncExitStack() as stack:
                started = await _unless_stopped(_start(session, runtime, watcher, stack), stop)
                if started is None:
                    screen.notice("Stopped before it was ready.")
                    return ExitCode.OK
                serving, way = started
                _show_ready(session, runtime, screen, serving, way)
                await _wait(session.plan, stop, broken)
                if serving.flow.in_flight:
                    in_flight = serving.flow.in_flight
                    screen.notice(f"Stopping; {in_flight} still in your handler, waiting up to {DRAIN_S:g} s.")
            _sum_up(screen, serving, way)
            return _outcome(session, watcher, screen)
    finally:
        screen.close()
        sys.setswitchinterval(interval)


async def _start(
    session: Session, runtime: Runtime, watcher: _Watcher, stack: AsyncExitStack
) -> tuple[Serving, Way | None]:
    serving = await stack.enter_async_context(listening(session.plan, runtime, watcher))
    mount = session.plan.policy.routes.mount
    # A relay does not keep the path that Port called.
    below = mount.rstrip("/") if is_relay(session.reaching.choice) else ""
    opening = Opening(
        local_url=f"{serving.origin}{below}",
        environ=runtime.environ,
        home=runtime.home,
        notice=watcher.notice,
        ask=session.ask,
        public_url=session.reaching.public_url,
        domain=session.reaching.domain,
        accept_host_key=session.reaching.accept_host_key,
        keepalive_s=session.reaching.keepalive_s,
    )
    way = await stack.enter_async_context(reachable(session.reaching, opening, serving, mount, watcher.tunnel))
    if way:
        # Only now it is known for `auto`, and for a service that gives URLs away.
        serving.flow.policy = replace(serving.flow.policy, scheme=urlsplit(way.public_url).scheme)
    if session.retarget:
        wanted = session.retarget
        url = way.public_url if way else _url_of_the_sandbox_s_neighbour(wanted.settings, serving.url)
        pointing = await stack.enter_async_context(
            retargeted(
                wanted.actions,
                wanted.settings,
                runtime,
                url,
                yes=wanted.yes,
                notice=watcher.notice,
                api_timeout_s=wanted.api_timeout_s,
            )
        )
        if way:
            way.follow = pointing.apply
    return serving, way


def _url_of_the_sandbox_s_neighbour(settings: Settings, local_url: str) -> str:
    """Return the listener's own URL for a stand-in of Port on this machine; raises UsageError for the real one."""
    if urlsplit(settings.api_url).hostname in {"127.0.0.1", "localhost", "::1"}:
        return local_url
    raise UsageError("--retarget needs a public URL, and there is none.", hint="Choose a tunnel with --tunnel.")


async def _unless_stopped(starting: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
    """Return what `starting` gives, or None when Ctrl-C came first: opening a tunnel takes its time."""
    task, stopped = asyncio.create_task(starting), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)  # what it ran into while it was stopped interests nobody
    return None


async def _wait(plan: Plan, stop: asyncio.Event, broken: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in (stop, broken)]
    _, pending = await asyncio.wait(waits, timeout=plan.timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()


def _outcome(session: Session, watcher: _Watcher, screen: Screen) -> ExitCode:
    """Return the exit code, and say what was expected and did not come."""
    plan, complaints = session.plan, []
    if watcher.is_cut_off:
        within = f"{session.reaching.exit_after_s:g} s (--exit-on-tunnel-loss)"
        screen.notice(f"error: the tunnel was lost and did not come back within {within}")
        return ExitCode.TUNNEL_LOST
    if plan.count is not None and plan.timeout_s is not None and not watcher.enough:
        complaints.append(f"error: {watcher.shown} of {plan.count} invocations came in {plan.timeout_s:g} s")
    if plan.expect and plan.timeout_s is not None and not watcher.shown:
        complaints.append(f"error: nothing came that could have been answered with {plan.expect.text}")
    if plan.expect and watcher.unexpected:
        complaints.append(f"error: {watcher.unexpected} of {watcher.shown} answers were not {plan.expect.text}")
    for complaint in complaints:
        screen.notice(complaint)
    return ExitCode.FAILED if complaints else ExitCode.OK


def _show_ready(session: Session, runtime: Runtime, screen: Screen, serving: Serving, way: Way | None) -> None:
    public_url = way.public_url if way else None
    retargeted = session.retarget is not None
    for line in ready_lines(
        session.plan.policy,
        url=serving.url,
        public_url=public_url,
        retargeted=retargeted,
        secret_place=session.secret_place,
    ):
        screen.notice(line)
    if way and way.is_relay:
        screen.notice("This relay responds to Port itself: Port does not get the responses of your handler.")
        screen.notice("")
    if session.copy:
        from port_hook_cli.terminal.clipboard import copy

        screen.notice(copy(public_url or serving.url, environ=runtime.environ, terminal=runtime.stderr))
    screen.event(ready_event(url=serving.url, public_url=public_url))
    if way:
        way.begin()


def _sum_up(screen: Screen, serving: Serving, way: Way | None) -> None:
    for line in summary_lines(serving.flow.tally):
        screen.notice(line)
    if way:
        screen.notice(tunnel_summary(way.report, way.lost_count))
    screen.event(summary_event(serving.flow.tally, tunnel=way.report if way else None))
