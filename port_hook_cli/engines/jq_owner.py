"""Evaluates jq programs over data, from threads and tasks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self, TypeVar

from port_hook_cli.engines.jq_worker import DEFAULT_TIMEOUT_S, JqWorker
from port_hook_cli.errors import RenderError
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import write_json

_Result = TypeVar("_Result")


class JqOwner:
    """Owns a jq worker, which runs until `close` is called. Use it as a context manager, or call `close`."""

    def __init__(self, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Prepare the worker.

        The first expression starts jq. `timeout_s` limits all expressions of one call together.
        """
        self._worker = JqWorker(timeout_s=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the jq process."""
        self._worker.close()

    async def aevaluate(self, programs: Sequence[str], data: Any) -> list[Any]:
        """Return the result of each jq program (without braces) over `data`: a value, UNDEFINED or a JqError.

        Raises RenderError for a program that takes too long or uses too much memory.
        """
        return await self.aside(partial(self._evaluate, list(programs), data))

    def _evaluate(self, programs: Sequence[str], data: Any, *, stopped: threading.Event) -> list[Any]:
        return self._worker.evaluate(programs, as_json_text(data), stopped=stopped)

    async def aside(self, work: Callable[..., _Result]) -> _Result:
        """Run `work`, which uses jq, in a thread. A cancellation stops jq immediately."""
        stopped = threading.Event()
        try:
            return await asyncio.to_thread(work, stopped=stopped)
        except asyncio.CancelledError:
            self._worker.stop(stopped)
            raise


def as_json_text(data: Any) -> str:
    """Return data as JSON. Raises RenderError if the data is not JSON."""
    try:
        return write_json(data)
    except NotJson as error:
        raise RenderError(f"The data is not JSON: {error}.", hint="Pass a JSON document.") from error
