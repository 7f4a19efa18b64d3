"""An open SSH tunnel: what the server says and does while it lasts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import asyncssh

from port_hook_cli.text.safe import brief
from port_hook_cli.tunnels.connectivity import Probing, Reach
from port_hook_cli.tunnels.prober import probe
from port_hook_cli.tunnels.ssh.banner import last_line
from port_hook_cli.tunnels.ssh.known_hosts import Offer

_MOST_TEXT = 64 * 1024
_CLOSE_TIMEOUT_S = 2.0
_LOOPBACK_ONLY = (
    "; the server may take connections from itself only, or a firewall be in front: "
    "see GatewayPorts in its sshd_config, which has to be `clientspecified` or `yes`"
)


class Ear(asyncssh.SSHClient):
    """Hears what becomes of the connection. Knows no password; a service that wants one to be empty gets that."""

    def __init__(self, *, empty_password: bool) -> None:
        self.offer: Offer | None = None
        self.ended = asyncio.Event()
        self.spoken = asyncio.Event()
        self.text = ""
        self.reason = ""
        self._answers = 1 if empty_password else 0

    def hear(self, text: str) -> None:
        """Keep what was printed, as far as that is sensible."""
        self.text = (self.text + text)[-_MOST_TEXT:]
        self.spoken.set()

    def end(self, reason: str) -> None:
        """Note that the tunnel has ended; the first reason is the one that counts."""
        self.reason = self.reason or reason
        self.ended.set()
        self.spoken.set()

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Note the key; whoever connects asks about it, which takes longer than a handshake may."""
        del addr
        self.offer = Offer(host, port, key)
        return False

    def auth_banner_received(self, msg: str, lang: str) -> None:
        """Keep what is printed before anybody is let in."""
        del lang
        self.hear(msg + "\n")

    def password_auth_requested(self) -> str | None:
        """Give the empty password once where that is the custom, never another."""
        self._answers -= 1
        return "" if self._answers >= 0 else None

    def kbdint_auth_requested(self) -> str | None:
        """Answer questions of a service only."""
        self._answers -= 1
        return "" if self._answers >= 0 else None

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str]:
        """Answer with nothing, which is what the services take."""
        del name, instructions, lang
        return [""] * len(prompts)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        if isinstance(exc, asyncssh.ConnectionLost) and "keepalive" in exc.reason:
            self.end("the server no longer answers")
        elif exc is None or isinstance(exc, asyncssh.ConnectionLost):
            self.end("the server hung up")
        else:
            self.end(brief(str(exc)) or type(exc).__name__)


class Voice(asyncssh.SSHClientSession[str]):
    """The session in which a service tells the URL, and later whatever it has to say."""

    def __init__(self, ear: Ear) -> None:
        self._ear = ear

    def data_received(self, data: str, datatype: asyncssh.DataType) -> None:
        """Keep what is printed, on either stream."""
        del datatype
        self._ear.hear(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the session for that of the tunnel: no service forwards without one."""
        self._ear.connection_lost(exc) if exc else self._ear.end("the service has ended the session")


class SshTunnel:
    """A port forwarded by an SSH server; see `port_hook_cli.tunnels.protocol.Tunnel`."""

    def __init__(
        self, connection: asyncssh.SSHClientConnection, ear: Ear, url: str, *, host: str, may_be_loopback_only: bool
    ) -> None:
        self.url = url
        self._connection, self._ear, self._host = connection, ear, host
        self._may_be_loopback_only = may_be_loopback_only
        ear.text = ""  # what was said so far has been understood

    def health(self) -> str:
        """Return "" while connected, else why that ended."""
        return self._ear.reason

    async def probe(self, path: str, token: str) -> Probing:
        """Ask the listener for `path` through the public URL."""
        found = await probe(self.url + path, token)
        if found.reach is Reach.UNREACHABLE and self._may_be_loopback_only and not self._ear.reason:
            return Probing(found.reach, found.latency_ms, found.words + _LOOPBACK_ONLY)
        return found

    async def lost(self) -> str:
        """Wait until the connection ends without having been closed; return why."""
        await self._ear.ended.wait()
        line = brief(last_line(self._ear.text)) if self._ear.text else ""
        words = f" Its last words: {line}" if line else ""
        return f"The SSH connection to {self._host} has ended: {self._ear.reason}.{words}"

    async def close(self) -> None:
        """Hang up: by force when that takes more than two seconds."""
        self._ear.end("closed")
        await hang_up(self._connection)


async def hang_up(connection: asyncssh.SSHClientConnection) -> None:
    """Close a connection, by force when the other side does not take part in it within two seconds."""
    connection.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            return await connection.wait_closed()
    connection.abort()
    return await connection.wait_closed()
