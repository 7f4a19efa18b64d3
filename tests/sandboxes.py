"""A sandbox in a thread, for tests that are not asynchronous."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

from port_hook_cli.sandbox import Sandbox
from tests.plain_invoker import PlainInvoker
from tests.servers import in_thread


@contextmanager
def a_sandbox(**options: Any) -> Iterator[Sandbox]:
    """Serve a sandbox until the end of the block. `options` are those of `Sandbox.start`."""
    started: list[Sandbox] = []

    async def start() -> Callable[[], Awaitable[None]]:
        stack = AsyncExitStack()
        serving = Sandbox.start(**{"invoker": PlainInvoker(), **options})
        started.append(await stack.enter_async_context(serving))
        return stack.aclose

    with in_thread(start):
        yield started[0]


def environ_of(sandbox: Sandbox) -> dict[str, str]:
    """Return the environment with which port-hook uses `sandbox`."""
    return {
        "PORT_CLIENT_ID": sandbox.client_id,
        "PORT_CLIENT_SECRET": sandbox.client_secret.reveal(),
        "PORT_API_URL": sandbox.url,
    }
