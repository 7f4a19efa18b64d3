"""Strings that are not printed."""

from __future__ import annotations

from dataclasses import dataclass

MASK = "***"
# Shorter secrets are not masked in text: they may be part of any word, so the text would become unreadable.
SHORTEST_SECRET = 8


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A string that prints as `***`; only `reveal` returns its value."""

    _value: str

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK
