"""Streams that say that they are a terminal: what a user types, and what a command shows."""

from __future__ import annotations

import io


class Keyboard(io.BytesIO):
    def isatty(self) -> bool:
        return True


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True
