"""Targets: the URLs in options and captures, the form in which they are sent, and whether a URL is on this machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import takewhile
from urllib.parse import quote, urlsplit

from port_hook_cli.errors import UsageError
from port_hook_cli.text.secret import MASK

_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_AUTHORITY = re.compile(r"[^/]*//[^/?#]*")
# HTTP cannot send these characters in a request line.
_UNSENDABLE = re.compile("[\x00-\x20\x7f]")
# These are the surrogates that `surrogateescape` does not use for a byte.
_LONE = "[\ud800-\udc7f\udd00-\udfff]"


_DEFAULT_PORTS = {"http": 80, "https": 443}


def percent_encoded(url: str) -> str:
    """Percent-encode every character of `url` except visible ASCII, as clients do.

    The host keeps its letters, because hosts have another encoding. Only the unprintable characters of the host are
    encoded.
    """
    authority = _AUTHORITY.match(url)
    end = authority.end() if authority else 0
    host = "".join(char if char.isprintable() and char != " " else _encoded(char) for char in url[:end])
    return host + _encoded(url[end:])


def sendable_url(url: str) -> str:
    """Convert a URL that a user or a template wrote to the form that clients send.

    The result is percent-encoded and has no fragment.
    """
    return percent_encoded(url.partition("#")[0])


def http_url(host: str, port: int) -> str:
    """Return the URL of an HTTP server at an address."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def path_and_query(url: str) -> str:
    """Return the path and query of a URL, or `/` for text that is not a URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "/"
    return f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"


def request_target(url: str) -> bytes:
    """Return the path and query of `url` in the form to send. Only spaces and control characters are encoded.

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
    """Return `url` with its secrets masked by `mask`. The result still has a scheme, a host and a path.

    A secret may contain the scheme, the host and a part of the path. `***/x` becomes `https://***/x`, or
    `https://***/***/x` if the secret also contains a part of the path. The scheme is always shown.
    """
    masked, authority = mask(url), _AUTHORITY.match(url)
    if masked == url or authority is None:
        return masked
    scheme, slashes, host = authority[0].partition("//")
    target = url[authority.end() :]
    if scheme + slashes + mask(host) + mask(target) == masked:
        return masked
    start = mask(authority[0])
    if start + mask(target) == masked:  # the secret contains the scheme and all or a part of the host
        return f"{scheme}//{start.partition('//')[2] or start}{mask(target)}"
    # The secret continues in the path. The text after the secret is the longest ending that the masked URL and the
    # target share.
    pairs = zip(reversed(masked), reversed(target), strict=False)
    end = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return f"{scheme}//{MASK}/{MASK}{target[len(target) - end :]}"


def _encoded(text: str) -> str:
    known = text if text.isascii() else re.sub(_LONE, "\ufffd", text)
    return quote(known, safe=_ASCII, errors="surrogateescape")


_PORT_HERE = r":?(?P<port>[0-9]+)(?P<rest>(?:[/?].*)?)"


class BadTarget(ValueError):
    """The text is not a URL, `host:port` or a port. The message explains why."""


def parse_target(text: str) -> str:
    """Return a target as a URL. `8000`, `:8000` and `8000/path` are on this machine. `host:8000` uses http.

    Raises BadTarget for anything else.
    """
    text = text.strip()
    if port_here := re.fullmatch(_PORT_HERE, text):
        text = f"http://127.0.0.1:{port_here['port']}{port_here['rest']}"
    elif "://" not in text:
        text = f"http://{text}"
    shown = re.sub("(?s)//.*@", f"//{MASK}@", text)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadTarget(f"'{shown}' is not a URL with a port from 1 to 65535") from None
    if parts.scheme not in {"http", "https"}:
        raise BadTarget(f"'{shown}' does not start with http:// or https://")
    if not parts.hostname or port == 0:
        raise BadTarget(f"'{shown}' has no host or port to connect to")
    if parts.fragment or "@" in parts.netloc:
        raise BadTarget(f"'{shown}' has a fragment or credentials, which cannot be sent")
    if not text.isprintable() or " " in text:
        raise BadTarget(f"'{text}' has a space or a control character (write a space as %20)")
    return percent_encoded(text)


def read_target(text: str, option: str) -> str:
    """Return the value of the option `option` as a URL, parsed by `parse_target`. Raises UsageError."""
    if not text.strip():
        raise UsageError(f"{option}: the target is empty.", hint="Check whether a shell variable is unset.")
    try:
        return parse_target(text)
    except BadTarget as error:
        hint = "Pass a URL such as http://127.0.0.1:8000/hook, host:port, or a port."
        raise UsageError(f"{option}: {error}.", hint=hint) from error


_ABSOLUTE_FORM = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")  # the form of a request to a proxy


def target_url(to: str, target: str) -> str:
    """Return the URL to send to: `to` itself if it has a path or query, otherwise `to` with the captured `target`."""
    parts = urlsplit(to)
    if parts.path or parts.query:
        return to
    path = _ABSOLUTE_FORM.sub("", target, count=1)
    return f"{to}{path}" if path.startswith("/") else f"{to}/{path}"


def join_target(base: str, target: str, *, mount: str = "/") -> str:
    """Return the URL for `target` (the path and query of a request) at `base`.

    If `base` has no path, `target` is appended unchanged. Otherwise, only the part of `target` below `mount` is
    appended. For example, with the mount `/hooks` and the base `http://localhost:8000/api`, `/hooks?a=1` becomes
    `/api?a=1`.
    """
    parts = urlsplit(base)
    origin = f"{parts.scheme}://{parts.netloc}"
    # The sender's target is always a path, so no part of it may become part of the host.
    path, mark, query = (target if target.startswith("/") else f"/{target}").partition("?")
    if parts.path not in {"", "/"}:
        below = path[len(mount.rstrip("/")) :] if is_below(target, mount) else path
        path = parts.path if below in {"", "/"} else parts.path.rstrip("/") + below
    query = "&".join(part for part in (parts.query, query) if part)
    return f"{origin}{path}{'?' if query else mark}{query}"


def is_below(target: str, mount: str) -> bool:
    """Return whether the path of `target` is `mount` or below it."""
    prefix = mount.rstrip("/")
    if not prefix:
        return True
    path = target.partition("?")[0]
    return path == prefix or path.startswith(f"{prefix}/")


_HTTP_HOST = r"(?ia)https?://(?:(?P<name>[A-Z0-9.-]+)|\[(?P<address>[0-9A-F:]+)\])(?::[0-9]{0,5})?(?:[/?#]|\Z)"


def address_of(url: str) -> str:
    """Return the host, port and path of a URL, or "" for an invalid URL. All names of this machine are `localhost`.

    The path counts, because some hosts have a path for each developer, such as smee.io.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
        host = "localhost" if is_on_this_machine(url) else parts.hostname
    except ValueError:
        return ""
    return f"{host}:{port}{parts.path.rstrip('/')}" if host and port else ""


def is_on_this_machine(url: str) -> bool:
    """Return whether a URL certainly leads to this machine, with http or https and a host that `is_loopback` accepts.

    Use this to allow what only this machine may receive. It accepts only URLs in which every parser finds the same
    host, so it rejects URLs with user information, a backslash or a control character.
    """
    found = re.match(_HTTP_HOST, url)
    return found is not None and is_loopback(found["name"] or found["address"])


def is_loopback(host: str) -> bool:
    """Return whether a host (without brackets) certainly is this machine: `localhost`, 127.0.0.0/8 or ::1.

    Resolvers, systems and Python versions disagree about `localhost.`, names below `localhost`, `127.1`, `0.0.0.0`,
    IPv4-mapped addresses and zone IDs, so none of these count.
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback if isinstance(address, IPv4Address) else str(address) == "::1"


def may_be_on_this_machine(url: str) -> bool:
    """Return whether any resolver may find this machine for the host of `url`, in any notation.

    Use this to bypass a proxy, or to protect port-hook's own ports from its own requests.
    """
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = _classic_ipv4(host) if re.fullmatch(_CLASSIC_IPV4, host) else ip_address(host)
    except (ValueError, OverflowError):
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


_CLASSIC_IPV4 = r"[0-9][0-9a-fx]*(?:\.[0-9][0-9a-fx]*){0,3}"


def _classic_ipv4(host: str) -> IPv4Address:
    """Return the address in a notation of inet_aton(3), such as `127.1`. Raises ValueError or OverflowError."""
    *first, rest = (int(part, 16 if "x" in part else 8 if part.startswith("0") else 10) for part in host.split("."))
    return IPv4Address(bytes(first) + rest.to_bytes(4 - len(first), "big"))
