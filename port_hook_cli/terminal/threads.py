"""Threads that the process does not wait for when it ends."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Thread
from typing import Any


class UnwaitedThreads(ThreadPoolExecutor):
    """An event loop's default executor, for what cannot be stopped and changes nothing, such as looking up a name.

    asyncio and the interpreter wait for the threads of theirs: without a network that is as long as a resolver has
    patience, ten seconds and more after Ctrl-C. Here each piece of work has a thread of its own that ends with the
    process. A ThreadPoolExecutor only because asyncio takes nothing else.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Begin the work at once."""
        future: Future[Any] = Future()
        Thread(target=_work, args=(future, partial(fn, *args, **kwargs)), daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave what is under way alone."""


def _work(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - the waiting task gets it
        future.set_exception(error)
    else:
        future.set_result(result)
