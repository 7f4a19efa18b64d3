"""The remarks of a command, as values: notes, warnings, errors and hints.

The caller decides how to show them. This module is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

from port_hook_cli.frozen import frozen


class RemarkKind(StrEnum):
    """The label of a remark. PLAIN means no label."""

    PLAIN = ""
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"
    HINT = "hint"


@frozen
class Remark:
    """A remark. `text` is one or more lines without the label. Text from the network in it is already printable."""

    kind: RemarkKind
    text: str

    @property
    def line(self) -> str:
        """The remark as the command line shows it: `note: ...`."""
        return f"{self.kind}: {self.text}" if self.kind else self.text


Say = Callable[[Remark], None]
"""Reports a remark while a command works. The caller shows the remark, and only once if it uses `Runtime.memory`."""


def plain(text: str) -> Remark:
    """Return a remark without a label."""
    return Remark(RemarkKind.PLAIN, text)


def note(text: str) -> Remark:
    """Return a note: something that the user may not expect, but doesn't have to act on."""
    return Remark(RemarkKind.NOTE, text)


def warning(text: str) -> Remark:
    """Return a warning: something that the user should look at, while the command continues."""
    return Remark(RemarkKind.WARNING, text)


def hint(text: str) -> Remark:
    """Return a hint, which tells the user what to do next."""
    return Remark(RemarkKind.HINT, text)


MOST_ALIKE = 20
"""How many remarks of one kind a command shows."""


def first_remarks(remarks: Iterable[Remark], what: str) -> Iterator[Remark]:
    """Yield the first 20 remarks, and a note with the number of further remarks. `what` is their subject."""
    left_out = 0
    for number, remark in enumerate(remarks):
        if number < MOST_ALIKE:
            yield remark
        left_out = max(0, number + 1 - MOST_ALIKE)
    if left_out:
        yield note(f"{left_out} more {what} are not shown")


def say_nothing(remark: Remark) -> None:
    """Ignore the remark, for callers that cannot show it."""
