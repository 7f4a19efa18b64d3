"""Changes a JSON body: sets or removes values, and lets the user edit its text."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.javascript.paths import MISSING, JsonPath, Step, get_at, set_at, split_assignment, unset_at
from port_hook_cli.javascript.stringify import NotJson, stringify
from port_hook_cli.text.safe import brief

# Comparing long names is slow, and a body may have any number of names.
_MOST_NAMES = 1000
_MOST_OBJECTS = 100
_LONGEST_NAME = 64
_TOO_DEEP = "Edit a copy by hand (`port-hook show ID --body`) and replay that file."


@frozen
class Assignment:
    """A path into a body, and the new value at this path. `adds` allows a path that the body does not have."""

    path: JsonPath
    value: Any
    adds: bool = False

    @classmethod
    def at(cls, path: str, value: Any) -> Assignment:
        """Return the assignment for `PATH` or `+PATH`, which adds a value. Raises UsageError for an invalid path."""
        return cls(JsonPath.parse(path.removeprefix("+")), value, path.startswith("+"))

    @classmethod
    def parse(cls, text: str) -> Assignment:
        """Return the assignment in `PATH=JSON` or `+PATH=JSON`. A value that is not JSON is a string.

        Raises UsageError for an invalid path. Also raises UsageError for an invalid value that begins like an object,
        an array or a string in JSON, because such a value is a typing error.
        """
        path_text, value_text = split_assignment(text)
        assignment = cls.at(path_text, value_text)
        try:
            return replace(assignment, value=_load(value_text))
        except NotJson as problem:
            if value_text.lstrip()[:1] in {"{", "[", '"'}:
                is_at_end = problem.syntax and problem.syntax.column > len(value_text)
                fault = problem.syntax.reason if problem.syntax and is_at_end else problem.fault
                fault = fault[:1].upper() + fault[1:]
                raise UsageError(
                    f'--set {assignment.path}: "{brief(value_text)}" is not valid JSON. {fault}.',
                    hint="Fix the JSON, or put the value in double quotes.",
                ) from problem
        return assignment


@frozen(kw_only=True)
class Edits:
    """The changes to a body: first the removals, then the assignments, each in order.

    Messages call the two kinds of change `unset` and `set`. The command line passes the `dashes` of its options as a
    prefix for these names.
    """

    unset: Sequence[JsonPath] = ()
    assignments: Sequence[Assignment] = ()
    dashes: str = ""

    def __bool__(self) -> bool:
        return bool(self.unset or self.assignments)

    def apply(self, body: bytes) -> tuple[bytes, tuple[str, ...]]:
        """Return the edited body in `JSON.stringify` form, and a note for each removal that did not find a value.

        Raises UsageError if the body is not JSON, a path does not fit the body, or an assignment would add a name.
        """
        document = captured = load_body(body)
        notes: list[str] = []
        for path in self.unset:
            shorter = unset_at(document, path)
            if shorter is document:
                notes.append(f"{self.dashes}unset {path}: the body does not have this value, so nothing was removed")
            document = shorter
        for assignment in self.assignments:
            if not assignment.adds and _added_depth(captured, assignment.path) is not None:
                self._refuse_new_name(document, assignment.path)
            document = set_at(document, assignment.path, assignment.value)
        return write_body(document), tuple(notes)

    def _refuse_new_name(self, document: Any, path: JsonPath) -> None:
        """Raise UsageError if setting `path` would add a name to an object, with the most similar path."""
        depth = _added_depth(document, path)
        if depth is None:
            return
        parent = get_at(document, replace(path, steps=path.steps[:depth]))
        if not isinstance(parent, dict | None):
            return  # it cannot have names, which `set_at` reports
        near = _most_similar(path.steps[depth], parent)
        meant = _corrected(document, path, depth, near) if near is not None else _elsewhere(document, path)
        similar = f"Did you mean {brief(meant)}? " if meant else ""
        raise UsageError(
            f"{self.dashes}set {path}: the body does not have {path.prefix(depth + 1)}.",
            hint=f"{similar}To add a value{': --set +PATH=JSON' if self.dashes else ', put + before its path.'}",
        )


def _elsewhere(document: Any, path: JsonPath) -> str:
    """Return the only path that adds names before `path`, such as payload.properties.cpu for cpu, or ""."""
    found: list[str] = []
    waiting: deque[tuple[tuple[Step, ...], dict[str, Any]]] = deque(
        [((), document)] if isinstance(document, dict) else ()
    )
    for _ in range(_MOST_OBJECTS):
        if not waiting:
            break
        steps, names = waiting.popleft()
        if steps and get_at(names, path) is not MISSING:
            found.append(str(replace(path, steps=(*steps, *path.steps))))
        inner = ((name, value) for name, value in islice(names.items(), _MOST_NAMES) if isinstance(value, dict))
        waiting.extend(((*steps, name), value) for name, value in inner)
    return found[0] if len(found) == 1 else ""


def _corrected(document: Any, path: JsonPath, depth: int, name: str) -> str:
    """Return `path` with another name at `depth`, up to this name if the body does not have the rest of the path."""
    whole = replace(path, steps=(*path.steps[:depth], name, *path.steps[depth + 1 :]))
    return str(whole if get_at(document, whole) is not MISSING else replace(path, steps=whole.steps[: depth + 1]))


def _added_depth(document: Any, path: JsonPath) -> int | None:
    """Return the position of the first step of `path` that is a missing name, or None.

    An item that `[]` or `[n]` adds to an array is not a missing name, because it is never a typing error.
    """
    inner = document
    for depth, step in enumerate(path.fitted(document).steps):
        found = get_at(inner, JsonPath((step,)))
        if found is MISSING:
            return depth if isinstance(step, str) else None
        inner = found
    return None


def _most_similar(name: Step, parent: Any) -> str | None:
    if not (isinstance(name, str) and isinstance(parent, dict)) or len(name) > _LONGEST_NAME:
        return None
    from difflib import get_close_matches

    names = [other for other in islice(parent, _MOST_NAMES) if len(other) <= _LONGEST_NAME]
    return next(iter(get_close_matches(name, names, n=1)), None)


def load_body(body: bytes) -> Any:
    """Return the document in `body`. Raises UsageError if the body is not JSON."""
    try:
        return _load(body.decode("utf-8-sig"))
    except (NotJson, UnicodeDecodeError) as problem:
        raise _not_json(problem) from problem


def _not_json(problem: Exception) -> UsageError:
    return UsageError(f"port-hook cannot edit the body: {problem}.", hint="Replay it without editing it.")


def for_editor(body: bytes) -> str:
    """Return `body` as indented JSON text for an editor. Raises UsageError if the body is not JSON."""
    try:
        return stringify(body.decode("utf-8-sig"), "  ") + "\n"
    except (NotJson, UnicodeDecodeError) as problem:
        raise _not_json(problem) from problem


def from_editor(text: str) -> bytes:
    """Return an edited text in `JSON.stringify` form. Raises NotJson with the position of the error."""
    return stringify(text).encode()


def _load(text: str) -> Any:
    # After JSON.stringify, Python accepts every number (not 5,000 digits), and JSON can express it (not 1e400).
    try:
        return json.loads(stringify(text))
    except RecursionError:
        raise UsageError("port-hook cannot edit the JSON, because it is nested too deeply.", hint=_TOO_DEEP) from None


def write_body(document: Any) -> bytes:
    """Return a document in `JSON.stringify` form. Raises UsageError if the document is nested too deeply."""
    try:
        return stringify(json.dumps(document)).encode()
    except (NotJson, RecursionError):
        raise UsageError("port-hook cannot edit the JSON, because it is nested too deeply.", hint=_TOO_DEEP) from None
