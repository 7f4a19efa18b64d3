"""The capture store: one SQLite file that several listeners may write at once."""

from __future__ import annotations

from port_hook_cli.captures.opening import store_path
from port_hook_cli.captures.store import CaptureStore, open_store
from port_hook_cli.captures.writer import StoreWriter

__all__ = ["CaptureStore", "StoreWriter", "open_store", "store_path"]
