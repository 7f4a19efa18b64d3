"""The limits of a diagnosis.

A sender decides how often diagnoses run, and over which bytes, so each diagnosis is limited.
"""

from __future__ import annotations

from dataclasses import dataclass, field

HASHED_BYTES = 64 * 2**20
"""The maximum number of bytes to hash for one request."""

COMBINED_BYTES = 4 * 2**20
"""How many of these bytes each family of forms may use for combinations with a changed secret or timestamp."""

LAYOUT_BYTES = 2 * 2**20
"""How many of these bytes wrong layouts may use with other forms. The body alone with changed secrets gets as many."""

MILLISECONDS_BODY_BYTES = 2**14
"""The milliseconds of a second are tried only with bodies up to this size: hashing 16 MiB takes 10 to 50 ms."""


@dataclass(slots=True)
class Budget:
    """The number of bytes that may still be hashed, and sentences about what was too large to try."""

    room: int = HASHED_BYTES
    untried: list[str] = field(default_factory=list)

    def covers(self, size: int) -> bool:
        """Return whether `size` bytes may still be hashed. If not, record that something was not tried."""
        if size > self.room:
            self.leave_out("Not all forms were tried: the body is too large.")
            return False
        return True

    def takes(self, size: int) -> bool:
        """Subtract `size` bytes from the budget and return True if that many are left. Otherwise, return False."""
        if not self.covers(size):
            return False
        self.room -= size
        return True

    def leave_out(self, reason: str) -> None:
        """Record a sentence about something the diagnosis did not try."""
        if reason not in self.untried:
            self.untried.append(reason)
