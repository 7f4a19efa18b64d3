"""Pointing an action at another URL and back: what may be changed, what is sent, and what an action is found as.

Fields: Port's API reference, "Change an action/automation". Its PUT replaces the whole action and takes no field that
it does not know; what Port sets itself is in the answer of "Get an action/automation" only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any
from urllib.parse import quote

WEBHOOK = "WEBHOOK"
# In what GET answers and refused by PUT. Everything else goes back as it came, fields that are newer than this
# program among them: leaving one out would unset it, and one that PUT does not take changes nothing (422).
SET_BY_PORT = frozenset({"id", "createdAt", "createdBy", "updatedAt", "updatedBy"})
_METHOD = "invocationMethod"
_TEMPLATE = "{{"
_ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field that is, or would be, another: its keys from the outside in. None stands for no such field."""

    keys: tuple[str, ...]
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionChange:
    """An action that gets another URL. `body` is what PUT sends; nothing differs when it points there already."""

    identifier: str
    body: Mapping[str, Any]
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An action that cannot be pointed anywhere, and why, in words that go on from its name."""

    identifier: str
    reason: str


@unique
class Standing(StrEnum):
    """What an action is found as: as it was before, as we left it, changed by somebody else, or not the one."""

    ORIGINAL = "original"
    OURS = "ours"
    CHANGED = "changed"
    ANOTHER = "another"


def action_path(identifier: str) -> str:
    """Return the API path of an action or automation, with the identifier quoted."""
    segment = quote(identifier, safe="", errors="replace")
    # `.` and `..` would be resolved away by the client.
    return f"/v1/actions/{segment if segment.strip('.') else segment.replace('.', '%2E')}"


def plan_change(action: Mapping[str, Any], url: str) -> ActionChange | Refusal:
    """Return how `action`, as GET shows it, is pointed at `url`, or why it cannot be."""
    identifier = str(action.get("identifier"))
    if reason := _why_not(action.get(_METHOD)):
        return Refusal(identifier=identifier, reason=reason)
    before = settable(action)
    after = {**before, _METHOD: _pointed(before[_METHOD], url)}
    return ActionChange(identifier=identifier, body=after, differences=differences(before, after))


def settable(action: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of an action that PUT takes, in the same order.

    A null, which no field of an action or of its invocation method may be set to, is left out: that is how PUT is
    told of a field without a value. Inside of templates it stays.
    """
    kept = {name: value for name, value in action.items() if name not in SET_BY_PORT and value is not None}
    method = kept.get(_METHOD)
    if isinstance(method, Mapping):
        kept[_METHOD] = {name: value for name, value in method.items() if value is not None}
    return kept


def standing(
    now: Mapping[str, Any], original: Mapping[str, Any], *, urls: Iterable[str], left: Mapping[str, Any] | None
) -> Standing:
    """Return what the action `now` is, given what it was, each URL that we may have set, and how Port showed it then.

    `left` matters where Port stores something else than it was sent, such as a default that is spelled out.
    """
    ids = (now.get("id"), original.get("id"))
    if None not in ids and ids[0] != ids[1]:
        return Standing.ANOTHER
    found = settable(now)
    if same(found, settable(original)):
        return Standing.ORIGINAL
    if left is not None and same(found, settable(left)):
        return Standing.OURS
    ours = (plan_change(original, url) for url in urls)
    is_ours = any(isinstance(change, ActionChange) and same(found, change.body) for change in ours)
    return Standing.OURS if is_ours else Standing.CHANGED


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: objects in any order, 1 and 1.0 alike, but never 1 and true."""
    pairs = [(one, other)]
    while pairs:  # a loop: documents may be nested deeper than Python's stack
        left, right = pairs.pop()
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            if left.keys() != right.keys():
                return False
            pairs += [(value, right[name]) for name, value in left.items()]
        elif isinstance(left, list) and isinstance(right, list):
            if len(left) != len(right):
                return False
            pairs += zip(left, right, strict=True)
        elif _kind(left) != _kind(right) or left != right:
            return False
    return True


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return each field that differs; lists are compared as a whole."""
    found = []
    pairs: list[tuple[tuple[str, ...], Any, Any]] = [((), before, after)]
    while pairs:
        keys, one, other = pairs.pop()
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            names = [*one, *(name for name in other if name not in one)]
            inner = [((*keys, name), one.get(name, _ABSENT), other.get(name, _ABSENT)) for name in names]
            pairs += reversed(inner)
        elif one is _ABSENT or other is _ABSENT or not same(one, other):
            shown = (None if one is _ABSENT else one, None if other is _ABSENT else other)
            found.append(Difference(keys=keys, before=shown[0], after=shown[1]))
    return tuple(found)


def value_at(document: Any, keys: Iterable[str]) -> Any:
    """Return what stands in a document under `keys`, or None."""
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def _why_not(method: Any) -> str | None:
    if not isinstance(method, Mapping) or method.get("type") != WEBHOOK:
        kind = method.get("type") if isinstance(method, Mapping) else None
        return f"is invoked by {kind or 'nothing known'}, and only a {WEBHOOK} has a URL to change"
    url, agent = method.get("url"), method.get("agent")
    if not isinstance(url, str):
        return "has no URL that could be put back"
    for name, value in (("url", url), ("agent", agent)):
        if isinstance(value, str) and _TEMPLATE in value:
            return f"computes its `{name}` for each run ({value}), and a fixed one would say something else"
    if agent is not None and not isinstance(agent, bool):
        return f"has {agent!r} as its `agent`, which is neither true nor false"
    return None


def _pointed(method: Mapping[str, Any], url: str) -> dict[str, Any]:
    pointed = {**method, "url": url}
    if method.get("agent") is True:
        pointed["agent"] = False  # or Port would hand the invocation to its execution agent, not to the URL
    return pointed


def _kind(value: Any) -> type:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)
