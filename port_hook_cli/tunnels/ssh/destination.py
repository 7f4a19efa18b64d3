"""The server of an SSH tunnel: the user's own server, or a public service."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from port_hook_cli.frozen import frozen


@frozen(kw_only=True)
class Service:
    """A public SSH service, and the domains of its tunnels.

    A client must request `remote_port`, which is not the port of the public URL. `own_pages` are names below `domains`
    that belong to the service itself. The service prints the URL in the SSH session that runs `command`.
    """

    host: str
    user: str
    port: int
    remote_port: int
    domains: tuple[str, ...]
    own_pages: tuple[str, ...] = ()
    command: str | None = None


# These values come from https://localhost.run/docs, https://serveo.net and https://pinggy.io/docs/usages. The services
# accept any user name, so port-hook does not send the name of the user's account.
_SERVICES = (
    Service(
        host="localhost.run",
        user="nokey",
        port=22,
        remote_port=80,
        domains=("lhr.life", "lhr.rocks"),
        command="--output json",
    ),
    Service(
        host="serveo.net",
        user="nokey",
        port=22,
        remote_port=80,
        domains=("serveousercontent.com", "serveo.net"),
        own_pages=("www.serveo.net", "console.serveo.net"),
    ),
    Service(
        host="pinggy.io",
        user="free",
        port=443,
        remote_port=0,
        domains=("pinggy.link", "pinggy-free.link", "pinggy.net", "pinggy.online"),
        own_pages=("www.pinggy.net", "www.pinggy.link"),
    ),
)


@frozen(kw_only=True)
class SshDestination:
    """An SSH server that forwards a port.

    If `user` or `port` is None, ~/.ssh/config decides. If `remote_port` is None, the server decides. `uses_keys` says
    whether port-hook offers the user's keys to the server. A service gets the keys only if the user name is explicit.
    """

    host: str
    user: str | None
    port: int | None = None
    remote_port: int | None = None
    service: Service | None = None
    uses_keys: bool = True


def read_destination(address: str) -> SshDestination:
    """Return the SSH destination of an `ssh://` URL that `parse_tunnel` accepted, or of the name of a service."""
    if not address.startswith("ssh://"):
        service = _service(address)
        if service is None:
            raise ValueError(f"{address} is not an SSH service")
        return SshDestination(host=address, user=service.user, service=service, uses_keys=False)
    parts = urlsplit(address)
    host = _host(parts.netloc)
    service = _service(host)
    user = unquote(parts.username) if parts.username else None
    remote = parts.path.strip("/")
    return SshDestination(
        host=host,
        user=user or (service.user if service else None),
        port=parts.port,
        remote_port=int(remote) if remote and int(remote) else None,
        service=service,
        uses_keys=not service or bool(user),
    )


def ports_to_request(remote_port: int | None, *, previous_url: str | None) -> tuple[int, ...]:
    """Return the ports to request from the user's own server, in order. 0 lets the server choose the port.

    The port of a lost tunnel comes first, because actions in Port use its URL.
    """
    if remote_port:
        return (remote_port,)
    previous = urlsplit(previous_url).port if previous_url else None
    return (previous, 0) if previous else (0,)


def url_of(host: str, port: int) -> str:
    """Return the URL of a port on the user's own server."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _service(host: str) -> Service | None:
    host = host.lower()
    return next((it for it in _SERVICES if host == it.host or host.endswith("." + it.host)), None)


def _host(netloc: str) -> str:
    # `hostname` would be lowercase, but the names in ~/.ssh/config are case-sensitive.
    host = netloc.rpartition("@")[2]
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


# The character after the name must have arrived, because the name may be incomplete otherwise. A backslash can come
# from a JSON "\n".
_URL = re.compile(r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)+)(?=[^a-z0-9.:@-])", re.IGNORECASE)


def find_url(text: str, service: Service) -> str | None:
    """Return the tunnel's URL in the output of `service`, or None. Prefer an https URL.

    Services also print the URLs of their own pages, so only names below the domains of tunnels count.
    """
    found = {
        scheme.lower(): f"{scheme}://{host}".lower()
        for scheme, host in reversed(_URL.findall(text))
        if _is_tunnel(host.lower(), service)
    }
    return found.get("https") or found.get("http")


def last_line(text: str) -> str:
    """Return the last nonempty line of `text`, or "". The line may be unprintable."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _is_tunnel(host: str, service: Service) -> bool:
    return host not in service.own_pages and any(host.endswith("." + domain) for domain in service.domains)
