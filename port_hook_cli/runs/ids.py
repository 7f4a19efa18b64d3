"""Run ids: how they are made, and how they are read when a user types, pastes or cuts them."""

from __future__ import annotations

import re
import string
from collections.abc import Callable

from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.payload import is_run_id

_ANYWHERE = re.compile(r"(?<![A-Za-z0-9])(?:r_[A-Za-z0-9]{16}|wfnr_[A-Za-z0-9]+)(?![A-Za-z0-9])")
_CHARACTERS = string.ascii_letters + string.digits
_FORM = "An action run's id is r_ and 16 letters and digits; a workflow node's run has wfnr_… ."


def make_run_id(choose: Callable[[str], str]) -> str:
    """Return a new id in the form of Port's action runs; `choose` returns a random character of its argument."""
    return "r_" + "".join(choose(_CHARACTERS) for _ in range(16))


def check_run_id(text: str) -> str:
    """Return `text` as a run id; raises UsageError for what cannot name any run, with the id it holds if it holds one.

    Port also finds a run by its external id, which may be anything, so an unusual form alone is no error.
    """
    if is_run_id(text):
        return text
    if text in {"", ".", ".."} or not text.isprintable() or any(mark in text for mark in " /?#"):
        found = _ANYWHERE.search(text)
        raise UsageError(f"{text!r} is not a run id.", hint=f"Did you mean {found.group()}?" if found else _FORM)
    return text


def doubt_about(run_id: str) -> str | None:
    """Return what looks odd about a run id, None when it has the usual form."""
    if is_run_id(run_id):
        return None
    if run_id.startswith("r_"):
        return f"{run_id} has {len(run_id) - 2} characters after r_, where a run id has 16 letters and digits"
    return f"{run_id} does not look like a run id; it is sent as it is, in case it is a run's external id"
