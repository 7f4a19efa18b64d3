"""An event loop whose clock never waits. A minute of pauses takes no time, and is exact on a busy machine."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    """Adds a pause to `now_s` instead of waiting. Its limit: nothing may come from a socket, process or thread."""

    now_s = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everything waits for an event that does not come"
        self.now_s += timeout
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now_s


def run_fast(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` in such a loop, and return its result."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)


def with_fast_clock(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Run a test in such a loop. Its fixtures are outside the loop."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_fast(test(*args, **kwargs))

    return run
