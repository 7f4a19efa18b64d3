"""How it went to put an action back, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Any

from port_hook_cli.errors import PortHookError
from port_hook_cli.retarget.entry import Entry


@unique
class End(StrEnum):
    """How it went; all but the first two leave the action as it is, and its entry in the journal."""

    RESTORED = "restored"
    UNTOUCHED = "untouched"  # found as it was before
    CHANGED = "changed"  # by somebody else
    ANOTHER = "another"  # the identifier names another action now, or in this organization
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it went with one action. `now` is what it was found as, if that is known; `problem` says why it failed."""

    entry: Entry
    end: End
    now: Mapping[str, Any] | None = field(default=None, repr=False)
    problem: PortHookError | None = None

    @property
    def is_done(self) -> bool:
        """Whether the action is as it was before."""
        return self.end in {End.RESTORED, End.UNTOUCHED}
