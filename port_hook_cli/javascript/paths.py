"""Paths into a JSON document: `payload.properties.cpu`, `tags[0]`, `tags[]`, `inputs["my.key"]`.

A path is a sequence of keys, joined by dots. A key that contains a dot, a bracket, an equals sign or a quote is written
as a JSON string. `[n]` is the n-th item of an array, counted from 0, and `[]` is the place after the array's last item.

A path that begins with a slash is a JSON Pointer (RFC 6901), the form that `diff` and other programs write:
`/payload/properties/cpu`, `/tags/0`, and `/tags/-` for the place after the last item. `["/a"]` is a key that begins
with a slash.
"""

from __future__ import annotations

import json
import re
from copy import copy
from dataclasses import replace
from enum import Enum
from typing import Any, Final

from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.javascript.nesting import json_beginning


class Append(Enum):
    """The step `[]`, which is the place after an array's last item."""

    END = "[]"


class Missing(Enum):
    """The result of `get_at` if a document has no value at a path. None would be a JSON value."""

    MISSING = "missing"


END: Final = Append.END
MISSING: Final = Missing.MISSING
Step = str | int | Append

_STRING = r'"(?:[^"\\]|\\.)*"'
_STEP = rf"""(?xs)
           \.?(?:(?P<bare>[^.\[\]"=]+)|(?P<quoted>{_STRING}))
         | \[(?:(?P<index>[0-9]{{1,9}})|(?P<inner>{_STRING}))?\]"""
_BEFORE_EQUALS = rf'(?s)(?:[^="]|{_STRING})*'
_SYNTAX = 'Paths look like payload.properties.cpu, tags[0], tags[] (append), inputs["a.b"] or /payload/properties/cpu.'
_INDEX = r"(?a)0|[1-9][0-9]{0,8}"
_AFTER_LAST = "-"
_BAD_ESCAPE = r"~(?![01])"


@frozen
class JsonPath:
    """The steps of a path: keys, array indices and `END`.

    The steps of a JSON Pointer are keys until `fitted` finds out which of them are indices of an array.
    """

    steps: tuple[Step, ...]
    is_pointer: bool = False

    @classmethod
    def parse(cls, text: str) -> JsonPath:
        """Return the path that `text` contains. Raises UsageError with the invalid part of the path."""
        if text.startswith("/"):
            return cls(tuple(pointer_tokens(text)), is_pointer=True)
        steps: list[Step] = []
        position = 0
        while position < len(text):
            match = re.compile(_STEP).match(text, position)
            if match is None or (steps and text[position] not in ".["):
                raise UsageError(f"The path {text!r} is invalid from {text[position:]!r} on.", hint=_SYNTAX)
            steps.append(_step(match, text))
            position = match.end()
        if not steps:
            raise UsageError("A path is empty.", hint=_SYNTAX)
        return cls(tuple(steps))

    def fitted(self, document: Any) -> JsonPath:
        """Return the path with its keys and indices for `document`, which decides the steps of a JSON Pointer."""
        if not self.is_pointer:
            return self
        steps: list[Step] = []
        inner = document
        for token in self.steps:
            step = _item_step(token) if isinstance(inner, list) else token
            steps.append(step)
            inner = inner[step] if _has(inner, step) else MISSING
        return replace(self, steps=tuple(steps))

    def prefix(self, length: int) -> str:
        """Return the first `length` steps of the path as text for messages."""
        if self.is_pointer:
            return "".join(self.step_text(step) for step in self.steps[:length]) or "the document"
        return "".join(_format_step(step) for step in self.steps[:length]).removeprefix(".") or "the document"

    def step_text(self, step: Step) -> str:
        """Return a step as text in this path's notation."""
        if not self.is_pointer:
            return _format_step(step)
        return f"/{_AFTER_LAST if isinstance(step, Append) else escaped(str(step))}"

    def __str__(self) -> str:
        return self.prefix(len(self.steps))


def pointer_tokens(pointer: str) -> list[str]:
    """Return the keys in a JSON Pointer. Raises UsageError for an invalid escape."""
    if re.search(_BAD_ESCAPE, pointer):
        raise UsageError(
            f"The path {pointer!r} is not a JSON Pointer: ~ must be followed by 0 or 1.",
            hint="Write ~0 for ~ and ~1 for /.",
        )
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def _item_step(token: Step) -> Step:
    """Return the step that a JSON Pointer's token means in an array."""
    if token == _AFTER_LAST:
        return END
    return int(token) if isinstance(token, str) and re.fullmatch(_INDEX, token) else token


def _step(match: re.Match[str], text: str) -> Step:
    if match["bare"] is not None:
        return match["bare"]
    if match["index"] is not None:
        return int(match["index"])
    quoted = match["quoted"] or match["inner"]
    if quoted is None:
        return END
    try:
        return str(json.loads(quoted, strict=False))
    except ValueError as problem:
        raise UsageError(f"The path {text!r} has a key that is not a JSON string: {quoted}.", hint=_SYNTAX) from problem


def _format_step(step: Step) -> str:
    if isinstance(step, Append):
        return step.value
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if re.fullmatch(r'[^./\[\]"=][^.\[\]"=]*', step) else f"[{json.dumps(step)}]"


def split_assignment(text: str) -> tuple[str, str]:
    """Return the text before and after the first `=` outside quotes. Raises UsageError if there is none."""
    match = re.match(_BEFORE_EQUALS, text)
    end = match.end() if match else 0
    if text[end : end + 1] != "=":
        raise UsageError(f"{text!r} is not PATH=JSON.", hint="Write it like --set payload.properties.cpu=4.")
    return text[:end], text[end + 1 :]


def get_at(document: Any, path: JsonPath) -> Any:
    """Return the value at `path`, or MISSING."""
    for step in path.fitted(document).steps:
        if not _has(document, step):
            return MISSING
        document = document[step]
    return document


def set_at(document: Any, path: JsonPath, value: Any) -> Any:
    """Return a copy of `document` with `value` at `path`.

    Missing objects and arrays on the path are created, including in place of null. Raises UsageError with the part of
    the path that does not fit the document.
    """
    path = path.fitted(document)
    root: list[Any] = [document]
    place: tuple[Any, str | int] = (root, 0)
    for depth, step in enumerate(path.steps):
        inner = _opened(_read(*place), path, depth)
        _write(*place, inner)
        place = (inner, _spot(inner, step, path, depth))
    _write(*place, value)
    return root[0]


def unset_at(document: Any, path: JsonPath) -> Any:
    """Return a copy of `document` without the value at `path`, or `document` itself if the path does not exist."""
    if get_at(document, path) is MISSING:
        return document
    root: list[Any] = [document]
    place: tuple[Any, Any] = (root, 0)
    for step in path.fitted(document).steps:
        inner = copy(_read(*place))
        _write(*place, inner)
        place = (inner, step)
    del place[0][place[1]]
    return root[0]


def _has(value: Any, step: Step) -> bool:
    if isinstance(step, str):
        return isinstance(value, dict) and step in value
    return isinstance(step, int) and isinstance(value, list) and step < len(value)


def _read(container: Any, spot: str | int) -> Any:
    return container[spot] if _has(container, spot) else None


def _write(container: Any, spot: str | int, value: Any) -> None:
    if isinstance(container, list) and spot == len(container):
        container.append(value)
    else:
        container[spot] = value


def _opened(value: Any, path: JsonPath, depth: int) -> Any:
    """Return a copy of the object or array that the step at `depth` needs.

    Return a new object or array instead of null.
    """
    wanted = dict if isinstance(path.steps[depth], str) else list
    if value is None:
        return wanted()
    if isinstance(value, wanted):
        return copy(value)
    raise UsageError(
        f"{path}: {path.prefix(depth)} is {_noun(value)}, so it has no {path.step_text(path.steps[depth])}.",
        hint=(
            "Write a number for an item of an array. Any other step is a key of an object."
            if path.is_pointer
            else "Write [n] for an item of an array. Any other step is a key of an object."
        ),
    )


def _spot(container: Any, step: Step, path: JsonPath, depth: int) -> str | int:
    if isinstance(step, str):
        return step
    length = len(container)
    if isinstance(step, Append):
        return length
    if step > length:
        raise UsageError(
            f"{path}: {path.prefix(depth)} has {length} items, so there is no {path.step_text(step)} to set.",
            hint=f"Write {'' if depth == 0 else path.prefix(depth)}{path.step_text(END)} to append an item.",
        )
    return step


def _noun(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    names = {"dict": "an object", "list": "an array", "str": "a string"}
    return names.get(type(value).__name__, "a number")


MAX_POINTER = 4_096
"""The maximum length of a JSON Pointer. A match at a longer pointer is omitted."""

_MAX_DIGITS = 15


class NoSuchValue(ValueError):
    """A JSON Pointer doesn't lead to a value in the document."""


def path_to(document: Any, pointer: str) -> JsonPath:
    """Return the path that a JSON Pointer (RFC 6901) describes in a document.

    The last step may be a missing key of an object. Raises NoSuchValue if any other step is missing.
    """
    if pointer and not pointer.startswith("/"):
        raise NoSuchValue(pointer)
    steps: list[Step] = []
    inner = document
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(inner, dict):
            steps.append(key)
            inner = inner.get(key, MISSING)
        elif isinstance(inner, list) and _is_index(key, inner):
            steps.append(int(key))
            inner = inner[int(key)]
        else:
            raise NoSuchValue(pointer)
    return JsonPath(tuple(steps))


def value_at(document: Any, pointer: str) -> Any:
    """Return the value at a JSON Pointer (RFC 6901). Raises NoSuchValue if the document has no value there."""
    value = get_at(document, path_to(document, pointer))
    if value is MISSING:
        raise NoSuchValue(pointer)
    return value


def _is_index(key: str, values: list[Any]) -> bool:
    """Return whether a token of a JSON Pointer is the index of an item of `values`."""
    return key.isascii() and key.isdigit() and len(key) <= _MAX_DIGITS and int(key) < len(values)


def escaped(key: str) -> str:
    """Return a key in the form of a JSON Pointer's token, with `~` and `/` escaped."""
    return key.replace("~", "~0").replace("/", "~1")


def short_text(value: Any, limit: int) -> str:
    """Return the beginning of a value's JSON, at most `limit` characters and an ellipsis."""
    text = json_beginning(value, limit, compact=True)
    return text if len(text) <= limit else text[:limit] + "…"
