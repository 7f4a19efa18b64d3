"""Reject requests that a web page may have made.

A page in a browser on this machine can send requests to a server on loopback. The browser adds the source of such a
request (`sec-fetch-site`, `origin`), except when the page's own host name points to 127.0.0.1 (DNS rebinding). Then the
request carries that name in `host`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Container
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.targets import is_loopback

# `none`: the user typed the address or opened a bookmark.
_OWN_SITES = frozenset({"none", "same-origin"})
# A name or an address in brackets, and a port. In `localhost:80@evil.example`, the host is not `localhost`.
_HOST = r"(?:\[([^\]]*)\]|([^\[\]:@/?#\\\s]*))(?::[0-9]*)?"
_MAX_NAMES = 8
_FORBIDDEN, _MISDIRECTED = 403, 421


@frozen
class WebPageRequest:
    """Why a request is rejected: the status of the response, and the origin, site or host that caused the rejection."""

    status: int
    source: str

    @property
    def is_by_host(self) -> bool:
        """Whether the request is rejected because of its `host` header."""
        return self.status == _MISDIRECTED

    @property
    def message(self) -> str:
        """The reason for the rejection, as a clause."""
        if self.is_by_host:
            return f"the host {self.source} is not this server, so a web page may have made this request"
        return f"a web page made this request ({self.source})"


class PublicNames:
    """The host names of a listener's latest 8 public URLs. A reopened tunnel may have a new name."""

    def __init__(self) -> None:
        self._names: deque[str] = deque(maxlen=_MAX_NAMES)

    def add(self, url: str) -> None:
        """Add the host name of `url`."""
        name = _host_of_url(url)
        if name and name not in self._names:
            self._names.append(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names


def find_web_page_request(
    host: str | None, origin: str | None, site: str | None, *, names: Container[str], checks_host: bool = True
) -> WebPageRequest | None:
    """Return why a request with these headers is rejected, or None.

    The host names in `names` are accepted in addition to local hosts.
    """
    if origin is None and site is None and (host is None or not checks_host or cannot_be_rebound(host)):
        return None  # true of nearly every request, so this check comes first
    name = _host_name(host or "")
    if checks_host and host is not None and not cannot_be_rebound(host) and name not in names:
        return WebPageRequest(_MISDIRECTED, name[:200])
    if origin is not None and not _is_own(origin, name, names):
        return WebPageRequest(_FORBIDDEN, f"origin: {origin[:200]}")
    if site is not None and site not in _OWN_SITES:
        return WebPageRequest(_FORBIDDEN, f"sec-fetch-site: {site[:200]}")
    return None


@lru_cache(maxsize=256)
def cannot_be_rebound(host: str) -> bool:
    """Return whether no public DNS server can point the name in a `host` header to this machine.

    This is true for IP addresses, `localhost`, and names below `localhost` or `internal`, such as
    `host.docker.internal`.
    """
    name = _host_name(host)
    return not name or name == "localhost" or name.endswith((".localhost", ".internal")) or _is_address(name)


def _is_own(origin: str, host_name: str, names: Container[str]) -> bool:
    name = _host_of_url(origin)
    if not name:  # for example, `null` from a page that hides its origin
        return False
    return name == host_name or name.endswith(".localhost") or is_loopback(name) or name in names


def _host_name(host: str) -> str:
    """Return the name in a `host` header, without its port. A malformed header is returned whole."""
    text = host.strip().lower()
    found = re.fullmatch(_HOST, text)
    name = text if found is None else found[1] or found[2] or ""
    return name.removesuffix(".")


def _host_of_url(url: str) -> str:
    try:
        return _host_name(urlsplit(url).netloc.rpartition("@")[2])
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
