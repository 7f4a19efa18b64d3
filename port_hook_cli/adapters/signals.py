"""Ctrl-C and SIGTERM as an event, so that a server can end in its own time."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_signal() -> Iterator[asyncio.Event]:
    """Give an event that the first Ctrl-C or SIGTERM sets; must be entered in the main thread's running loop.

    Windows' event loop takes no signal handlers; there the interpreter's own are used.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    before = {number: signal.getsignal(number) for number in _STOPPING}

    def on_signal(*_: object) -> None:
        loop.call_soon_threadsafe(stop.set)

    for number in _STOPPING:
        try:
            loop.add_signal_handler(number, on_signal)
        except (NotImplementedError, RuntimeError, ValueError):
            _install(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            with suppress(NotImplementedError, RuntimeError, ValueError):
                loop.remove_signal_handler(number)
            _install(number, handler)


def _install(number: signal.Signals, handler: object) -> None:
    try:
        signal.signal(number, handler)  # type: ignore[arg-type] # what getsignal gave
    except (TypeError, ValueError):
        # Not the main thread (a test), or a handler that Python did not install.
        return
