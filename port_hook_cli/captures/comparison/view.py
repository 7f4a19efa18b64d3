"""The differences of two captures as text and as a record. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from port_hook_cli.captures.comparison.differences import Change
from port_hook_cli.captures.comparison.ignoring import Ignoring
from port_hook_cli.text.safe import brief
from port_hook_cli.text.styled import JSON, Styled

DIFF = "port-hook/diff/1"

_MARKS = {"changed": ("~", "yellow"), "added": ("+", "green"), "removed": ("-", "red"), "moved": (">", "cyan")}
_SECTIONS = (("facts", "outcome"), ("body", "body"), ("headers", "headers"), ("response", "response"))
_JSON_SECTIONS = frozenset({"body", "response"})
_MAX_PATH = 200
_MAX_VALUE = 200


def diff_record(names: tuple[str, str], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record that `diff --json` prints."""
    return {"schema": DIFF, "a": names[0], "b": names[1], "same": is_same(found), **found}


def is_same(found: Mapping[str, Any]) -> bool:
    """Return whether a comparison found nothing. One that stopped early has found something, even if it is ignored."""
    return found["complete"] and not any(found[name] for name, _ in _SECTIONS)


def without_ignored(found: Mapping[str, Any], ignoring: Ignoring, *, bodies_only: bool) -> dict[str, Any]:
    """Return a comparison without what is ignored; with `bodies_only`, without what a payload does not have."""
    if bodies_only:
        return {**found, "body": ignoring.other_body_changes(found["body"]), "headers": [], "facts": [], "response": []}
    response = ignoring.other_body_changes(found["response"])
    return {
        **found,
        "body": ignoring.other_body_changes(found["body"]),
        "headers": ignoring.other_headers(found["headers"]),
        # The changes of the responses' bodies are listed one by one.
        "facts": [change for change in found["facts"] if change["path"] != "response body"],
        "response": response,
    }


def diff_lines(names: tuple[str, str], found: Mapping[str, Any]) -> Iterator[Styled]:
    """Yield a comparison: each side's name, then the changes by section."""
    yield Styled.assemble(("- ", "red"), (brief(names[0]), "bold"))
    yield Styled.assemble(("+ ", "green"), (brief(names[1]), "bold"))
    if found["note"]:
        yield Styled(brief(found["note"]), "dim")
    if is_same(found):
        yield Styled("No differences.")
    for name, title in _SECTIONS:
        if found[name]:
            yield Styled(title, "bold")
            yield from change_lines(found[name], is_json=name in _JSON_SECTIONS)
    if not found["complete"]:
        yield Styled("There are more changes; these are the first 500.", "dim")


def change_lines(changes: Sequence[Change], *, is_json: bool = False) -> Iterator[Styled]:
    """Yield a line for each change: its mark, its path, and the values. `is_json` says that these are JSON."""
    for change in changes:
        mark, style = _MARKS[change["kind"]]
        path = brief(change["path"] or "(whole)", _MAX_PATH)
        yield Styled.assemble("  ", (f"{mark} {path}", style), "  ", *_values(change, JSON if is_json else ""))


def _values(change: Change, style: str) -> tuple[str | tuple[str, str], ...]:
    before, after = (None if change[side] is None else brief(change[side], _MAX_VALUE) for side in ("before", "after"))
    if change["kind"] == "moved":
        return ((f"{after} ", style), (f"(from {brief(change['from'] or '(whole)', _MAX_PATH)})", "dim"))
    if before is None or after is None:
        return ((before or after or "", style),)
    return ((before, "red"), " → ", (after, "green"))
