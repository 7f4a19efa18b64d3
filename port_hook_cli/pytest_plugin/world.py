"""The sandbox of a test session and the sender of its invocations. Both run in an event loop in a separate thread.

So the fixtures work in synchronous and asynchronous tests, and need no other plugin.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any, TypeVar, Unpack

from port_hook_cli.actions.action import ActionKind, PortAction
from port_hook_cli.actions.made_request import Asked, MadeRequest
from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.errors import PortHookError
from port_hook_cli.frozen import frozen
from port_hook_cli.http.client import HttpClient
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.targets import BadTarget, sendable_url
from port_hook_cli.pytest_plugin.runs import HandlerResponse, PortRequest, RunNotEnded, WorkflowNotEnded
from port_hook_cli.runs.urls import is_in_ports_own
from port_hook_cli.sandbox import ApiEvent, ApiRules, EventHandlers, InitialData, Sandbox, Sending
from port_hook_cli.text.secret import MASK
from port_hook_cli.trigger.invoker import Invoker
from port_hook_cli.trigger.open_invoker import SandboxInvoker, invoking

_T = TypeVar("_T")
_E = TypeVar("_E", bound=Exception)
SHOWN_ERRORS = (PortHookError, RunNotEnded, WorkflowNotEnded, BadTarget)
"""Errors for which pytest shows the line of the test instead of a traceback through the plugin."""

_ANY = PortAction(
    identifier="any", kind=ActionKind.AUTOMATION, condition={"type": "JQ", "expressions": ["true"]}, method={}
)


class MaskedText(str):
    """A secret for a handler's environment. Its `repr` is masked, because pytest prints the values of a failed test."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


@frozen(kw_only=True)
class Catalog:
    """The actions and blueprints that the sandbox has in every test, in the format of Port's API.

    With `is_strict`, entities have to match their blueprints.
    """

    actions: Sequence[Mapping[str, Any]] = ()
    blueprints: Sequence[Mapping[str, Any]] = ()
    is_strict: bool = True


class World:
    """The objects that the tests of a session share. `reset` empties the sandbox for the next test.

    Use this class only in the event loop's thread, except for `call`, `acall`, `do` and constant attributes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, stack: AsyncExitStack, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.sandbox: Sandbox
        self.client: HttpClient
        self.calls: list[ApiEvent] = []
        self.requests: dict[str, PortRequest] = {}
        self.responses: dict[str, HandlerResponse] = {}
        self._loop = loop
        self._stack = stack
        self._invoker: Invoker | None = None

    async def start(self, catalog: Catalog) -> None:
        """Start the sandbox. Raises ListenError."""
        self.client = await self._stack.enter_async_context(HttpClient(timeout_s=0))
        starting = Sandbox.start(
            InitialData(actions=[create_vm_action(), *catalog.actions], blueprints=catalog.blueprints),
            rules=ApiRules(strict_runs=True, strict=catalog.is_strict),
            sending=Sending(invoker=_LazyInvoker(self)),
            handlers=EventHandlers(on_event=self.calls.append),
        )
        self.sandbox = await self._stack.enter_async_context(starting)

    @property
    def invoker(self) -> Invoker:
        """The invoker, which makes requests. It starts jq for the first request."""
        if self._invoker is None:
            self._invoker = self._stack.enter_context(invoking(lambda: self.sandbox.client_secret))
        return self._invoker

    def warm_up(self) -> None:
        """Start jq while the test prepares. If jq cannot start, the first request raises the error."""
        if self._invoker is None:
            warming = asyncio.ensure_future(self.invoker.unmet(_ANY, {}))
            warming.add_done_callback(lambda done: done.cancelled() or done.exception())

    @property
    def environ(self) -> dict[str, str]:
        """The environment for a handler that uses the sandbox. Port's agent reads PORT_API_BASE_URL."""
        return {
            "PORT_CLIENT_ID": self.sandbox.client_id,
            "PORT_CLIENT_SECRET": MaskedText(self.sandbox.client_secret.reveal()),
            "PORT_API_URL": self.sandbox.url,
            "PORT_BASE_URL": self.sandbox.url,
            "PORT_API_BASE_URL": self.sandbox.url,
        }

    async def deliver(self, run_id: str, invocation: Invocation, url: str) -> Delivery:
        """Send a run's request to the handler. If its target is Port's own API, pass the request to the sandbox."""
        if is_in_ports_own(url):
            return self.sandbox.respond_to_run(run_id, invocation, url)
        return await self.client.send(invocation, sendable_url(url))

    @staticmethod
    def now() -> float:
        """Return seconds since the epoch."""
        return time.time()

    def reset(self) -> None:
        """Delete the results of a test, and cancel the invocations in progress."""
        self.call(self._reset())

    def do(self, act: Callable[[], _T]) -> _T:
        """Call `act` in the event loop's thread, and return its result."""
        __tracebackhide__ = True

        async def acting() -> _T:
            return act()

        return self.call(acting())

    def call(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run `work` in the event loop's thread, and wait for its result."""
        __tracebackhide__ = True
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except SHOWN_ERRORS as error:
            raise at_the_test(error) from None
        except BaseException:
            future.cancel()  # pytest-timeout or Ctrl-C: nothing waits for it anymore
            raise

    async def acall(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run `work` in the event loop's thread without blocking the caller's event loop."""
        __tracebackhide__ = True
        try:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
        except SHOWN_ERRORS as error:
            raise at_the_test(error) from None

    async def _reset(self) -> None:
        await self.sandbox.reset()
        self.requests.clear()
        self.responses.clear()
        self.calls.clear()


class _LazyInvoker:
    """Makes the requests of runs that a handler starts through the sandbox's API. Its invoker is created on demand."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def request(self, action: Mapping[str, Any], **asked: Unpack[Asked]) -> MadeRequest:
        return await SandboxInvoker(self._world.invoker).request(action, **asked)


def at_the_test(error: _E) -> _E:
    """Return `error` as the test shows it: with its hint, and without a traceback through the plugin."""
    hint = error.hint if isinstance(error, PortHookError) else ""
    if hint and "--" not in hint:  # a hint with an option is about the command line
        error.add_note(f"hint: {hint}")
    return error.with_traceback(None)


@contextmanager
def running_world(catalog: Catalog, *, timeout_s: float) -> Iterator[World]:
    """Run a world until the block ends. `timeout_s` is the timeout of a run, in seconds."""
    with _running_loop() as loop:
        stack = AsyncExitStack()
        world = World(loop, stack, timeout_s)
        try:
            world.call(world.start(catalog))
            yield world
        finally:
            world.call(stack.aclose())


@contextmanager
def _running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    # If sockets are blocked, this call raises an error before an event loop is half created.
    socket.socket(socket.AF_INET).close()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="port-hook", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run_coroutine_threadsafe(_end_tasks(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end_tasks() -> None:
    loop = asyncio.get_running_loop()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await loop.shutdown_default_executor()
