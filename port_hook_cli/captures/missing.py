"""The error messages of the commands and the inspector about a missing capture. This module is pure."""

from __future__ import annotations

from collections.abc import Sequence

from port_hook_cli.captures.latest import LAST, LAST_REPLAY, Latest
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.payload import is_run_id
from port_hook_cli.text.safe import brief

MOST_NAMED = 5
"""The maximum number of IDs in the message about an ambiguous name."""

_SHOWN_ID = 40
_LIST_THEM = "Run `port-hook captures` to list the captures."


class NoSuchCapture(StoreError):
    """No capture has the given name."""


class AmbiguousCapture(StoreError):
    """Several captures have IDs that begin with the given prefix."""


def no_captures(store: str) -> NoSuchCapture:
    """Return the error for a store without captures."""
    return NoSuchCapture(f"{store} has no captures yet.", hint="Start `port-hook listen` and let Port invoke it.")


def no_latest(store: str, name: str, latest: Latest, *, count: int, captures: int) -> NoSuchCapture:
    """Return the error for a store with only `count` captures of the kind of `latest`, and `captures` of any kind."""
    if count:
        kind = "replay" if latest.replays else "captured request"
        return NoSuchCapture(
            f"Capture not found: {name}. {store} has {count} {kind}{'' if count == 1 else 's'}.",
            hint=_LIST_THEM,
        )
    if not captures:
        return no_captures(store)
    if latest.replays:
        return NoSuchCapture(f"{store} has no replays.", hint="Run `port-hook replay last` to create one.")
    return NoSuchCapture(
        f"{store} has only replays.",
        hint=f"Pass `{LAST_REPLAY}` for the latest replay. `{LAST}` is the latest request that arrived.",
    )


def no_such(store: str, name: str, *, ever: int, now: int) -> NoSuchCapture:
    """Return the error if no capture has the run ID or ID `name`. The store has `now` captures, and once had `ever`."""
    if not now:
        return no_captures(store)
    if is_run_id(name):
        return NoSuchCapture(
            f"Capture not found: {name}. {store} has no capture of this run.",
            hint="Run `port-hook captures` to list its captures.",
        )
    shown = brief(name)
    deleted = (
        f" {ever - now} older captures were deleted (by the limits of the store, or by prune)." if ever > now else ""
    )
    return NoSuchCapture(f"Capture not found: {shown}. No ID in {store} starts with it.{deleted}", hint=_LIST_THEM)


def ambiguous(name: str, ids: Sequence[str]) -> AmbiguousCapture:
    """Return the error for an ambiguous name, which begins several `ids`. The message lists the first IDs."""
    named = ", ".join(brief(each, _SHOWN_ID) for each in ids[:MOST_NAMED])
    more = ", …" if len(ids) > MOST_NAMED else ""
    return AmbiguousCapture(
        f"'{brief(name)}' is the start of several capture IDs: {named}{more}.",
        hint="Type more characters of the ID.",
    )
