"""A sandbox in a thread, for tests that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from port_hook_cli.sandbox import Sandbox
from tests.plain_invoker import PlainInvoker


@contextmanager
def a_sandbox(**options: Any) -> Iterator[Sandbox]:
    """Serve a sandbox until the end of the block. `options` are those of `Sandbox.start`."""
    loop = asyncio.new_event_loop()
    started: list[Sandbox] = []
    ready, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with Sandbox.start(**{"invoker": PlainInvoker(), **options}) as sandbox:
            started.append(sandbox)
            ready.set()
            await stop.wait()
        await asyncio.sleep(0)  # a connection that was closed ends in the next turn of the loop

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(30), "the sandbox did not start"
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


def environ_of(sandbox: Sandbox) -> dict[str, str]:
    """Return the environment with which port-hook uses `sandbox`."""
    return {
        "PORT_CLIENT_ID": sandbox.client_id,
        "PORT_CLIENT_SECRET": sandbox.client_secret.reveal(),
        "PORT_API_URL": sandbox.url,
    }
