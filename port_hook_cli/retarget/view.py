"""Messages about retargeted and restored actions and workflow nodes. All text from Port is made printable."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from port_hook_cli.actions.retargeting import UrlChange, differences, value_at
from port_hook_cli.invocations.headers import SECRET_HEADERS
from port_hook_cli.retarget.entry import End, Entry, Outcome, PlannedChange
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.secret import MASK

_MAX_CHARACTERS = 120
_MAX_LINES = 20
RESTORE = "port-hook/restore/1"


def change_lines(entry: Entry, now: Mapping[str, Any], change: UrlChange) -> list[str]:
    """Return the lines about retargeting an action or node: a line with its name, and a line for each changed field."""
    name = printable(entry.name)
    changed = differences(entry.compared(now), entry.compared(change.body))
    if not changed:
        return [f"{name} already has the listener's URL"]
    lines = [f"{name}:"]
    for each in changed:
        before, after = _value(each.keys, each.before), _value(each.keys, each.after)
        lines.append(f"  {_path(each.keys)}: {before} -> {after}")
    if entry.node:
        lines.append("  (creates a new version of the workflow, and another version when the listener ends)")
    if entry.urls:
        url = brief(entry.original_url)
        lines.append(f"  (an earlier listener changed it. When this listener ends, it is restored to {url})")
    return lines


def planned_lines(changes: Iterable[PlannedChange]) -> list[str]:
    """Return the lines about retargeting several actions and nodes."""
    return [line for planned in changes for line in change_lines(*planned)]


def conflict_lines(entry: Entry, now: Mapping[str, Any]) -> list[str]:
    """Return the fields that someone else changed, each in three states: original, as port-hook left it, and now."""
    original = entry.compared_original()
    lines = []
    for each in differences(entry.compared_left(), entry.compared(now)):
        lines += [
            f"  {_path(each.keys)}",
            f"    original:   {_value(each.keys, value_at(original, each.keys))}",
            f"    retargeted: {_value(each.keys, each.before)}",
            f"    now:        {_value(each.keys, each.after)}",
        ]
    return lines if len(lines) <= 4 * _MAX_LINES else [*lines[: 4 * _MAX_LINES], "  …"]


def outcome_lines(outcome: Outcome) -> list[str]:
    """Return the lines to print about one action or node when the listener ends."""
    name = printable(outcome.entry.name)
    if outcome.end is End.CHANGED:
        conflict = conflict_lines(outcome.entry, outcome.now or {})
        return [
            f"Someone else changed {name} in Port, so it is not restored:",
            *conflict,
            f"To undo or accept this change: port-hook restore {name}",
        ]
    message = restore_message(outcome)
    if outcome.is_done:
        return [message]
    next_step = "To try again" if outcome.end is End.REMOVED else "To restore it"
    return [message, f"{next_step}: port-hook restore {name}"]


def restore_message(outcome: Outcome, *, api_url: str = "", file: str = "", dry_run: bool = False) -> str:
    """Return the outcome for one action or node, in printable sentences.

    `api_url` is the API in use. `file` is the journal's file.
    """
    entry, name, file = outcome.entry, printable(outcome.entry.name), printable(file)
    if outcome.end is End.RESTORED:
        verb = "Would restore" if dry_run else "Restored"
        return f"{verb} {name} to {brief(entry.original_url)}{_in_version(outcome, dry_run=dry_run)}."
    if outcome.end is End.UNTOUCHED:
        return f"{name} already has its original URL."
    what = "in a workflow" if entry.node else "another action, or an action"
    accept = f" To accept the current state, delete {file}." if file else ""
    give_up = f" If it no longer needs to be restored, delete {file}." if file else ""
    not_restored = {
        End.CHANGED: f"was not restored: someone else changed it. --overwrite restores it.{accept}",
        End.ANOTHER: f"was not restored: it is now {what} of another organization (--org).{accept}",
        End.REMOVED: "was not restored: it is no longer a WEBHOOK node of the workflow. "
        f"Its original URL was {brief(entry.original_url)}.{give_up}",
        End.FAILED: f"was not restored{_why(outcome)}{give_up}",
        End.ELSEWHERE: f"was not restored: it belongs to {entry.api_url}, but the settings have {api_url}.",
        End.IN_USE: "is in use by another port-hook.",
    }
    return f"{name} {printable(not_restored[outcome.end])}"


def leftover_line(count: int) -> str:
    """Return the note about `count` actions and workflow nodes that ended listeners left behind."""
    left = "1 action or node still points" if count == 1 else f"{count} actions or nodes still point"
    return f"note: {left} to a listener that has stopped. Run port-hook restore."


def _in_version(outcome: Outcome, *, dry_run: bool) -> str:
    if not outcome.entry.node:
        return ""
    if dry_run or outcome.version is None:
        return ", in a new version of the workflow"
    return f", in version {outcome.version} of the workflow"


def _why(outcome: Outcome) -> str:
    problem = outcome.problem
    return f": {problem.message} {problem.hint}".rstrip() if problem else "."


def _path(keys: tuple[str, ...]) -> str:
    return brief(".".join(keys), _MAX_CHARACTERS)


def _value(keys: tuple[str, ...], value: Any) -> str:
    if value is None:
        return "(none)"
    shown = _masked({keys[-1]: value})[keys[-1]]
    return brief(shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False), _MAX_CHARACTERS)


def _masked(value: Any) -> Any:
    """Return a JSON value with the values of credential headers masked."""
    if isinstance(value, Mapping):
        return {name: MASK if name.lower() in SECRET_HEADERS else _masked(inner) for name, inner in value.items()}
    return [_masked(inner) for inner in value] if isinstance(value, list) else value


def restore_record(outcome: Outcome, message: str, *, dry_run: bool) -> dict[str, Any]:
    """Return the record of restoring one action or workflow node.

    `message` explains the outcome in more detail than its `end`.
    """
    entry = outcome.entry
    return {
        "schema": RESTORE,
        "kind": entry.kind,
        "action": None if entry.node else entry.identifier,
        "workflow": entry.identifier if entry.node else None,
        "node": entry.node or None,
        "api_url": entry.api_url,
        "outcome": outcome.end,
        "message": message,
        "version": outcome.version,
        "dry_run": dry_run,
    }
