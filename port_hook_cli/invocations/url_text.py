"""URLs as they are sent: percent-encoded."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import takewhile
from urllib.parse import quote, urlsplit

from port_hook_cli.text.secret import MASK

_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_AUTHORITY = re.compile(r"[^/]*//[^/?#]*")
# HTTP cannot carry these in a request line.
_UNSENDABLE = re.compile("[\x00-\x20\x7f]")
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


def sendable_url(url: str) -> str:
    """Return a URL that a person or a template wrote in the form in which clients send it.

    That is percent-encoded and without its fragment.
    """
    return percent_encoded(url.partition("#")[0])


def http_url(host: str, port: int) -> str:
    """Return the URL of a server at an address."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def path_and_query(url: str) -> str:
    """Return the path and query of a URL, `/` for a text that is not a URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "/"
    return f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"


def request_target(url: str) -> bytes:
    """Return the path and query of `url` as they are sent: exactly, except that spaces and controls are encoded.

    Raises UnicodeEncodeError for a surrogate that does not stand for a byte.
    """
    authority = _AUTHORITY.match(url)
    target = url[authority.end() if authority else 0 :]
    if not target.startswith("/"):
        target = f"/{target}"
    if _UNSENDABLE.search(target):
        target = _UNSENDABLE.sub(lambda match: f"%{ord(match[0]):02X}", target)
    return target.encode("utf-8", "surrogateescape")


def masked_url(url: str, mask: Callable[[str], str]) -> str:
    """Return `url` with its secrets masked by `mask`, still with a scheme, a host and a path.

    A secret may contain the scheme and the host, and a beginning of the path: `***/x` is `https://***/x`, or
    `https://***/***/x` if the secret also has a part of the path. The scheme is shown.
    """
    masked, authority = mask(url), _AUTHORITY.match(url)
    if masked == url or authority is None:
        return masked
    scheme, slashes, host = authority[0].partition("//")
    target = url[authority.end() :]
    if scheme + slashes + mask(host) + mask(target) == masked:
        return masked
    start = mask(authority[0])
    if start + mask(target) == masked:  # the secret has the scheme and all or a part of the host
        return f"{scheme}//{start.partition('//')[2] or start}{mask(target)}"
    # The secret goes on in the path. What follows it is the longest end of both.
    pairs = zip(reversed(masked), reversed(target), strict=False)
    end = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return f"{scheme}//{MASK}/{MASK}{target[len(target) - end :]}"


def _encoded(text: str) -> str:
    return quote(_LONE.sub("\ufffd", text), safe=_ASCII, errors="surrogateescape")
