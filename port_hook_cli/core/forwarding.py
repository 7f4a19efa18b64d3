"""Handing a request on unchanged: which URL, which header fields.

Hop-by-hop fields are those of RFC 9110, section 7.6.1, and those that the `Connection` field names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from port_hook_cli.core.models import Headers, Invocation

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
# The sender waits for a "100 Continue" that the listener has given already.
_ANSWERED_HERE = frozenset({"expect"})


class BadTarget(ValueError):
    """A target that is neither a URL, nor `host:port`, nor a port; the message says what was wrong."""


def parse_target(text: str) -> str:
    """Return a target as a URL: `8000` and `:8000` mean this machine, `host:8000` means http.

    Raises BadTarget for anything else.
    """
    text = text.strip()
    if text.lstrip(":").isdecimal():
        text = f"http://127.0.0.1:{text.lstrip(':')}"
    elif "://" not in text:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise BadTarget(f"'{text}' is not a URL: {error}") from None
    if parts.scheme not in {"http", "https"}:
        raise BadTarget(f"'{text}' starts with neither http:// nor https://")
    if not parts.hostname or port == 0:
        raise BadTarget(f"'{text}' names no host and port to connect to")
    if parts.fragment or "@" in parts.netloc:
        raise BadTarget(f"'{text}' has a part that cannot be sent: a fragment or credentials")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """Where invocations go: by action, else to the default; None when nothing takes them.

    `mount` is the path that the listener serves below.
    """

    default: str | None = None
    by_action: Mapping[str, str] = field(default_factory=dict)
    mount: str = "/"

    def url_for(self, action: str | None, target: str) -> str | None:
        """Return the URL that a request for `target` (path and query) of `action` is forwarded to."""
        base = self.by_action.get(action, self.default) if action is not None else self.default
        return None if base is None else join_target(base, target, mount=self.mount)


def join_target(base: str, target: str, *, mount: str = "/") -> str:
    """Return the URL for `target` (path and query of the request) at `base`.

    A base without a path takes the target as it is. A base with a path takes what the target has below `mount`,
    so that `/hooks?a=1` mounted at `/hooks` and sent to `http://localhost:8000/api` becomes `/api?a=1`.
    """
    parts = urlsplit(base)
    origin = f"{parts.scheme}://{parts.netloc}"
    path, mark, query = target.partition("?")
    if parts.path not in {"", "/"}:
        below = path[len(mount.rstrip("/")) :] if is_below(target, mount) else path
        path = parts.path if below in {"", "/"} else parts.path.rstrip("/") + below
    query = "&".join(part for part in (parts.query, query) if part)
    return f"{origin}{path}{'?' if query else mark}{query}"


def is_below(target: str, mount: str) -> bool:
    """Whether the path of `target` is `mount` or lies below it."""
    path = target.partition("?")[0]
    prefix = mount.rstrip("/")
    return path == prefix or path.startswith(f"{prefix}/")


def forwarded_headers(invocation: Invocation, url: str, *, client: str, scheme: str) -> Headers:
    """Return the fields to send to the handler: those received, in order, less hop-by-hop, plus `x-forwarded-*`.

    `Host` names the handler, as local frameworks expect; the host that Port called is in `x-forwarded-host`.
    """
    received = _end_to_end(invocation.headers, also=_ANSWERED_HERE)
    host = urlsplit(url).netloc
    kept = tuple((name, host if name.lower() == "host" else value) for name, value in received)
    forwarded_for = ", ".join((*invocation.headers.all("x-forwarded-for"), client))
    return (
        Headers(kept)
        .without("x-forwarded-for")
        .plus(
            ("x-forwarded-for", forwarded_for),
            *_unless_there(invocation.headers, "x-forwarded-host", invocation.headers.get("host") or host),
            *_unless_there(invocation.headers, "x-forwarded-proto", scheme),
        )
    )


def relayed_headers(headers: Headers) -> Headers:
    """Return the fields of a handler's answer that travel back to Port."""
    return _end_to_end(headers, also=frozenset({"content-length"}))


def _end_to_end(headers: Headers, *, also: frozenset[str]) -> Headers:
    named = {name.strip().lower() for value in headers.all("connection") for name in value.split(",")}
    dropped = HOP_BY_HOP | also | named
    return Headers(tuple(item for item in headers if item[0].lower() not in dropped))


def _unless_there(headers: Headers, name: str, value: str) -> tuple[tuple[str, str], ...]:
    return () if headers.get(name) is not None else ((name, value),)
