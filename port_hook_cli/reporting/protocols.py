"""The protocols that reporting depends on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from port_hook_cli.runs.updates import Call


class RunApi(Protocol):
    """The part of Port's API that reports a run. Both methods raise PortApiError or RunEndedError."""

    async def get_run(self, run_id: str, /) -> Mapping[str, Any]:
        """Return the action run as Port shows it."""
        ...

    async def send(self, call: Call, /) -> Mapping[str, Any]:
        """Make one call and return Port's response."""
        ...


class DeliveryApi(Protocol):
    """The part of Port's API that a kept report needs. All methods raise PortApiError or RunEndedError."""

    async def get_run(self, run_id: str, /) -> Mapping[str, Any]:
        """Return the action run as Port shows it."""
        ...

    async def run_logs(self, run_id: str, /, *, offset: int = 0) -> Sequence[Mapping[str, Any]]:
        """Return a page of the run's log entries, without the first `offset`; none at the end."""
        ...

    async def send(self, call: Call, /, *, is_taken: Callable[[], Awaitable[bool]] | None = None) -> Mapping[str, Any]:
        """Make one call; if its response is lost, `is_taken` says whether Port has taken it."""
        ...


class Chunks(Protocol):
    """Bytes that arrive over time, such as an `asyncio.Queue`; an empty chunk is the end."""

    async def get(self) -> bytes:
        """Wait for the next chunk. A cancellation loses no chunk."""
        ...
