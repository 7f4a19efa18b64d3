"""The capture store: one SQLite file that several listeners may write at once."""

from __future__ import annotations

from port_hook_cli.adapters.store.captures import CaptureStore, open_store
from port_hook_cli.adapters.store.opening import store_path
from port_hook_cli.adapters.store.writer import StoreWriter

__all__ = ["CaptureStore", "StoreWriter", "open_store", "store_path"]
