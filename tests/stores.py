"""Add captures to a folder's store, and read them."""

from __future__ import annotations

from pathlib import Path

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.models import Exchange


def keep(folder: Path, *exchanges: Exchange, store: str | None = None) -> None:
    """Add captures to the folder's own store, or to `store`, and create it if it is missing."""
    with open_store(None if store is None else Path(store), folder, create=True) as opened:
        opened.add(exchanges)


def kept(folder: Path) -> list[Exchange]:
    """Return the captures in the folder's own store, the latest first."""
    with open_store(None, folder) as opened:
        return list(opened.select())
