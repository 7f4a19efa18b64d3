"""The last line of a terminal, which port-hook erases before other output and paints again below that output."""

from __future__ import annotations

import threading
from collections.abc import Callable

# Move to the first column, and erase to the end of the line.
_ERASE = "\r\x1b[K"


class Footer:
    """One line without a line end, shared by the writers of one terminal.

    The footer never has a second line, so the cursor never moves up, and a line from another program is never
    overwritten.
    """

    def __init__(self) -> None:
        self._paint: Callable[[], str] | None = None
        self._is_painted = False
        self._lock = threading.Lock()

    def show(self, paint: Callable[[], str] | None) -> None:
        """Show what `paint` returns, from the next write on.

        None erases the footer. This method never waits for the terminal.
        """
        self._paint = paint

    def write(self, text: str, write: Callable[[str], None]) -> None:
        """Write `text` above the footer, or only bring the footer up to date if `text` is empty."""
        with self._lock:
            paint = self._paint
            line = paint() if paint is not None else ""
            erased = _ERASE if self._is_painted else ""
            self._is_painted = bool(line)
            write(f"{erased}{text}{line}")
