"""The protocols that retargeting depends on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from port_hook_cli.retarget.entry import Entry


class RetargetApi(Protocol):
    """The part of Port's API that changes actions and workflows. All methods raise PortApiError."""

    async def get_action(self, identifier: str, /) -> Mapping[str, Any]:
        """Return the action as Port shows it."""
        ...

    async def put_action(self, identifier: str, body: Mapping[str, Any], /) -> Mapping[str, Any]:
        """Replace the action and return it as Port shows it afterward."""
        ...

    async def get_workflow(self, identifier: str, /) -> Mapping[str, Any]:
        """Return the workflow as Port shows it."""
        ...

    async def put_workflow(self, identifier: str, body: Mapping[str, Any], /) -> Mapping[str, Any]:
        """Replace the workflow with a new version and return it as Port shows it afterward."""
        ...


class RetargetTurn(Protocol):
    """The exclusive right on this machine to replace a workflow."""

    def release(self) -> None:
        """Let other listeners replace the workflow."""
        ...


class RetargetClaim(Protocol):
    """The exclusive right to change one action or node, and its entry. All methods but `release` raise StoreError."""

    def read(self) -> Entry | None:
        """Return the entry, or None if there is none."""
        ...

    def write(self, entry: Entry, /) -> None:
        """Write the entry and sync it to the disk."""
        ...

    def finish(self) -> None:
        """Delete the entry and release the claim."""
        ...

    def take_turn(self, entry: Entry, /) -> RetargetTurn | None:
        """Return the right to replace the workflow of `entry`, or None while another listener has it."""
        ...

    def release(self) -> None:
        """Release the claim; a written entry stays."""
        ...


class RetargetJournal(Protocol):
    """The journal that has each change before it is made in Port."""

    def claim(self, api_url: str, owner_id: str, name: str, /) -> RetargetClaim:
        """Return the claim on an action or node; raises RetargetError if another process has it."""
        ...
