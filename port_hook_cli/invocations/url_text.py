"""URLs in the form in which they are sent."""

from __future__ import annotations

import re
from urllib.parse import quote

_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_AUTHORITY = re.compile(r"[^/]*//[^/?#]*")
# Surrogates that do not stand for a byte.
_LONE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def percent_encoded(url: str) -> str:
    """Return `url` with every character that is not visible ASCII percent-encoded, as the sender writes it.

    A host keeps its letters, which are not encoded as in a path; unprintable characters are encoded there, too.
    """
    authority = _AUTHORITY.match(url)
    end = authority.end() if authority else 0
    host = "".join(char if char.isprintable() and char != " " else _encoded(char) for char in url[:end])
    return host + _encoded(url[end:])


def _encoded(text: str) -> str:
    return quote(_LONE.sub("\ufffd", text), safe=_ASCII, errors="surrogateescape")
