"""The sandbox of a test session and what sends its invocations, on an event loop in a thread of its own.

So the fixtures work from any test, synchronous or asynchronous, and need no other plugin.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar, Unpack

from port_hook_cli.actions.action import ActionKind, PortAction
from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.errors import PortHookError
from port_hook_cli.http.client import HttpClient
from port_hook_cli.invocations.forwarding import BadTarget
from port_hook_cli.pytest_plugin.runs import BackendResponse, PortRequest, RunNotEnded
from port_hook_cli.sandbox import ApiEvent, Asked, Sandbox, SandboxRequest
from port_hook_cli.sandbox.action_files import read_actions
from port_hook_cli.text.secret import MASK
from port_hook_cli.trigger.engines import SandboxInvoker, invoking
from port_hook_cli.trigger.invoker import Invoker

_T = TypeVar("_T")
_E = TypeVar("_E", bound=Exception)
TOLD = (PortHookError, RunNotEnded, BadTarget)
"""What a test is told: pytest shows the line of the test, and not how it came to be known."""

_ANY = PortAction(
    identifier="any", kind=ActionKind.AUTOMATION, condition={"type": "JQ", "expressions": ["true"]}, method={}
)


class Environ(dict[str, str]):
    """An environment whose secret does not show: pytest prints the arguments of a test that failed."""

    def __repr__(self) -> str:
        return repr({name: MASK if name.endswith("_SECRET") else value for name, value in self.items()})


class World:
    """What the tests of a session share. `start_anew` gives the next test a sandbox without a past.

    All but `call`, `acall` and the constant parts is for the thread of the event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, stack: AsyncExitStack, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.sandbox: Sandbox
        self.client: HttpClient
        self.calls: list[ApiEvent] = []
        self.requests: dict[str, PortRequest] = {}
        self.answers: dict[str, BackendResponse] = {}
        self._loop = loop
        self._stack = stack
        self._invoker: Invoker | None = None

    async def start(self, actions: Sequence[Path]) -> None:
        """Start the sandbox; raises ListenError, and UsageError for a file that holds no action."""
        known = [create_vm_action(), *read_actions(actions)]
        self.client = await self._stack.enter_async_context(HttpClient(timeout_s=0))
        starting = Sandbox.start(strict_runs=True, actions=known, invoker=_Starter(self), on_event=self.calls.append)
        self.sandbox = await self._stack.enter_async_context(starting)

    @property
    def invoker(self) -> Invoker:
        """What makes the requests; its jq is started for the first one. Raises RenderError when jq is missing."""
        if self._invoker is None:
            self._invoker = self._stack.enter_context(invoking(lambda: self.sandbox.client_secret))
        return self._invoker

    def warm_up(self) -> None:
        """Have jq started while a test still prepares; whatever is wrong with it, its first request tells."""
        if self._invoker is None:
            warming = asyncio.ensure_future(self.invoker.unmet(_ANY, {}))
            warming.add_done_callback(lambda done: done.cancelled() or done.exception())

    @property
    def environ(self) -> dict[str, str]:
        """The environment that points a backend at the sandbox; PORT_API_BASE_URL is what Port's agent reads."""
        return Environ(
            PORT_CLIENT_ID=self.sandbox.client_id,
            PORT_CLIENT_SECRET=self.sandbox.client_secret.reveal(),
            PORT_API_URL=self.sandbox.url,
            PORT_API_BASE_URL=self.sandbox.url,
        )

    @staticmethod
    def now() -> float:
        """Return seconds since the epoch."""
        return time.time()

    def start_anew(self) -> None:
        """Forget what has happened in a test, and give up what it left under way."""
        self.call(self._start_anew())

    def do(self, act: Callable[[], _T]) -> _T:
        """Call `act` in the event loop's thread and return what it returns."""

        async def acting() -> _T:
            return act()

        return self.call(acting())

    def call(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Have `work` done, and wait for it."""
        __tracebackhide__ = True
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except TOLD as error:
            raise at_the_test(error) from None
        except BaseException:
            future.cancel()  # pytest-timeout or Ctrl-C: nobody waits for it any more
            raise

    async def acall(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Have `work` done without holding up the caller's own event loop."""
        __tracebackhide__ = True
        try:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
        except TOLD as error:
            raise at_the_test(error) from None

    async def _start_anew(self) -> None:
        await self.sandbox.start_anew()
        self.requests.clear()
        self.answers.clear()
        self.calls.clear()


class _Starter:
    """Makes the requests of runs that a backend starts through the sandbox's API, once there are any."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def request(self, action: Mapping[str, Any], **asked: Unpack[Asked]) -> SandboxRequest:
        return await SandboxInvoker(self._world.invoker).request(action, **asked)


def at_the_test(error: _E) -> _E:
    """Return `error` as the test raises it: without where it came from, and with what to do about it."""
    hint = error.hint if isinstance(error, PortHookError) else ""
    if hint and "--" not in hint:  # which speaks of the command line
        error.add_note(f"hint: {hint}")
    return error.with_traceback(None)


@contextmanager
def running_world(actions: Sequence[Path], *, timeout_s: float) -> Iterator[World]:
    """Run a world until the block ends. `actions` are files and folders; a run may take `timeout_s` seconds."""
    with _running_loop() as loop:
        stack = AsyncExitStack()
        world = World(loop, stack, timeout_s)
        try:
            world.call(world.start(actions))
            yield world
        finally:
            world.call(stack.aclose())


@contextmanager
def _running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    # Where sockets are blocked, this raises; an event loop would be left half made.
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
