"""What a tool is, and what it works with: the options of `mcp`, and this process as a value."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from port_hook_cli.captures.database.opening import store_path
from port_hook_cli.captures.store.finder import open_captures
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import ALL_NEEDS
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import Remark
from port_hook_cli.text.safe import printable_lines
from port_hook_cli.text.secret import Masker

if TYPE_CHECKING:
    from port_hook_cli.captures.store.capture_store import CaptureStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The options of `mcp`, and the runtime of one call of a tool.

    `to` is the target that the user has named, which may be on another machine. `open_access` is `PortAccess` with the
    options about credentials. `said` are the remarks of this call.
    """

    runtime: Runtime
    store: Path | None = None
    to: str | None = None
    open_access: Callable[..., PortAccess] = PortAccess
    said: list[Remark] = field(default_factory=list)

    def for_call(self) -> Workspace:
        """Return the workspace of a new call. Its stdin is empty: the protocol alone reads that of the process."""
        return replace(self, runtime=replace(self.runtime, stdin=io.BytesIO()), said=[])

    @property
    def store_file(self) -> Path:
        """The capture store's path. The file may not exist yet."""
        return store_path(self.store, self.runtime.cwd)

    @property
    def notes(self) -> list[str]:
        """The lines of the remarks of this call."""
        lines = (line for remark in self.said for line in printable_lines(remark.line).splitlines())
        return [line.strip() for line in lines if line.strip()]

    @property
    def masker(self) -> Masker:
        """What masks the secrets that this process has read."""
        return Masker(self.runtime.memory.secrets)

    def open_store(self) -> CaptureStore:
        """Open the store to read it. Raises StoreError."""
        return open_captures(self.store, self.runtime, self.say, show_only=True)

    def access(self, needs: tuple[str, ...] = ALL_NEEDS) -> PortAccess:
        """Return the access to Port for this call: settings may change between two calls."""
        return self.open_access(self.runtime, self.say, needs=needs)

    def say(self, remark: Remark) -> None:
        """Add a remark to the notes of this call."""
        self.said.append(remark)
