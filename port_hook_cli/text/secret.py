"""Secrets that do not print, and headers that are masked before anything is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from port_hook_cli.invocations.models import Headers

SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key"})
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


def mask_headers(headers: Headers) -> Headers:
    """Return `headers` with the values of credentials replaced by `***`; names, order and the rest stay."""
    masked = ((name, MASK if name.lower() in SECRET_HEADERS else value) for name, value in headers)
    return replace(headers, items=tuple(masked))
