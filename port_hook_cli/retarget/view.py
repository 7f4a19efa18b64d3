"""Messages about actions that are retargeted and restored. All text from Port is made printable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from port_hook_cli.actions.retargeting import ActionChange, differences, plan_change, settable, value_at
from port_hook_cli.invocations.masked_headers import SECRET_HEADERS
from port_hook_cli.retarget.entry import Entry
from port_hook_cli.retarget.outcome import End, Outcome
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.secret import MASK

_MAX_CHARACTERS = 120
_MAX_LINES = 20


def change_lines(entry: Entry, now: Mapping[str, Any], change: ActionChange) -> list[str]:
    """Return the changes of retargeting an action: a line with its name, and one for each field."""
    name = printable(entry.identifier)
    changed = differences(settable(now), change.body)
    if not changed:
        return [f"{name} already has the listener's URL"]
    lines = [f"{name}:"]
    for each in changed:
        before, after = _value(each.keys, each.before), _value(each.keys, each.after)
        lines.append(f"  {_path(each.keys)}: {before} -> {after}")
    if entry.urls:
        url = brief(str(entry.original["invocationMethod"]["url"]))
        lines.append(f"  (an earlier listener changed this action; at the end it is restored to {url})")
    return lines


def conflict_lines(entry: Entry, now: Mapping[str, Any]) -> list[str]:
    """Return the fields of an action that someone else changed, in three states: original, ours, now."""
    original, ours, found = settable(entry.original), _ours(entry), settable(now)
    lines = []
    for each in differences(ours, found):
        lines += [
            f"  {_path(each.keys)}",
            f"    original: {_value(each.keys, value_at(original, each.keys))}",
            f"    ours:     {_value(each.keys, each.before)}",
            f"    now:      {_value(each.keys, each.after)}",
        ]
    return lines if len(lines) <= 4 * _MAX_LINES else [*lines[: 4 * _MAX_LINES], "  …"]


def restore_message(outcome: Outcome, *, file: str = "", dry_run: bool = False) -> str:
    """Return the outcome for one action, as a phrase that follows its name; `file` is its file in the journal."""
    keep = f"; to keep it as it is, delete {file}" if file else ""
    match outcome.end:
        case End.RESTORED:
            url = brief(str(value_at(outcome.entry.original, ("invocationMethod", "url"))))
            return f"would be restored to {url}" if dry_run else f"is restored to {url}"
        case End.UNTOUCHED:
            return "is as it was before"
        case End.CHANGED:
            return f"was changed by someone else and is not restored; --overwrite restores it{keep}"
        case End.ANOTHER:
            return f"is now another action, or one of another organization (--org), and is not restored{keep}"
        case End.FAILED:
            problem = outcome.problem
            return (
                f"was not restored: {problem.message} {problem.hint}".rstrip() + keep if problem else "was not restored"
            )


def leftover_line(count: int) -> str:
    """Return the note about `count` actions that ended listeners left behind."""
    actions, them, have = ("action", "it", "has") if count == 1 else ("actions", "them", "have")
    return (
        f"note: {count} {actions} still {have} the URL of a listener that has ended; port-hook restore restores {them}"
    )


def _ours(entry: Entry) -> dict[str, Any]:
    if entry.left is not None:
        return settable(entry.left)
    change = plan_change(entry.original, entry.urls[-1] if entry.urls else "")
    return dict(change.body) if isinstance(change, ActionChange) else {}


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
