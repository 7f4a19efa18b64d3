"""Run ids: new ids, and ids that a user types or pastes."""

from __future__ import annotations

import re
import string
from collections.abc import Callable

from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.payload import is_run_id

_ANYWHERE = r"(?<![A-Za-z0-9])(?:r_[A-Za-z0-9]{16}|wfnr_[A-Za-z0-9]+)(?![A-Za-z0-9])"
_CHARACTERS = string.ascii_letters + string.digits
_FORM = "The id of an action run is r_ and 16 letters and digits; the id of a workflow node's run begins with wfnr_."


def make_run_id(choose: Callable[[str], str], prefix: str = "r_") -> str:
    """Return a new id in the form of Port's action runs, or with the prefix of another kind of run.

    `choose` returns a random character of its argument.
    """
    return prefix + "".join(choose(_CHARACTERS) for _ in range(16))


def check_run_id(text: str) -> str:
    """Return `text` if it can be a run id; raises UsageError, whose hint names the id that `text` contains, if any.

    Port also finds runs by their external ids, which may have any form, so an unusual form alone is not an error.
    """
    if is_run_id(text):
        return text
    if not text:
        raise UsageError("The run id is empty.", hint="Check whether a shell variable is unset.")
    if text in {".", ".."} or not text.isprintable() or any(mark in text for mark in " /?#"):
        found = re.search(_ANYWHERE, text)
        raise UsageError(f"{text!r} is not a run id.", hint=f"Did you mean {found.group()}?" if found else _FORM)
    return text


def doubt_about(run_id: str) -> str | None:
    """Return what is unusual about a run id, or None if it has the usual form."""
    if is_run_id(run_id):
        return None
    if run_id.startswith("r_"):
        return f"{run_id} has {len(run_id) - 2} characters after r_; a run id has 16 letters and digits"
    return f"{run_id} does not look like a run id; it is sent unchanged in case it is a run's external id"
