"""The thread that saves for a listener: many concurrent captures share one commit."""

from __future__ import annotations

import asyncio

from port_hook_cli.adapters.store.captures import CaptureStore
from port_hook_cli.core.models import Exchange
from port_hook_cli.errors import StoreError


class StoreWriter:
    """Owns `store` and closes it. `problem` is the last failure, `failures` how many captures or outcomes were lost."""

    problem: StoreError | None
    failures: int

    def __init__(self, store: CaptureStore, loop: asyncio.AbstractEventLoop) -> None:
        raise NotImplementedError

    async def save(self, exchange: Exchange) -> None:
        """Return when `exchange` is committed; raises StoreError when it could not be."""
        raise NotImplementedError

    def complete(self, exchange: Exchange) -> None:
        """Save delivery and answer of an exchange, soon; a failure is kept in `problem`."""
        raise NotImplementedError

    async def close(self) -> None:
        """Write what is waiting, then close the store."""
        raise NotImplementedError
