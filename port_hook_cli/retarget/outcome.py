"""The outcome of restoring an action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Any

from port_hook_cli.errors import PortHookError
from port_hook_cli.retarget.entry import Entry


@unique
class End(StrEnum):
    """How restoring ended. Except for the first two, the action is unchanged and its entry stays in the journal."""

    RESTORED = "restored"
    UNTOUCHED = "untouched"  # was already as before
    CHANGED = "changed"  # by someone else
    ANOTHER = "another"  # the identifier belongs to another action now, or to one of another organization
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome for one action. `now` is the action as Port showed it, if known; `problem` says why it failed."""

    entry: Entry
    end: End
    now: Mapping[str, Any] | None = field(default=None, repr=False)
    problem: PortHookError | None = None

    @property
    def is_done(self) -> bool:
        """Whether the action is as it was before."""
        return self.end in {End.RESTORED, End.UNTOUCHED}
