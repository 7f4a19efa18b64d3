"""The outcome of restoring an action or workflow node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Any

from port_hook_cli.errors import PortHookError
from port_hook_cli.retarget.entry import Entry


@unique
class End(StrEnum):
    """How restoring ended. Except for the first two, nothing is changed in Port, and the entry stays in the journal."""

    RESTORED = "restored"
    UNTOUCHED = "untouched"  # it already had its original URL
    CHANGED = "changed"  # by someone else
    ANOTHER = "another"  # the identifier now names another action, or one of another organization
    REMOVED = "removed"  # the workflow no longer has this WEBHOOK node
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome for one action or workflow node.

    `now` is the action or workflow as Port showed it, if known. `version` is the new version of a workflow that was
    restored, if known. `problem` says why restoring failed.
    """

    entry: Entry
    end: End
    now: Mapping[str, Any] | None = field(default=None, repr=False)
    version: int | None = None
    problem: PortHookError | None = None

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to restore."""
        return self.end in {End.RESTORED, End.UNTOUCHED}
