from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from threading import Timer

import pytest

pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform == "win32", reason="Windows has another event loop")]
STALL_S = 0.5


async def test_steady_sleep_takes_its_full_duration() -> None:
    began_s = time.monotonic()
    await asyncio.sleep(0.2)
    assert time.monotonic() - began_s >= 0.2


async def test_stalled_callback_does_not_make_timers_due() -> None:
    loop, order = asyncio.get_running_loop(), list[str]()
    timer = loop.call_later(STALL_S / 2, order.append, "timer")
    began_s = loop.time()
    time.sleep(STALL_S)  # noqa: ASYNC251 - the stall
    assert loop.time() - began_s < STALL_S / 2
    ours, other = os.pipe()
    loop.add_reader(ours, order.append, "input")
    os.write(other, b"x")
    for _ in range(3):
        await asyncio.sleep(0)
    assert "timer" not in order
    assert "input" in order
    timer.cancel()
    loop.remove_reader(ours)
    os.close(ours)
    os.close(other)


async def test_stalled_wait_does_not_make_timers_due(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: time.sleep(STALL_S))
    stall = Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1))
    loop = asyncio.get_running_loop()
    began_s, real_began_s = loop.time(), time.monotonic()
    stall.start()
    try:
        await asyncio.sleep(STALL_S / 2)
    finally:
        stall.join()
        signal.signal(signal.SIGUSR1, before)
    assert loop.time() - began_s >= STALL_S / 2
    # The wait began again after the stall.
    assert time.monotonic() - real_began_s >= STALL_S * 1.4
