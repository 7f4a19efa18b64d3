"""Handing a request on unchanged: which URL, which header fields.

Hop-by-hop fields are those of RFC 9110, section 7.6.1, and those that the `Connection` field names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.models import Headers, Invocation, Response
from port_hook_cli.invocations.url_text import percent_encoded

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
# `expect`: the sender waits for a "100 Continue" that the listener has given already.
_REPLACED = frozenset({"expect", "x-forwarded-for"})
_PORT_HERE = re.compile(r":?(?P<port>[0-9]+)(?P<rest>(?:[/?].*)?)")


class BadTarget(ValueError):
    """A target that is neither a URL, nor `host:port`, nor a port; the message says what was wrong."""


def parse_target(text: str) -> str:
    """Return a target as a URL: `8000`, `:8000` and `8000/path` mean this machine, `host:8000` means http.

    Raises BadTarget for anything else.
    """
    text = text.strip()
    if port_here := _PORT_HERE.fullmatch(text):
        text = f"http://127.0.0.1:{port_here['port']}{port_here['rest']}"
    elif "://" not in text:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadTarget(f"'{text}' is not a URL with a port from 1 to 65535") from None
    if parts.scheme not in {"http", "https"}:
        raise BadTarget(f"'{text}' starts with neither http:// nor https://")
    if not parts.hostname or port == 0:
        raise BadTarget(f"'{text}' names no host and port to connect to")
    if parts.fragment or "@" in parts.netloc:
        raise BadTarget(f"'{text}' has a part that cannot be sent: a fragment or credentials")
    if not text.isprintable() or " " in text:
        raise BadTarget(f"'{text}' has a space or a control character in it; write it as %20")
    return percent_encoded(text)


def read_target(text: str, option: str) -> str:
    """Return the URL that the command-line option `option` gives, as `parse_target` reads it; raises UsageError."""
    try:
        return parse_target(text)
    except BadTarget as error:
        hint = "Give a URL like http://127.0.0.1:8000/hook, host:port, or a port."
        raise UsageError(f"{option}: {error}.", hint=hint) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """Where invocations go: by action, else to the default; None when nothing takes them.

    `mount` is the path that the listener serves below.
    """

    default: str | None = None
    by_action: Mapping[str, str] = field(default_factory=dict)
    mount: str = "/"

    def takes(self, action: str | None) -> bool:
        """Whether invocations of `action` are forwarded at all."""
        return self.default is not None or action in self.by_action

    def url_for(self, action: str | None, target: str) -> str:
        """Return the URL that a request for `target` (path and query) of `action` goes to; KeyError where none does."""
        base = (
            self.default if self.default is not None and action not in self.by_action else self.by_action[action or ""]
        )
        return join_target(base, target, mount=self.mount)


def join_target(base: str, target: str, *, mount: str = "/") -> str:
    """Return the URL for `target` (path and query of the request) at `base`.

    A base without a path takes the target as it is. A base with a path takes what the target has below `mount`,
    so that `/hooks?a=1` mounted at `/hooks` and sent to `http://localhost:8000/api` becomes `/api?a=1`.
    """
    parts = urlsplit(base)
    origin = f"{parts.scheme}://{parts.netloc}"
    # Whatever the sender wrote is a path: nothing of it may become a part of the host.
    path, mark, query = (target if target.startswith("/") else f"/{target}").partition("?")
    if parts.path not in {"", "/"}:
        below = path[len(mount.rstrip("/")) :] if is_below(target, mount) else path
        path = parts.path if below in {"", "/"} else parts.path.rstrip("/") + below
    query = "&".join(part for part in (parts.query, query) if part)
    return f"{origin}{path}{'?' if query else mark}{query}"


def is_below(target: str, mount: str) -> bool:
    """Whether the path of `target` is `mount` or lies below it."""
    prefix = mount.rstrip("/")
    if not prefix:
        return True
    path = target.partition("?")[0]
    return path == prefix or path.startswith(f"{prefix}/")


def forwarded_headers(invocation: Invocation, url: str, *, client: str, scheme: str) -> Headers:
    """Return the fields to send to the handler: those received, in order, less hop-by-hop, plus `x-forwarded-*`.

    `Host` names the handler, as local frameworks expect; the host that Port called is in `x-forwarded-host`.
    """
    received = invocation.headers
    dropped = _hop_by_hop(received) | _REPLACED
    host = urlsplit(url).netloc
    kept = [
        (name, host if lowered == "host" else value)
        for lowered, (name, value) in zip(received.names, received.items, strict=True)
        if lowered not in dropped
    ]
    if "host" not in received.names:  # HTTP/1.0 needs none; HTTP/1.1, in which it goes on, does
        kept.insert(0, ("host", host))
    kept.append(("x-forwarded-for", ", ".join((*received.all("x-forwarded-for"), client))))
    if received.get("x-forwarded-host") is None:
        kept.append(("x-forwarded-host", received.get("host") or host))
    if received.get("x-forwarded-proto") is None:
        kept.append(("x-forwarded-proto", scheme))
    return Headers(tuple(kept))


def relayed_headers(headers: Headers) -> Headers:
    """Return the fields of a handler's answer that travel back to Port."""
    dropped = _hop_by_hop(headers)
    return Headers(tuple(item for item in headers if item[0].lower() not in dropped))


def with_length(response: Response, *, method: str) -> Headers:
    """Return the fields of `answer` to a request with `method`, with the one content length that it has, in place.

    Where there is a body, that is its length, whatever the fields say. An answer without one, to HEAD or with status
    304, may tell the length of the body that there would have been (RFC 9110, section 8.6): what the handler said,
    or for an answer of our own the length of what it would have been.
    """
    length = _length(response, method)
    if "content-length" not in response.headers.names:
        return response.headers if length is None else response.headers.plus(("content-length", length))
    items = []
    for name, value in response.headers:
        if name.lower() != "content-length":
            items.append((name, value))
        elif length is not None:
            items.append((name, length))
            length = None
    return Headers(tuple(items))


def _length(response: Response, method: str) -> str | None:
    if response.status == 204:  # noqa: PLR2004 - it has no length, RFC 9110, section 8.6
        return None
    if response.status == 304 or (method == "HEAD" and not response.body):  # noqa: PLR2004 - not modified
        return response.headers.get("content-length")
    return str(len(response.body))


def _hop_by_hop(headers: Headers) -> frozenset[str]:
    named = headers.all("connection")
    return (
        HOP_BY_HOP.union(name.strip().lower() for value in named for name in value.split(",")) if named else HOP_BY_HOP
    )


_ABSOLUTE_FORM = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")  # what a proxy is asked with


def target_url(to: str, target: str) -> str:
    """Return the URL to send to: `to` as it is when it has a path or query, else `to` with the captured `target`."""
    parts = urlsplit(to)
    if parts.path or parts.query:
        return to
    path = _ABSOLUTE_FORM.sub("", target, count=1)
    return f"{to}{path}" if path.startswith("/") else f"{to}/{path}"


def is_on_this_machine(url: str) -> bool:
    """Whether a URL's host is this machine by its very name: `localhost`, or an address of the loopback network.

    A name below `localhost` is looked up like any other by some systems, and may be another machine then.
    """
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
