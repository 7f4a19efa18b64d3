"""Threads that the process does not wait for when it ends, and how often the interpreter switches between threads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import Any


class UnwaitedThreads(ThreadPoolExecutor):
    """A default executor for an event loop. Its threads do not delay the end of the process.

    The executor is for work that cannot be stopped and doesn't change anything, such as looking up a host name. asyncio
    and the interpreter wait for ordinary threads, so without a network, a lookup could delay the end by more than ten
    seconds after Ctrl-C. Here, each piece of work has its own daemon thread, which ends with the process. The class
    extends ThreadPoolExecutor because asyncio requires this type.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start the work in a new thread."""
        future: Future[Any] = Future()
        Thread(target=_work, args=(future, partial(fn, *args, **kwargs)), daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Do nothing, because the process does not wait for work in progress."""


def _work(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - the waiting task gets it
        future.set_exception(error)
    else:
        future.set_result(result)


@contextmanager
def switching_often() -> Iterator[None]:
    """Let a thread that shows output wait at most 1 ms, not 5 ms, for another thread, until the context ends."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.001)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
