"""The addresses of Port's API and of its web app, which belong together region by region."""

from __future__ import annotations

DEFAULT_API_URL = "https://api.port.io"
DEFAULT_APP_URL = "https://app.port.io"

# Port's API reference names the two regions; the getport.io names are older and still answer.
REGIONS = {"eu": DEFAULT_API_URL, "us": "https://api.us.port.io"}
_MOST_QUOTED = 200
_APPS = {
    "https://api.port.io": DEFAULT_APP_URL,
    "https://api.getport.io": DEFAULT_APP_URL,
    "https://api.us.port.io": "https://app.us.port.io",
    "https://api.us.getport.io": "https://app.us.port.io",
}


def region_api_url(region: str) -> str:
    """Return the API's base for `eu` or `us` in any case; raises ValueError for another region."""
    try:
        return REGIONS[region.strip().lower()]
    except KeyError:
        raise ValueError(f"{region!r} is neither 'eu' nor 'us'") from None


def parse_api_url(text: str) -> str:
    """Return an API address without `/v1` and trailing slashes; raises ValueError when it is no http(s) URL.

    The message never quotes a password or a query: they are secrets in the wrong place.
    """
    from urllib.parse import urlsplit  # a few ms that only a written address should cost

    address = text.strip()
    if "@" in address:
        raise ValueError("it is a URL with a user name or password (what stands before @), which no API's base has")
    if "?" in address or "#" in address:
        raise ValueError("it is a URL with a query or fragment, which an API's base cannot have")
    quoted = repr(address[:_MOST_QUOTED])
    if not address.isprintable() or " " in address:
        raise ValueError(f"{quoted} is not a URL")
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises for a number that is no port
    except ValueError:
        raise ValueError(f"{quoted} is not a URL with a host and a port from 0 to 65535") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{quoted} is not a URL that begins with https:// or http://")
    return address.rstrip("/").removesuffix("/v1").rstrip("/")


def is_ports_own(api_url: str) -> bool:
    """Return whether an API address is one of Port's own four."""
    return api_url.lower() in _APPS


def sends_in_the_clear(api_url: str) -> bool:
    """Return whether what is sent to an API address crosses a network unencrypted: http to another machine."""
    if not api_url.lower().startswith("http://"):
        return False
    from urllib.parse import urlsplit

    return not is_loopback(urlsplit(api_url).hostname or "")


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine: localhost, 127.0.0.0/8 or ::1. Nothing is resolved."""
    from ipaddress import IPv4Address, ip_address

    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback if isinstance(address, IPv4Address) else str(address) == "::1"


def app_url_for(api_url: str) -> str:
    """Return the web app's base that belongs to `api_url`, or "" where there is none (a sandbox, a proxy)."""
    return _APPS.get(api_url.lower(), "")


def run_page(app_url: str, run_id: str) -> str:
    """Return the address of a run's page, or "" when there is no web app (`app_url` is empty).

    The id is a stranger's: whatever it holds, it stays the value of `runId`.
    """
    from urllib.parse import quote

    return f"{app_url}/organization/run?runId={quote(run_id, safe='', errors='backslashreplace')}" if app_url else ""
