"""Create run IDs, and check the run IDs that a user types or pastes."""

from __future__ import annotations

import re
import string
from collections.abc import Callable

from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.payload import is_run_id

_ANYWHERE = r"(?<![A-Za-z0-9])(?:r_[A-Za-z0-9]{16}|wfnr_[A-Za-z0-9]+)(?![A-Za-z0-9])"
_CHARACTERS = string.ascii_letters + string.digits
_FORM = "Pass a run ID, such as r_… (r_ and 16 letters and digits), or a node run ID, such as wfnr_…."


def make_run_id(choose: Callable[[str], str], prefix: str = "r_") -> str:
    """Return a new ID in the format of Port's action runs, or with the prefix of another kind of run.

    `choose` returns a random character from its argument.
    """
    return prefix + "".join(choose(_CHARACTERS) for _ in range(16))


def check_run_id(text: str) -> str:
    """Return `text` if it can be a run ID. Otherwise, raises UsageError, with a hint if `text` contains a run ID.

    Port also finds runs by their external IDs, which may have any format. So an unusual format alone is not an error.
    """
    if is_run_id(text):
        return text
    if not text:
        raise UsageError("The run ID is empty.", hint="Check whether a shell variable is unset.")
    if text in {".", ".."} or not text.isprintable() or any(mark in text for mark in " /?#"):
        found = re.search(_ANYWHERE, text)
        raise UsageError(f"{text!r} is not a run ID.", hint=f"Did you mean {found.group()}?" if found else _FORM)
    return text


def doubt_about(run_id: str) -> str | None:
    """Return what is unusual about a run ID, or None for the usual format."""
    if is_run_id(run_id):
        return None
    if run_id.startswith("r_"):
        return f"{run_id} has {len(run_id) - 2} characters after r_ instead of 16 letters and digits"
    return f"{run_id} does not look like a run ID. port-hook sends it unchanged, because it may be an external run ID"
