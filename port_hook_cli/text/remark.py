"""The remarks of a verb: notes, warnings, errors and hints, as values. Faces decide how to show them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from port_hook_cli.frozen import frozen


class RemarkKind(StrEnum):
    """The label of a remark. PLAIN has none."""

    PLAIN = ""
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"
    HINT = "hint"


@frozen
class Remark:
    """One remark. `text` is one or more lines without the label. Text from the network in it is already printable."""

    kind: RemarkKind
    text: str

    @property
    def line(self) -> str:
        """The remark as the command line shows it: `note: ...`."""
        return f"{self.kind}: {self.text}" if self.kind else self.text


Say = Callable[[Remark], None]
"""How a verb reports a remark while it works. The face shows it, and only once if it uses `Runtime.memory`."""


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
    """Return a hint: what to do next."""
    return Remark(RemarkKind.HINT, text)


def say_nothing(remark: Remark) -> None:
    """Show no remark, for faces that have no place for them."""
