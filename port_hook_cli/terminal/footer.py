"""The last line of a terminal, which is erased before other output, and painted again below it."""

from __future__ import annotations

import threading
from collections.abc import Callable

# To the first column, and erase to the end of the line.
_ERASE = "\r\x1b[K"


class Footer:
    """One line without a line end, shared by the writers of one terminal.

    It is one line only: nothing moves the cursor up, so a line that another program has written stays.
    """

    def __init__(self) -> None:
        self._paint: Callable[[], str] | None = None
        self._is_painted = False
        self._lock = threading.Lock()

    def show(self, paint: Callable[[], str] | None) -> None:
        """Show what `paint` returns from the next write on. None erases the line. Never waits for the terminal."""
        self._paint = paint

    def write(self, text: str, write: Callable[[str], None]) -> None:
        """Write `text` above the line, or only bring the line up to date if `text` is empty."""
        with self._lock:
            paint = self._paint
            line = paint() if paint is not None else ""
            erased = _ERASE if self._is_painted else ""
            self._is_painted = bool(line)
            write(f"{erased}{text}{line}")
