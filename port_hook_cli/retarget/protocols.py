"""The protocols that retargeting depends on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from port_hook_cli.retarget.entry import Entry


class ActionApi(Protocol):
    """The part of Port's API that changes an action. Both methods raise PortApiError."""

    async def get_action(self, identifier: str, /) -> Mapping[str, Any]:
        """Return the action as Port shows it."""
        ...

    async def put_action(self, identifier: str, body: Mapping[str, Any], /) -> Mapping[str, Any]:
        """Replace the action and return it as Port shows it afterward."""
        ...


class ActionClaim(Protocol):
    """The exclusive right to change one action, and its entry in the journal. All but `release` raise StoreError."""

    def read(self) -> Entry | None:
        """Return the entry, or None if there is none."""
        ...

    def write(self, entry: Entry, /) -> None:
        """Write the entry and sync it to the disk."""
        ...

    def finish(self) -> None:
        """Delete the entry and release the action."""
        ...

    def release(self) -> None:
        """Release the action; a written entry stays."""
        ...


class ActionJournal(Protocol):
    """The journal that has each change before it is made in Port."""

    def claim(self, api_url: str, original_id: str, identifier: str, /) -> ActionClaim:
        """Return the claim on an action; raises RetargetError if another process has it."""
        ...
