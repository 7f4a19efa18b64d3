"""A save that its request no longer waits for does not keep others from being acknowledged."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.writer import StoreWriter
from port_hook_cli.invocations.models import Exchange
from tests.factories import an_exchange, an_invocation


def a_capture(number: int) -> Exchange:
    return an_exchange(an_invocation(id=f"{number:04}"))


def saved(folder: Path) -> set[str]:
    """Return the IDs of the captures in the store."""
    with open_store(None, folder) as store:
        return {exchange.invocation.id for exchange in store.select()}


async def test_save_canceled_before_its_commit_does_not_affect_other_saves(folder: Path) -> None:
    writer = StoreWriter(open_store(None, folder, create=True), asyncio.get_running_loop())
    cancelled, other = writer.save(a_capture(1)), writer.save(a_capture(2))
    cancelled.cancel()
    await asyncio.wait_for(other, 20)
    assert "0002" in saved(folder)
    await writer.close()


async def test_save_canceled_while_the_file_is_locked_does_not_affect_other_saves(folder: Path) -> None:
    store = open_store(None, folder, create=True)
    writer = StoreWriter(store, asyncio.get_running_loop())
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        cancelled, other = writer.save(a_capture(1)), writer.save(a_capture(2))
        await asyncio.sleep(0.05)
        assert not other.done()
        cancelled.cancel()
        connection.execute("ROLLBACK")
    await asyncio.wait_for(other, 20)
    assert "0002" in saved(folder)
    await writer.close()
