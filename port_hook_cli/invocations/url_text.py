"""URLs as they are sent: percent-encoded."""

from __future__ import annotations

import re
from urllib.parse import quote

_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_AUTHORITY = re.compile(r"[^/]*//[^/?#]*")
# Surrogates that `surrogateescape` does not use for a byte.
_LONE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def percent_encoded(url: str) -> str:
    """Return `url` with every character except visible ASCII percent-encoded, as it is sent.

    The host keeps its letters, because hosts are encoded in another way. Only its unprintable characters are encoded.
    """
    authority = _AUTHORITY.match(url)
    end = authority.end() if authority else 0
    host = "".join(char if char.isprintable() and char != " " else _encoded(char) for char in url[:end])
    return host + _encoded(url[end:])


def _encoded(text: str) -> str:
    return quote(_LONE.sub("\ufffd", text), safe=_ASCII, errors="surrogateescape")
