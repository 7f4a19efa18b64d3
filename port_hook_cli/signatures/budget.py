"""What one diagnosis may cost: whoever sends a request decides how often and over what it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

HASHED_BYTES = 64 * 2**20
"""How many bytes are hashed at most for one request."""

COMBINED_BYTES = 4 * 2**20
"""How many of them for combinations of a changed body with a changed secret or timestamp, of each family of forms."""

MILLISECONDS_BODY_BYTES = 2**14
"""Only over bodies up to this size is each millisecond of a second tried: that hashes 16 MiB, in 10 to 50 ms."""


@dataclass(slots=True)
class Budget:
    """The bytes that may still be hashed, and in sentences what was left untried because something was too large."""

    room: int = HASHED_BYTES
    untried: list[str] = field(default_factory=list)

    def covers(self, size: int) -> bool:
        """Return whether `size` bytes fit; if not, record that something was left out."""
        if size > self.room:
            self.leave_out("Not all forms were tried: the body is too large.")
            return False
        return True

    def takes(self, size: int) -> bool:
        """Take `size` bytes off; return whether there was room for them."""
        if not self.covers(size):
            return False
        self.room -= size
        return True

    def leave_out(self, reason: str) -> None:
        """Remember that something was not tried."""
        if reason not in self.untried:
            self.untried.append(reason)
