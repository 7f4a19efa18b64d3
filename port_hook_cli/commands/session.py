"""One session of `listen`: builds the adapters, waits for its end, and sums up."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from port_hook_cli.adapters.forwarder import Forwarder
from port_hook_cli.adapters.receiver import Receiver
from port_hook_cli.adapters.signals import stop_signal
from port_hook_cli.adapters.store import CaptureStore, StoreWriter, open_store
from port_hook_cli.adapters.tunnels import Opening, Tunnel, open_tunnel
from port_hook_cli.core.expectations import Expectation
from port_hook_cli.core.listening import Policy
from port_hook_cli.core.models import SIGNATURE_HEADER, Exchange, Headers
from port_hook_cli.core.records import ready_event, summary_event
from port_hook_cli.core.tunnel_choice import NO_TUNNEL, TunnelChoice, TunnelKind
from port_hook_cli.core.verification import signature_key
from port_hook_cli.errors import ExitCode, UsageError
from port_hook_cli.flows.listening import Listening, Onlooker
from port_hook_cli.runtime import Runtime
from port_hook_cli.views.session import ready_lines, summary_lines

DRAIN_S = 2.0
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
class Plan:
    """What a session was asked for. Durations in seconds, sizes in bytes; None and 0 mean no bound."""

    policy: Policy
    host: str = "127.0.0.1"
    port: int = 8787
    store: Path | None = None
    max_captures: int = 10_000
    keep_secrets: bool = False
    max_body: int = 10 * 1024 * 1024
    forward_timeout_s: float = 30.0
    tunnel: TunnelChoice = NO_TUNNEL
    public_url: str | None = None
    copy: bool = False
    count: int | None = None
    timeout_s: float | None = None
    expect: Expectation | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """Where a session can be reached: on this machine, and from outside when there is a tunnel."""

    url: str
    public_url: str | None


class _Watcher:
    """Stands between the flow and the screen; knows when enough was seen, and whether it was what was expected."""

    def __init__(self, plan: Plan, screen: Screen, stop: asyncio.Event) -> None:
        self._plan, self._screen, self._stop = plan, screen, stop
        self.shown = 0
        self.unexpected = 0
        self.enough = False

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


@asynccontextmanager
async def listening(plan: Plan, runtime: Runtime, onlooker: Onlooker) -> AsyncIterator[tuple[Address, Listening]]:
    """Listen for as long as the context lasts; on its way out, what is in flight gets two seconds."""
    async with AsyncExitStack() as stack:
        store = open_store(
            plan.store, runtime.cwd, create=True, max_captures=plan.max_captures, keep_secrets=plan.keep_secrets
        )
        seen = _recent_signatures(store, runtime.now() - plan.policy.tolerance_s)
        writer = StoreWriter(store, asyncio.get_running_loop())
        stack.push_async_callback(writer.close)
        forwarder = await stack.enter_async_context(Forwarder(timeout_s=plan.forward_timeout_s))
        flow = Listening(plan.policy, store=writer, forwarder=forwarder, onlooker=onlooker, seen=seen)
        tunnels = await stack.enter_async_context(AsyncExitStack())  # closed after the drain: answers travel through it
        receiver = Receiver(
            flow.receive,
            now=runtime.now,
            new_id=runtime.new_id,
            notice=onlooker.notice,
            mount=plan.policy.routes.mount,
            max_body=plan.max_body,
        )
        host, port = await receiver.start(plan.host, plan.port)
        _refuse_to_loop(plan, host, port)
        stack.callback(flow.close)
        stack.push_async_callback(receiver.close, DRAIN_S)
        public_url = await _open_public_url(plan, runtime, port, tunnels, onlooker)
        yield Address(_url(host, port) + plan.policy.routes.mount, public_url), flow


async def run_session(plan: Plan, runtime: Runtime, screen: Screen, broken: asyncio.Event) -> ExitCode:
    """Listen until Ctrl-C, SIGTERM, `count`, `timeout_s`, or the reader of stdout is gone (`broken`)."""
    # What the start-up left behind stays, and requests leave no cycles: the collector need not walk it all so often.
    gc.freeze()
    gc.set_threshold(20_000)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        with stop_signal() as stop:
            asyncio.get_running_loop().set_exception_handler(_Complaints(screen.notice, runtime.now))
            watcher = _Watcher(plan, screen, stop)
            async with AsyncExitStack() as stack:
                started = await _unless_stopped(stack.enter_async_context(listening(plan, runtime, watcher)), stop)
                if started is None:
                    return ExitCode.OK
                address, flow = started
                _show_ready(plan, runtime, screen, address)
                await _wait(plan, stop, broken)
                if flow.in_flight:
                    screen.notice(f"Stopping; {flow.in_flight} still in your handler, waiting up to {DRAIN_S:g} s.")
            for line in summary_lines(flow.tally):
                screen.notice(line)
            screen.event(summary_event(flow.tally))
            return _outcome(plan, watcher, screen)
    finally:
        screen.close()
        sys.setswitchinterval(interval)


async def _unless_stopped(starting: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
    """Return what `starting` gives, or None when Ctrl-C came first: opening a tunnel takes its time."""
    task, stopped = asyncio.create_task(starting), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.wait({task})
    return None


async def _wait(plan: Plan, stop: asyncio.Event, broken: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in (stop, broken)]
    _, pending = await asyncio.wait(waits, timeout=plan.timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()


def _outcome(plan: Plan, watcher: _Watcher, screen: Screen) -> ExitCode:
    """Return the exit code, and say what was expected and did not come."""
    complaints = []
    if plan.count is not None and plan.timeout_s is not None and not watcher.enough:
        complaints.append(f"error: {watcher.shown} of {plan.count} invocations came in {plan.timeout_s:g} s")
    if plan.expect and plan.timeout_s is not None and not watcher.shown:
        complaints.append(f"error: nothing came that could have been answered with {plan.expect.text}")
    if plan.expect and watcher.unexpected:
        complaints.append(f"error: {watcher.unexpected} of {watcher.shown} answers were not {plan.expect.text}")
    for complaint in complaints:
        screen.notice(complaint)
    return ExitCode.FAILED if complaints else ExitCode.OK


def _show_ready(plan: Plan, runtime: Runtime, screen: Screen, address: Address) -> None:
    for line in ready_lines(plan.policy, url=address.url, public_url=address.public_url):
        screen.notice(line)
    if plan.copy:
        from port_hook_cli.adapters.clipboard import copy

        screen.notice(copy(address.public_url or address.url, environ=runtime.environ, terminal=runtime.stderr))
    screen.event(ready_event(url=address.url, public_url=address.public_url))


def _refuse_to_loop(plan: Plan, host: str, port: int) -> None:
    """Raise UsageError for a target that is the listener itself: each request would come back as another."""
    routes = plan.policy.routes
    for target in (routes.default, *routes.by_action.values()):
        parts = urlsplit(target or "")
        if parts.port == port and parts.hostname in {host, "localhost", "127.0.0.1", "::1", "0.0.0.0"}:  # noqa: S104
            raise UsageError(f"{target} is this listener itself", hint="give the port that your handler listens on")


async def _open_public_url(
    plan: Plan, runtime: Runtime, port: int, stack: AsyncExitStack, onlooker: Onlooker
) -> str | None:
    if plan.tunnel.kind is TunnelKind.NONE:
        mount = plan.policy.routes.mount
        own = plan.public_url
        return own.rstrip("/") + mount if own and urlsplit(own).path in {"", "/"} else own
    opening = Opening(
        local_url=f"http://127.0.0.1:{port}", environ=runtime.environ, home=runtime.home, notice=onlooker.notice
    )
    tunnel = await open_tunnel(plan.tunnel, opening)
    stack.push_async_callback(tunnel.close)
    stack.callback(asyncio.create_task(_tell_when_lost(tunnel, onlooker)).cancel)
    return tunnel.url + plan.policy.routes.mount


async def _tell_when_lost(tunnel: Tunnel, onlooker: Onlooker) -> None:
    onlooker.notice(f"tunnel lost: {await tunnel.lost()} Nothing reaches this listener from outside; start it again.")


def _recent_signatures(store: CaptureStore, since_s: float) -> dict[bytes, float]:
    known = store.recent_signatures(since_s)
    keys = ((signature_key(Headers(((SIGNATURE_HEADER, text),))), received_at) for text, received_at in known)
    return {key: received_at for key, received_at in keys if key is not None}


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
