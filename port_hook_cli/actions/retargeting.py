"""Change the URL of an action and restore it: what may change, what is sent, and who changed the action last.

Port's API reference describes the fields, under "Change an action/automation". Its PUT replaces the whole action and
rejects unknown fields. The fields that Port itself sets are only in the response of "Get an action/automation".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum, unique
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.javascript.values import same

WEBHOOK = "WEBHOOK"
# GET returns these fields, but PUT rejects them. All other fields are sent back unchanged, even fields that are newer
# than this version of port-hook. PUT unsets a missing field, and rejects the whole change (422) for an unknown field.
SET_BY_PORT = frozenset({"id", "createdAt", "createdBy", "updatedAt", "updatedBy"})
_METHOD = "invocationMethod"
_TEMPLATE = "{{"
_ABSENT = object()


@frozen(kw_only=True)
class Difference:
    """A changed field. `keys` are the keys from the outermost to the innermost. A missing field has the value None."""

    keys: tuple[str, ...]
    before: Any
    after: Any


@frozen(kw_only=True)
class UrlChange:
    """A change to the URL of an action, or of a node of a workflow.

    `body` is the body of the PUT request. There are no differences if the action already has the URL.
    """

    identifier: str
    body: Mapping[str, Any]
    differences: tuple[Difference, ...]


@frozen(kw_only=True)
class Rejection:
    """An action or node whose URL cannot be changed. `reason` continues a sentence that begins with the name."""

    identifier: str
    reason: str


@unique
class Standing(StrEnum):
    """The state of an action or node in Port, compared with the journal.

    ORIGINAL: the state before the first change. RETARGETED: the state that port-hook left. CHANGED: someone else
    changed the action or node. ANOTHER: the identifier refers to something else. REMOVED: the workflow no longer has
    the node.
    """

    ORIGINAL = "original"
    RETARGETED = "retargeted"
    CHANGED = "changed"
    ANOTHER = "another"
    REMOVED = "removed"


def plan_change(action: Mapping[str, Any], url: str) -> UrlChange | Rejection:
    """Return the change that sets an action's URL to `url`, or the reason why the URL cannot be changed.

    `action` is the response of GET.
    """
    identifier = str(action.get("identifier"))
    if reason := _why_not(action.get(_METHOD)):
        return Rejection(identifier=identifier, reason=reason)
    before = settable(action)
    after = {**before, _METHOD: pointed_at(before[_METHOD], url)}
    return UrlChange(identifier=identifier, body=after, differences=differences(before, after))


def settable(action: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an action that PUT accepts, in the same order.

    Null fields of the action and of its invocation method are left out, because PUT rejects null and unsets missing
    fields. Nulls inside templates stay.
    """
    kept = {name: value for name, value in action.items() if name not in SET_BY_PORT and value is not None}
    method = kept.get(_METHOD)
    if isinstance(method, Mapping):
        kept[_METHOD] = {name: value for name, value in method.items() if value is not None}
    return kept


def standing(
    now: Mapping[str, Any], original: Mapping[str, Any], *, urls: Iterable[str], left: Mapping[str, Any] | None
) -> Standing:
    """Return the state of the action `now`, compared with the original and with the changes of port-hook.

    `urls` are the URLs that port-hook may have set. `left` is Port's response to the change, which can differ from the
    request, for example because Port adds defaults.
    """
    ids = (now.get("id"), original.get("id"))
    if None not in ids and ids[0] != ids[1]:
        return Standing.ANOTHER
    found = settable(now)
    if same(found, settable(original)):
        return Standing.ORIGINAL
    if left is not None and same(found, settable(left)):
        return Standing.RETARGETED
    changes = (plan_change(original, url) for url in urls)
    is_retargeted = any(isinstance(change, UrlChange) and same(found, change.body) for change in changes)
    return Standing.RETARGETED if is_retargeted else Standing.CHANGED


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return the fields that differ. Lists are compared as a whole."""
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
    """Return the value at the path `keys` in a document, or None."""
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def why_not_fixed(method: Mapping[str, Any]) -> str | None:
    """Return why the URL of an invocation method, or of a node's config, cannot be changed, or None if it can be."""
    url, agent = method.get("url"), method.get("agent")
    if not isinstance(url, str):
        return "has no URL that could be restored"
    for name, value in (("url", url), ("agent", agent)):
        if isinstance(value, str) and _TEMPLATE in value:
            return f"computes its `{name}` for each run ({value}), which a fixed value would change"
    if agent is not None and not isinstance(agent, bool):
        return f"has {agent!r} as its `agent`, which is neither true nor false"
    return None


def pointed_at(method: Mapping[str, Any], url: str) -> dict[str, Any]:
    """Return an invocation method, or a node's config, that makes Port itself send its requests to `url`."""
    pointed = {**method, "url": url}
    if method.get("agent") is True:
        # Otherwise, Port would pass the invocation to its execution agent instead of sending it to the URL.
        pointed["agent"] = False
    return pointed


def _why_not(method: Any) -> str | None:
    if not isinstance(method, Mapping) or method.get("type") != WEBHOOK:
        kind = method.get("type") if isinstance(method, Mapping) else None
        return f"is invoked by {kind or 'an unknown method'}, but only a {WEBHOOK} has a URL to change"
    return why_not_fixed(method)
