"""The limits of one diagnosis: a sender decides how often diagnoses run, and over which bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

HASHED_BYTES = 64 * 2**20
"""How many bytes are hashed for one request at most."""

COMBINED_BYTES = 4 * 2**20
"""How many of these bytes each family of forms may use for combinations with a changed secret or timestamp."""

LAYOUT_BYTES = 2 * 2**20
"""How many of these bytes wrong layouts may use with other forms, and again the body alone with changed secrets."""

MILLISECONDS_BODY_BYTES = 2**14
"""Each millisecond of a second is tried only with bodies up to this size: that hashes 16 MiB in 10 to 50 ms."""


@dataclass(slots=True)
class Budget:
    """The number of bytes that may still be hashed, and sentences about what was not tried because of its size."""

    room: int = HASHED_BYTES
    untried: list[str] = field(default_factory=list)

    def covers(self, size: int) -> bool:
        """Return whether `size` bytes may be hashed. If not, record that something was not tried."""
        if size > self.room:
            self.leave_out("Not all forms were tried: the body is too large.")
            return False
        return True

    def takes(self, size: int) -> bool:
        """Use `size` bytes of the budget. Return whether that many were left."""
        if not self.covers(size):
            return False
        self.room -= size
        return True

    def leave_out(self, reason: str) -> None:
        """Record the sentence that something was not tried."""
        if reason not in self.untried:
            self.untried.append(reason)
