"""Compare two captures, remove ignored differences, and return the rest as text or as a record. This module is pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.javascript.paths import MAX_POINTER, Append, JsonPath, escaped, short_text
from port_hook_cli.text.safe import brief
from port_hook_cli.text.styled import JSON, Styled

DIFF = "port-hook/diff/1"
MAX_CHANGES = 500
_TEXT = 2_000

_MARKS = {"changed": ("~", "yellow"), "added": ("+", "green"), "removed": ("-", "red"), "moved": (">", "cyan")}
_SECTIONS = (("facts", "outcome"), ("body", "body"), ("headers", "headers"), ("response", "response"))
_JSON_SECTIONS = frozenset({"body", "response"})
_MAX_PATH = 200
_MAX_VALUE = 200

_HEADER = "header:"
_HINT = "Write a path such as result.id, a JSON Pointer such as /result/id, or header:NAME."

Change = dict[str, Any]


def compare(a: Capture, b: Capture) -> dict[str, Any]:
    """Return the differences between two captures: `body`, `headers`, `facts` and `response`, each a list of changes.

    `response` lists the changes between the bodies of the responses. `complete` is False if port-hook stopped after 500
    changes of a list. `note` explains why the bodies were not compared as JSON.
    """
    bodies = compare_bodies(
        JsonBody(a.invocation.body, a.payload.document, a.payload.problem),
        JsonBody(b.invocation.body, b.payload.document, b.payload.problem),
    )
    responses = compare_bodies(_response_json(a), _response_json(b))
    return {
        "body": bodies.changes,
        "headers": compare_headers(a.invocation.headers, b.invocation.headers),
        "facts": list(_facts(a, b)),
        "response": responses.changes,
        "complete": bodies.is_complete and responses.is_complete,
        "note": bodies.note,
    }


class JsonBody(NamedTuple):
    """A body, its JSON document or None, and the reason why the body has no document."""

    content: bytes
    document: Any
    problem: str | None = None

    @classmethod
    def read(cls, content: bytes) -> JsonBody:
        """Return a body with its JSON document, if the body is JSON."""
        payload = read_payload(content, Headers())
        return cls(content, payload.document, payload.problem)


class BodyChanges(NamedTuple):
    """The changes from one body to another, at most 500, and a note if the bodies were not compared as JSON."""

    changes: list[Change]
    is_complete: bool = True
    note: str | None = None


def compare_bodies(one: JsonBody, other: JsonBody) -> BodyChanges:
    """Return the changes from one body to another: of their JSON if both bodies are JSON, otherwise of their sizes."""
    if one.content == other.content:
        return BodyChanges([])
    if one.document is None or other.document is None:
        problem = one.problem or other.problem or "a body is not JSON"
        sizes = _change("", "changed", f"{len(one.content)} bytes", f"{len(other.content)} bytes")
        return BodyChanges([sizes], note=f"The bodies were not compared as JSON: {problem}.")
    found = list(islice(differences(one.document, other.document), MAX_CHANGES + 1))
    if not found:
        return BodyChanges([], note="The bodies are the same JSON in different bytes.")
    return BodyChanges(_with_moves(found[:MAX_CHANGES]), is_complete=len(found) <= MAX_CHANGES)


def _with_moves(changes: list[Change]) -> list[Change]:
    """Return changes in which a value removed at one path and added at another is one `moved` change.

    Only values that occur once on each side count. Null, booleans and empty values don't count, because they don't
    identify a value.
    """
    removed, added = (_by_value(changes, kind, side) for kind, side in (("removed", "before"), ("added", "after")))
    moved = {id(added[text]): removed[text] for text in added if text in removed}
    gone = {id(change) for change in moved.values()}
    return [
        _moved(moved[id(change)], change) if id(change) in moved else change
        for change in changes
        if id(change) not in gone
    ]


def _by_value(changes: list[Change], kind: str, side: str) -> dict[str, Change]:
    counts = Counter(change[side] for change in changes if change["kind"] == kind)
    return {
        change[side]: change
        for change in changes
        if change["kind"] == kind and counts[change[side]] == 1 and _is_telling(change[side])
    }


def _is_telling(text: str) -> bool:
    return len(text) <= _TEXT and text not in {"null", "true", "false", "{}", "[]", '""'}


def _moved(before: Change, after: Change) -> Change:
    return {
        "path": after["path"],
        "kind": "moved",
        "before": before["before"],
        "after": after["after"],
        "from": before["path"],
    }


def differences(before: Any, after: Any) -> Iterator[Change]:
    """Yield the changes from one document to another, in the order of the first document. Does not recurse."""
    stack: list[tuple[_Place | None, Any, Any]] = [(None, before, after)]
    while stack:
        place, one, other = stack.pop()
        if isinstance(one, dict) and isinstance(other, dict):
            keys = reversed({**one, **other})
            stack.extend((_Place(place, key), one.get(key, _ABSENT), other.get(key, _ABSENT)) for key in keys)
        elif isinstance(one, list) and isinstance(other, list):
            numbers = range(max(len(one), len(other)) - 1, -1, -1)
            stack.extend((_Place(place, str(i)), _item(one, i), _item(other, i)) for i in numbers)
        elif one is _ABSENT:
            yield _change(_pointer(place), "added", None, short_text(other, _TEXT))
        elif other is _ABSENT:
            yield _change(_pointer(place), "removed", short_text(one, _TEXT), None)
        elif not _is_same(one, other):
            yield _change(_pointer(place), "changed", short_text(one, _TEXT), short_text(other, _TEXT))


class _Absent:
    """Marks a missing member."""


_ABSENT = _Absent()


class _Place(NamedTuple):
    """The place of a value: a key inside another place. Only changed values get a pointer, because keys can be long."""

    parent: _Place | None
    key: str


def _pointer(place: _Place | None) -> str:
    """Return a place as a JSON Pointer, truncated to 4,096 characters."""
    tokens: list[str] = []
    while place is not None:
        tokens.append(f"/{escaped(place.key[:MAX_POINTER])}")
        place = place.parent
    pointer = "".join(islice(reversed(tokens), MAX_POINTER))
    return pointer if len(pointer) <= MAX_POINTER else f"{pointer[:MAX_POINTER]}…"


def _item(values: list[Any], number: int) -> Any:
    return values[number] if number < len(values) else _ABSENT


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two values that are not both objects or both arrays are the same. NaN equals NaN."""
    if type(one) is not type(other):
        return False
    return bool(one == other) or (one != one and other != other)  # noqa: PLR0124 - true only for NaN


def compare_headers(one: Headers, other: Headers) -> list[Change]:
    """Return the changes from one set of headers to another, by name. Values with the same name are joined."""
    names = dict.fromkeys((*one.names, *other.names))
    return [
        _change(name, _kind(before, after), before, after)
        for name in islice(names, MAX_CHANGES)
        for before, after in [(_joined(one, name), _joined(other, name))]
        if before != after
    ]


def _facts(a: Capture, b: Capture) -> Iterator[Change]:
    for name, one, other in (
        ("verdict", str(a.verdict.status), str(b.verdict.status)),
        ("causes", ", ".join(a.verdict.slugs) or None, ", ".join(b.verdict.slugs) or None),
        ("method", a.invocation.method, b.invocation.method),
        ("target", a.invocation.target[:_TEXT], b.invocation.target[:_TEXT]),
        ("handler", _handler(a), _handler(b)),
        ("response", _response(a), _response(b)),
        ("response body", _response_body(a), _response_body(b)),
    ):
        if one != other:
            yield _change(name, _kind(one, other), one, other)


def _response_json(capture: Capture) -> JsonBody:
    return JsonBody.read(b"" if capture.response is None else capture.response.body)


def _handler(capture: Capture) -> str | None:
    return None if capture.delivery is None else capture.delivery.outcome


def _response(capture: Capture) -> str | None:
    return None if capture.response is None else str(capture.response.status)


def _response_body(capture: Capture) -> str | None:
    if capture.response is None or not capture.response.body:
        return None
    return capture.response.body[:_TEXT].decode("utf-8", "replace")


def _joined(headers: Headers, name: str) -> str | None:
    values = headers.all(name)
    return ", ".join(values)[:_TEXT] if values else None


def _kind(before: str | None, after: str | None) -> str:
    return "added" if before is None else "removed" if after is None else "changed"


def _change(path: str, kind: str, before: str | None, after: str | None) -> Change:
    return {"path": path, "kind": kind, "before": before, "after": after}


@frozen
class Ignoring:
    """What a comparison ignores: JSON Pointers with everything below them, and header names in lowercase."""

    pointers: tuple[str, ...] = ()
    headers: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, texts: Iterable[str], *, headers: Iterable[str] = ()) -> Ignoring:
        """Parse the values of `--ignore`, and add the names in `headers`. Raises UsageError."""
        texts = list(texts)
        names = [text.removeprefix(_HEADER).strip().lower() for text in texts if text.startswith(_HEADER)]
        if "" in names:
            raise UsageError("--ignore header: needs the name of a header.", hint=_HINT)
        pointers = tuple(_ignored_pointer(text) for text in texts if not text.startswith(_HEADER))
        return cls(pointers, frozenset((*names, *headers)))

    def other_body_changes(self, changes: Sequence[Change]) -> list[Change]:
        """Return the changes of a body, without ignored changes. A moved value is ignored if both of its paths are."""
        return [change for change in changes if not all(map(self._has, _places(change)))]

    def other_headers(self, changes: Sequence[Change]) -> list[Change]:
        """Return the changes of headers, without ignored changes."""
        return [change for change in changes if change["path"].lower() not in self.headers]

    def _has(self, pointer: str) -> bool:
        return any(pointer == ignored or pointer.startswith(f"{ignored}/") for ignored in self.pointers)


def _places(change: Change) -> list[str]:
    return [change["path"], *([change["from"]] if "from" in change else [])]


def _ignored_pointer(text: str) -> str:
    if text.startswith("/"):
        return text.rstrip("/")
    steps = JsonPath.parse(text).steps
    if any(isinstance(step, Append) for step in steps):
        raise UsageError(f"--ignore {text}: [] is not a value.", hint=_HINT)
    return "".join(f"/{escaped(str(step))}" for step in steps)


def diff_record(names: tuple[str, str], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record that `diff --json` prints."""
    return {"schema": DIFF, "a": names[0], "b": names[1], "same": is_same(found), **found}


def is_same(found: Mapping[str, Any]) -> bool:
    """Return whether a comparison found no changes. A comparison that stopped early found some, even if ignored."""
    return found["complete"] and not any(found[name] for name, _ in _SECTIONS)


def without_ignored(found: Mapping[str, Any], ignoring: Ignoring, *, bodies_only: bool) -> dict[str, Any]:
    """Return a comparison without ignored changes. With `bodies_only`, only the request bodies are compared."""
    if bodies_only:
        return {**found, "body": ignoring.other_body_changes(found["body"]), "headers": [], "facts": [], "response": []}
    response = ignoring.other_body_changes(found["response"])
    return {
        **found,
        "body": ignoring.other_body_changes(found["body"]),
        "headers": ignoring.other_headers(found["headers"]),
        # `response` lists the changes of the response bodies one by one.
        "facts": [change for change in found["facts"] if change["path"] != "response body"],
        "response": response,
    }


_GOOD = 3
_STATUSES = {"1": _GOOD, "2": _GOOD, "3": 2, "4": 1, "5": 0}


def _rank_status(outcome: str) -> int:
    """Rank an HTTP status, the best status highest. A fault ranks lowest, because the handler did not respond."""
    return _STATUSES.get(outcome[:1], 0)


_RANKS: Mapping[str, Callable[[str], int | None]] = {
    "verdict": {"valid": 3, "reencoded": 2, "stale": 1, "missing": 0, "malformed": 0, "invalid": 0}.get,
    "handler": _rank_status,
    "response": _rank_status,
}


def outcome_trend(change: Change) -> str | None:
    """Return `better` or `worse` for a changed outcome, otherwise None. A new outcome is compared with a good one."""
    rank = _RANKS.get(change["path"])
    if rank is None or change["after"] is None:
        return None
    after, before = rank(change["after"]), _GOOD if change["before"] is None else rank(change["before"])
    if after is None or before is None:
        return None
    if change["before"] is None and after == _GOOD:
        return "better"
    return "better" if after > before else "worse" if after < before else None


def by_member(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a comparison that lists each response change only once, and that adds a `trend` to each fact.

    `response` lists the changes of JSON bodies by member. A change of any other body is one of the `facts`.
    """
    is_json = any(change["path"] for change in found["response"])
    facts = [change for change in found["facts"] if not (is_json and change["path"] == "response body")]
    return {
        **found,
        "facts": [{**change, "trend": outcome_trend(change)} for change in facts],
        "response": found["response"] if is_json else [],
    }


def diff_lines(names: tuple[str, str], found: Mapping[str, Any]) -> Iterator[Styled]:
    """Yield the lines of a comparison: the name of each side, then the changes by section."""
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
        yield Styled("There are more changes. These are the first 500.", "dim")


def change_lines(changes: Sequence[Change], *, is_json: bool = False) -> Iterator[Styled]:
    """Yield a line for each change: its mark, its path, and its values. `is_json` means that the values are JSON."""
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
