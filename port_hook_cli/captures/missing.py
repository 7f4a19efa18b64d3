"""The error messages of the commands and the inspector about a missing capture. This module is pure."""

from __future__ import annotations

from collections.abc import Sequence

from port_hook_cli.captures.latest import LAST, LAST_REPLAY, Latest
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.payload import is_run_id

MOST_NAMED = 5
"""The maximum number of IDs in the message about an ambiguous name."""

_LIST_THEM = "Run `port-hook captures` to list the captures."


@frozen
class MissingCapture:
    """The message and the hint of an error about a missing capture."""

    message: str
    hint: str


def no_captures(store: str) -> MissingCapture:
    """Return the error for a store without captures."""
    return MissingCapture(f"{store} has no captures yet.", "Start `port-hook listen` and let Port invoke it.")


def no_latest(store: str, name: str, latest: Latest, *, count: int, captures: int) -> MissingCapture:
    """Return the error for a store with only `count` captures of the kind of `latest`, and `captures` of any kind."""
    if count:
        kind = "replay" if latest.replays else "captured request"
        return MissingCapture(
            f"Capture not found: {name}. {store} has {count} {kind}{'' if count == 1 else 's'}.",
            _LIST_THEM,
        )
    if not captures:
        return no_captures(store)
    if latest.replays:
        return MissingCapture(f"{store} has no replays.", "Run `port-hook replay last` to create one.")
    return MissingCapture(
        f"{store} has only replays.",
        f"Pass `{LAST_REPLAY}` for the latest replay. `{LAST}` is the latest request that arrived.",
    )


def no_such(store: str, name: str, *, ever: int, now: int) -> MissingCapture:
    """Return the error if no capture has the run ID or ID `name`. The store has `now` captures, and once had `ever`."""
    if not now:
        return no_captures(store)
    if is_run_id(name):
        return MissingCapture(
            f"Capture not found: {name}. {store} has no capture of this run.",
            "Run `port-hook captures` to list its captures.",
        )
    deleted = (
        f" {ever - now} older captures were deleted (by the limits of the store, or by prune)." if ever > now else ""
    )
    return MissingCapture(f"Capture not found: {name}. No ID in {store} starts with it.{deleted}", _LIST_THEM)


def ambiguous(name: str, ids: Sequence[str]) -> MissingCapture:
    """Return the error for an ambiguous name, which begins several `ids`. The message lists the first IDs."""
    more = ", …" if len(ids) > MOST_NAMED else ""
    return MissingCapture(
        f"'{name}' is the start of several capture IDs: {', '.join(ids[:MOST_NAMED])}{more}.",
        "Type more characters of the ID.",
    )
