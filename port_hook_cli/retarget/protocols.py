"""What the steps of retargeting need of the world."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from port_hook_cli.retarget.entry import Entry


class ActionApi(Protocol):
    """Port's API, as far as changing an action needs it. Both methods raise PortApiError."""

    async def get_action(self, identifier: str, /) -> Mapping[str, Any]:
        """Return the action as Port shows it."""
        ...

    async def put_action(self, identifier: str, body: Mapping[str, Any], /) -> Mapping[str, Any]:
        """Replace the action and return it as Port shows it then."""
        ...


class ActionClaim(Protocol):
    """The right to change one action, and its place in the journal. All but `release` raise StoreError."""

    def read(self) -> Entry | None:
        """Return what is written, or None."""
        ...

    def write(self, entry: Entry, /) -> None:
        """Write the entry; it is on disk when this returns."""
        ...

    def finish(self) -> None:
        """Take the entry out of the journal, and let go of the action."""
        ...

    def release(self) -> None:
        """Let go of the action; what is written stays."""
        ...


class ActionJournal(Protocol):
    """Where it is written down what was changed in Port, before it is changed."""

    def claim(self, api_url: str, original_id: str, identifier: str, /) -> ActionClaim:
        """Return the claim on an action; raises RetargetError while another process holds it."""
        ...
