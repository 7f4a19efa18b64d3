"""The capture store for the commands that read it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import tell
from port_hook_cli.text.safe import printable

if TYPE_CHECKING:
    from port_hook_cli.captures.store import CaptureStore


def open_captures(option: Path | None, runtime: Runtime, *, show_only: bool = False) -> CaptureStore:
    """Open the store and print notes about its files; raises StoreError.

    With `show_only` the captures are only displayed, so they may belong to another user.
    """
    from port_hook_cli.captures.store import open_store

    store = open_store(option, runtime.cwd, show_only=show_only)
    for warning in store.warnings:
        tell(f"note: {printable(warning)}", runtime)
    return store
