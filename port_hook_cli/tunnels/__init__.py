"""Tunnels, one module each, imported only when used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from port_hook_cli.errors import UsageError
from port_hook_cli.tunnels.choice import TunnelChoice, TunnelKind
from port_hook_cli.tunnels.connectivity import Probing


class Tunnel(Protocol):
    """A public URL whose requests reach a local server for as long as the tunnel is open."""

    @property
    def url(self) -> str:
        """The public URL, without a slash at its end."""
        ...

    @property
    def relays_answers(self) -> bool:
        """Whether the sender gets the local server's answer; a relay answers by itself."""
        ...

    def health(self) -> str:
        """Return "" while the tunnel believes that it works, else why it does not, as a clause. Costs nothing."""
        ...

    async def probe(self, path: str, token: str) -> Probing:
        """Ask the listener for `path` (below `url`) through the tunnel, which it answers with `token`. Never raises."""
        ...

    async def lost(self) -> str:
        """Wait until the tunnel ends without having been closed; return what happened, as one printable sentence."""
        ...

    async def close(self) -> None:
        """End the tunnel and everything it started, within seconds. May be called twice."""
        ...


async def nobody(_: str) -> bool:
    """Answer no: the `ask` of those who sit at no terminal."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What every tunnel needs to be opened.

    `local_url` is `http://127.0.0.1:PORT`. `notice` takes a sentence for stderr when something unusual takes its time,
    such as a download. Awaiting `ask` puts a yes-or-no question to the user and gives the answer; it is `nobody` where
    nobody is there. `timeout_s` bounds the opening, in seconds. `public_url` is the user's own name for the far end,
    `domain` a static domain of theirs (ngrok). `accept_host_key` is the fingerprint of an SSH server's key that is
    taken without asking. `previous_url` is that of the tunnel that this one replaces, to be had again if it can.
    `keepalive_s` is how often a far end that can be asked for a sign of life is asked (SSH), in seconds.
    """

    local_url: str
    environ: Mapping[str, str]
    home: Path
    notice: Callable[[str], None]
    ask: Callable[[str], Awaitable[bool]] = nobody
    timeout_s: float = 20.0
    public_url: str | None = None
    domain: str | None = None
    accept_host_key: str | None = None
    previous_url: str | None = None
    keepalive_s: float = 5.0


async def open_tunnel(choice: TunnelChoice, opening: Opening) -> Tunnel:
    """Open a tunnel; raises TunnelError when it is not open in time or cannot be, UsageError for none."""
    match choice.kind:
        case TunnelKind.NGROK:
            from port_hook_cli.tunnels.ngrok.tunnel import open_ngrok

            return await open_ngrok(opening)
        case TunnelKind.CLOUDFLARED:
            from port_hook_cli.tunnels.cloudflared.tunnel import open_cloudflared

            return await open_cloudflared(opening)
        case TunnelKind.SMEE:
            from port_hook_cli.tunnels.smee.tunnel import open_smee

            return await open_smee(choice.address, opening)
        case TunnelKind.SSH if choice.address:
            from port_hook_cli.tunnels.ssh.opening import open_ssh

            return await open_ssh(choice.address, opening)
        case _:
            raise UsageError("There is no tunnel to open.", hint="Choose one with `--tunnel`.")
