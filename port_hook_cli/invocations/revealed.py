"""A decrypted property of a payload, as the screen shows it."""

from __future__ import annotations

from typing import Any, Protocol


class Revealed(Protocol):
    """A property of a payload that was encrypted."""

    @property
    def path(self) -> object:
        """The place of the property, which is shown as text."""

    @property
    def plaintext(self) -> bytes | None:
        """None if the property was not decrypted."""

    @property
    def message(self) -> str:
        """Why the property was not decrypted."""

    @property
    def value(self) -> Any:
        """The plaintext: an object if it is a JSON object, otherwise text. None if it is missing or not UTF-8."""
