"""Select the headers for a forwarded request and a relayed response (RFC 9110, section 7.6.1)."""

from __future__ import annotations

from urllib.parse import urlsplit

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Invocation

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# `expect` requests a "100 Continue", which the listener has already sent.
_REPLACED = frozenset({"expect", "x-forwarded-for"})


def forwarded_headers(invocation: Invocation, url: str, *, client: str, scheme: str) -> Headers:
    """Return the headers for the handler: the received headers without hop-by-hop headers, and `x-forwarded-*`.

    `Host` is the handler's host, as local frameworks expect. `x-forwarded-host` is the host that Port called.
    """
    received = invocation.headers
    dropped = _hop_by_hop(received) | _REPLACED
    host = urlsplit(url).netloc
    kept = [
        (name, host if lowered == "host" else value)
        for lowered, (name, value) in zip(received.names, received.items, strict=True)
        if lowered not in dropped
    ]
    if "host" not in received.names:  # optional in HTTP/1.0, but required in HTTP/1.1, which forwarding uses
        kept.insert(0, ("host", host))
    kept.append(("x-forwarded-for", ", ".join((*received.all("x-forwarded-for"), client))))
    if received.get("x-forwarded-host") is None:
        kept.append(("x-forwarded-host", received.get("host") or host))
    if received.get("x-forwarded-proto") is None:
        kept.append(("x-forwarded-proto", scheme))
    return Headers(tuple(kept))


def relayed_headers(headers: Headers) -> Headers:
    """Return the headers of a handler's response that the listener returns to Port."""
    dropped = _hop_by_hop(headers)
    if dropped.isdisjoint(headers.names):  # true for nearly every response
        return headers
    return headers.without(*dropped)


def fields_with_length(status: int, headers: Headers, size: int, *, is_head: bool) -> tuple[tuple[str, str], ...]:
    """Return the headers of a response, with exactly one correct content length.

    `size` is the size of the body in bytes. `is_head` means that the response is for a HEAD request.

    The size of the body replaces a received content length. A response to HEAD, or with the status 304, has no body,
    but may have the content length of the omitted body (RFC 9110, section 8.6). That is the handler's own content
    length, or `size` for a response from the listener itself.
    """
    length = _length(status, headers, size, is_head=is_head)
    received, lengths = headers.items, headers.all("content-length")
    if lengths == (length,):  # true for nearly every response of a handler
        return received
    if not lengths:
        return received if length is None else (*received, ("content-length", length))
    items = []
    for name, value in received:
        if name.lower() != "content-length":
            items.append((name, value))
        elif length is not None:
            items.append((name, length))
            length = None
    return tuple(items)


def _length(status: int, headers: Headers, size: int, *, is_head: bool) -> str | None:
    if status == 204:  # noqa: PLR2004 - these have no content length, RFC 9110, section 8.6
        return None
    if status == 304 or (is_head and not size):  # noqa: PLR2004 - not modified
        return headers.get("content-length")
    return str(size)


def _hop_by_hop(headers: Headers) -> frozenset[str]:
    if "connection" not in headers.names:  # true for most messages
        return HOP_BY_HOP
    named = headers.all("connection")
    return HOP_BY_HOP.union(name.strip().lower() for value in named for name in value.split(","))
