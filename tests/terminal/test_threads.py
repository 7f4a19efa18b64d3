from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from port_hook_cli.terminal.threads import UnwaitedThreads

ENDS = """
import asyncio, threading
from port_hook_cli.terminal.threads import UnwaitedThreads

async def main():
    loop, began = asyncio.get_running_loop(), asyncio.Event()
    loop.set_default_executor(UnwaitedThreads())
    def hang():
        loop.call_soon_threadsafe(began.set)
        threading.Event().wait()
    hanging = asyncio.create_task(asyncio.to_thread(hang))
    await began.wait()
    hanging.cancel()

asyncio.run(main())
"""


def test_blocked_thread_does_not_delay_the_exit() -> None:
    done = subprocess.run([sys.executable, "-c", ENDS], timeout=30, capture_output=True, check=True)
    assert done.stderr == b""


async def test_thread_result_is_returned() -> None:
    asyncio.get_running_loop().set_default_executor(UnwaitedThreads())
    assert await asyncio.to_thread(int, "12") == 12
    with pytest.raises(ValueError, match="invalid literal"):
        await asyncio.to_thread(int, "x")
