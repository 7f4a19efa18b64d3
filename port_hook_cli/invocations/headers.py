"""Headers in wire order, the names of the two signature headers, and the masking of credentials.

This module is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field, replace

from port_hook_cli.frozen import frozen

SIGNATURE_HEADER = "x-port-signature"
TIMESTAMP_HEADER = "x-port-timestamp"
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key"})


@frozen
class Headers:
    """HTTP headers in wire order, with their case and duplicates.

    Names and values are the received bytes, decoded as Latin-1, which works for all bytes and is reversible. Views try
    UTF-8 first. Lookups ignore case (RFC 9110, section 5.1).
    """

    items: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The lowercase names of the headers, in the same order. Every lookup needs them."""

    def __init__(self, items: tuple[tuple[str, str], ...] = ()) -> None:
        object.__setattr__(self, "items", items)
        object.__setattr__(self, "names", tuple([name.lower() for name, _ in items]))

    @classmethod
    def from_raw(cls, raw: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Return headers from the names and values in `raw`, which are bytes as received."""
        return cls(tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]))

    def raw(self) -> list[tuple[bytes, bytes]]:
        """Return the names and values as bytes, in the form that `from_raw` takes."""
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.items]

    def all(self, name: str) -> tuple[str, ...]:
        """Return all values of the header `name`, in order."""
        wanted = name.lower()
        count = self.names.count(wanted)
        if count <= 1:  # the usual case, and the listener calls this for every request
            return (self.items[self.names.index(wanted)][1],) if count else ()
        return tuple([item[1] for key, item in zip(self.names, self.items, strict=True) if key == wanted])

    def get(self, name: str) -> str | None:
        """Return the first value of the header `name`, or None."""
        wanted = name.lower()
        return self.items[self.names.index(wanted)][1] if wanted in self.names else None

    def __getitem__(self, name: str) -> str:
        """Return the first value of the header `name`. Raises KeyError if the header is missing."""
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: str) -> bool:
        """Return whether these headers contain `name`."""
        return name.lower() in self.names

    def __len__(self) -> int:
        return len(self.items)

    def without(self, *names: str) -> Headers:
        """Return these headers without the headers in `names`."""
        dropped = {name.lower() for name in names}
        return Headers(tuple(item for item in self.items if item[0].lower() not in dropped))

    def plus(self, *items: tuple[str, str]) -> Headers:
        """Return these headers with `items` appended."""
        return Headers((*self.items, *items))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.items)


def mask_headers(headers: Headers) -> Headers:
    """Return `headers` with the values of credentials replaced by `***`. Names and order stay the same."""
    from port_hook_cli.text.secret import MASK  # most commands that import this module don't need this import

    masked = ((name, MASK if name.lower() in SECRET_HEADERS else value) for name, value in headers)
    return replace(headers, items=tuple(masked))
