"""Where an SSH tunnel leads: to a server of the user's own, or to a service that gives public URLs away."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A public SSH service: how it wants to be asked, and below which domains it gives out names.

    `remote_port` is what it wants to be asked for, not where it listens. `apart` are names below `domains` that are
    pages of the service itself. `command` is run in the session whose output tells the URL.
    """

    host: str
    user: str
    port: int
    remote_port: int
    domains: tuple[str, ...]
    apart: tuple[str, ...] = ()
    command: str | None = None


# As their pages tell it: https://localhost.run/docs, https://serveo.net, https://pinggy.io/docs/usages. None of them
# asks who comes; a made-up user keeps the name of the user's own account from them.
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
        apart=("www.serveo.net", "console.serveo.net"),
    ),
    Service(
        host="pinggy.io",
        user="free",
        port=443,
        remote_port=0,
        domains=("pinggy.link", "pinggy-free.link", "pinggy.net", "pinggy.online"),
        apart=("www.pinggy.net", "www.pinggy.link"),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """An SSH server to forward from.

    `user` and `port` are None where ~/.ssh/config is to say, `remote_port` is None where the server may choose.
    `shows_keys` says whether it may see the user's keys: a service is not told who comes unless the user says so.
    """

    host: str
    user: str | None
    port: int | None = None
    remote_port: int | None = None
    service: Service | None = None
    shows_keys: bool = True


def read_destination(address: str) -> Destination:
    """Return where `address` leads: an `ssh://` URL that `parse_tunnel` has let pass, or the name of a service."""
    if not address.startswith("ssh://"):
        service = _service(address)
        if service is None:
            raise ValueError(f"{address} is no SSH service")
        return Destination(host=address, user=service.user, service=service, shows_keys=False)
    parts = urlsplit(address)
    host = _host(parts.netloc)
    service = _service(host)
    user = unquote(parts.username) if parts.username else None
    remote = parts.path.strip("/")
    return Destination(
        host=host,
        user=user or (service.user if service else None),
        port=parts.port,
        remote_port=int(remote) if remote and int(remote) else None,
        service=service,
        shows_keys=not service or bool(user),
    )


def ports_to_ask_for(remote_port: int | None, *, public_url: str | None, previous_url: str | None) -> tuple[int, ...]:
    """Return the ports to ask the user's own server for, in this order; 0 lets it choose.

    A public URL of the user's own leads to one port only, so it names that port where no `remote_port` does; () when
    neither says. The port that a lost tunnel had is tried first, as its URL is known in Port.
    """
    if remote_port:
        return (remote_port,)
    if public_url:
        port = urlsplit(public_url).port
        return (port,) if port else ()
    previous = urlsplit(previous_url).port if previous_url else None
    return (previous, 0) if previous else (0,)


def url_of(host: str, port: int) -> str:
    """Return the URL of a port on the user's own server."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _service(host: str) -> Service | None:
    host = host.lower()
    return next((it for it in _SERVICES if host == it.host or host.endswith("." + it.host)), None)


def _host(netloc: str) -> str:
    # Not `hostname`, which is in lower case: the names of ~/.ssh/config are not.
    host = netloc.rpartition("@")[2]
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
