"""What `--tunnel` names: a way to a public URL."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

_SSH_SERVICES = ("localhost.run", "serveo.net", "a.pinggy.io")
# What their users call them, too.
_NICKNAMES = {"serveo": "serveo.net", "pinggy": "a.pinggy.io", "pinggy.io": "a.pinggy.io"}


class BadTunnel(ValueError):
    """A `--tunnel` value that names no tunnel; the message says why."""


class TunnelKind(StrEnum):
    """The ways to a public URL. `AUTO` takes the first that is usable."""

    AUTO = "auto"
    NONE = "none"
    NGROK = "ngrok"
    CLOUDFLARED = "cloudflared"
    SSH = "ssh"
    SMEE = "smee"


@dataclass(frozen=True, slots=True)
class TunnelChoice:
    """A tunnel that was asked for.

    `address` is an `ssh://` URL or the name of an SSH service (`localhost.run`), a relay's channel (`https://…`), or
    None where the kind alone says it all.
    """

    kind: TunnelKind
    address: str | None = None

    @property
    def name(self) -> str:
        """The choice as it is written behind `--tunnel`."""
        return self.address or self.kind


NO_TUNNEL = TunnelChoice(TunnelKind.NONE)


def parse_tunnel(text: str) -> TunnelChoice:
    """Return the tunnel that `--tunnel TEXT` names; raises BadTunnel."""
    service = _NICKNAMES.get(text, text)
    if service in _SSH_SERVICES:
        return TunnelChoice(TunnelKind.SSH, service)
    if text.startswith("ssh://"):
        return TunnelChoice(TunnelKind.SSH, _ssh_address(text))
    if text.startswith(("https://", "http://")):
        return TunnelChoice(TunnelKind.SMEE, _channel(text))
    if text == TunnelKind.SSH:
        raise BadTunnel("'ssh' needs a server: ssh://user@host, or one of " + ", ".join(_SSH_SERVICES))
    try:
        return TunnelChoice(TunnelKind(text))
    except ValueError:
        raise BadTunnel(f"'{text}' is no tunnel that port-hook knows") from None


def _ssh_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadTunnel(f"'{text}' has no port from 1 to 65535") from None
    if not parts.hostname or port == 0:
        raise BadTunnel(f"'{text}' names no server; write it as ssh://user@host")
    if parts.password is not None:
        raise BadTunnel("a password has no place on a command line; use a key or your SSH agent")
    remote = parts.path.strip("/")
    if parts.query or parts.fragment or (remote and not (remote.isdecimal() and int(remote) < 65536)):  # noqa: PLR2004 - ports
        raise BadTunnel(f"'{text}' has more than user, host, port and /REMOTE_PORT")
    return text


def _channel(text: str) -> str:
    parts = urlsplit(text)
    if not parts.hostname or not parts.path.strip("/"):
        raise BadTunnel(f"'{text}' names no channel; write it as https://smee.io/CHANNEL")
    return text.rstrip("/")
