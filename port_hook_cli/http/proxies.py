"""httpx clients that use the proxies named in the environment, except for addresses on this machine."""

from __future__ import annotations

import os
import socket
import ssl
from functools import cache
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx


class BadProxy(Exception):
    """A proxy in the environment cannot be used. The message is a clause; it does not quote the proxy's address."""


def open_client(url: str, **options: Any) -> httpx.AsyncClient:
    """Return a client for `url`, which follows no redirect and adds no credentials of its own; raises BadProxy.

    A proxy can see what it forwards, so requests to this machine never use one.
    """
    if "verify" not in options:
        options["verify"] = _trust(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    try:
        return httpx.AsyncClient(trust_env=not is_this_machine(url), follow_redirects=False, **options)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise BadProxy("a proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names cannot be used") from error


@cache
def _trust(*_: str | None) -> ssl.SSLContext:
    """Return the context for these values of the variables that httpx reads; reading the authorities takes a while."""
    return httpx.create_ssl_context()


def is_this_machine(url: str) -> bool:
    """Return whether the host of `url` is this machine, in any notation that resolvers accept."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    return host == "localhost" or host.endswith(".localhost") or _is_local_address(host)


def _is_local_address(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        try:
            address = ip_address(socket.inet_aton(host))  # such as 127.1 and 0x7f000001
        except (OSError, UnicodeError, ValueError):
            return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified
