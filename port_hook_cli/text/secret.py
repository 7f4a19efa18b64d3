"""Secrets that do not print."""

from __future__ import annotations

from dataclasses import dataclass

MASK = "***"
# What is shorter is not masked in texts: it may be a part of any word, and nothing could be read any more.
SHORTEST_SECRET = 8


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A string that shows as `***` wherever it is printed; `reveal` is the one way to its value."""

    _value: str

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK
