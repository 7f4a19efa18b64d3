"""The base of classes that own a jq process: it starts when it is needed, and ends when they are closed."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from port_hook_cli.engines.jq_worker import DEFAULT_TIMEOUT_S, JqWorker


class JqOwner:
    """Owns a worker of jq, which is kept running between calls. Use it as a context manager, or call `close`."""

    def __init__(self, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Prepare the worker. jq starts with the first expression; `timeout_s` limits all expressions of one call."""
        self._worker = JqWorker(timeout_s=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process of jq."""
        self._worker.close()
