"""What a comparison leaves out: a path in a body, or a header field. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from port_hook_cli.captures.comparison.differences import Change
from port_hook_cli.errors import UsageError
from port_hook_cli.javascript.paths import Append, JsonPath, escaped

_HEADER = "header:"
_HINT = "Write a path such as result.id, a JSON Pointer such as /result/id, or header:NAME."


@dataclass(frozen=True, slots=True)
class Ignoring:
    """JSON Pointers of values, which stand for everything in them, and names of header fields in lower case."""

    pointers: tuple[str, ...] = ()
    headers: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, texts: Iterable[str], *, headers: Iterable[str] = ()) -> Ignoring:
        """Return what `--ignore` options name, and `headers`; raises UsageError."""
        texts = list(texts)
        names = [text.removeprefix(_HEADER).strip().lower() for text in texts if text.startswith(_HEADER)]
        if "" in names:
            raise UsageError("--ignore header: names no header.", hint=_HINT)
        pointers = tuple(_pointer(text) for text in texts if not text.startswith(_HEADER))
        return cls(pointers, frozenset((*names, *headers)))

    def other_body_changes(self, changes: Sequence[Change]) -> list[Change]:
        """Return the changes of a body that are not ignored. A value that moved is ignored with both of its paths."""
        return [change for change in changes if not all(map(self._has, _places(change)))]

    def other_headers(self, changes: Sequence[Change]) -> list[Change]:
        """Return the changes of header fields that are not ignored."""
        return [change for change in changes if change["path"].lower() not in self.headers]

    def _has(self, pointer: str) -> bool:
        return any(pointer == ignored or pointer.startswith(f"{ignored}/") for ignored in self.pointers)


def _places(change: Change) -> list[str]:
    return [change["path"], *([change["from"]] if "from" in change else [])]


def _pointer(text: str) -> str:
    if text.startswith("/"):
        return text.rstrip("/")
    steps = JsonPath.parse(text).steps
    if any(isinstance(step, Append) for step in steps):
        raise UsageError(f"--ignore {text}: [] is not a value.", hint=_HINT)
    return "".join(f"/{escaped(str(step))}" for step in steps)
