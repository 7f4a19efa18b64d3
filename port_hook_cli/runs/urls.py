"""The URLs of Port's API and web app in each region."""

from __future__ import annotations

DEFAULT_API_URL = "https://api.port.io"
DEFAULT_APP_URL = "https://app.port.io"

# Port's API reference lists the two regions. The older names at getport.io still work.
REGIONS = {"eu": DEFAULT_API_URL, "us": "https://api.us.port.io"}
_MOST_QUOTED = 200
_APPS = {
    "https://api.port.io": DEFAULT_APP_URL,
    "https://api.getport.io": DEFAULT_APP_URL,
    "https://api.us.port.io": "https://app.us.port.io",
    "https://api.us.getport.io": "https://app.us.port.io",
}


def region_api_url(region: str) -> str:
    """Return the base URL of the API in the region `eu` or `us`, in any case. Raises ValueError for other regions."""
    try:
        return REGIONS[region.strip().lower()]
    except KeyError:
        raise ValueError(f"{region!r} is neither 'eu' nor 'us'") from None


def parse_api_url(text: str) -> str:
    """Return an API URL without `/v1` and trailing slashes. Raises ValueError if the text is not an HTTP(S) URL.

    The error never quotes a user name, a password or a query, because they may be secrets.
    """
    from urllib.parse import urlsplit  # the import takes a few milliseconds, so it is only for an explicit URL

    address = text.strip()
    if "@" in address:
        raise ValueError("it has a user name or password before the @, which an API URL cannot have")
    if "?" in address or "#" in address:
        raise ValueError("it has a query or fragment, which an API URL cannot have")
    quoted = repr(address[:_MOST_QUOTED])
    if not address.isprintable() or " " in address:
        raise ValueError(f"{quoted} is not a URL")
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises ValueError for an invalid port
    except ValueError:
        raise ValueError(f"{quoted} is not a URL with a host and a port from 0 to 65535") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{quoted} is not a URL that begins with https:// or http://")
    return address.rstrip("/").removesuffix("/v1").rstrip("/")


def is_ports_own(api_url: str) -> bool:
    """Return whether an API URL is one of the four URLs of Port's own API."""
    return api_url.lower() in _APPS


def is_in_ports_own(url: str) -> bool:
    """Return whether a URL is in Port's own API: it uses https, has one of the API's four hosts, and has no port.

    Port calls such a webhook target with the organization's own credentials (see Port's webhook page).
    """
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.netloc.isascii() and is_ports_own(f"{parts.scheme}://{parts.netloc}")


def sends_in_the_clear(api_url: str) -> bool:
    """Return whether requests to an API URL cross a network unencrypted: over http to another machine."""
    if not api_url.lower().startswith("http://"):
        return False
    from port_hook_cli.invocations.targets import is_on_this_machine

    return not is_on_this_machine(api_url)


def app_url_for(api_url: str) -> str:
    """Return the base URL of the web app for `api_url`, or "" if there is none (for a sandbox or a proxy)."""
    return _APPS.get(api_url.lower(), "")


def run_page(app_url: str, run_id: str) -> str:
    """Return the URL of a run's page, or "" if there is no web app (`app_url` is empty).

    The untrusted ID is percent-encoded, so that all of it stays the value of `runId`.
    """
    from urllib.parse import quote

    return f"{app_url}/organization/run?runId={quote(run_id, safe='', errors='backslashreplace')}" if app_url else ""
