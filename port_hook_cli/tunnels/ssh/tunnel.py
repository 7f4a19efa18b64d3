"""An open SSH tunnel: its connection, and the output of its session."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import asyncssh

from port_hook_cli.text.safe import brief
from port_hook_cli.tunnels.protocol import probe
from port_hook_cli.tunnels.report import Connectivity, ProbeResult
from port_hook_cli.tunnels.ssh.destination import last_line
from port_hook_cli.tunnels.ssh.known_hosts import UnknownKey

_MAX_OUTPUT = 64 * 1024
_CLOSE_TIMEOUT_S = 2.0
_LOOPBACK_ONLY = (
    ". The server may accept connections only from itself, or a firewall may block the port: "
    "GatewayPorts in its sshd_config must be `clientspecified` or `yes`"
)


class SshClient(asyncssh.SSHClient):
    """The events of one connection, and all output of the server.

    The client has no password. With `empty_password`, it sends an empty password once, because public services require
    it.
    """

    def __init__(self, *, empty_password: bool) -> None:
        self.unknown_key: UnknownKey | None = None
        self.ended = asyncio.Event()
        self.changed = asyncio.Event()
        self.output = ""
        self.end_reason = ""
        self._password_attempts = 1 if empty_password else 0

    def add_output(self, text: str) -> None:
        """Store output of the server. Only the last 64 KiB are retained."""
        self.output = (self.output + text)[-_MAX_OUTPUT:]
        self.changed.set()

    def end(self, reason: str) -> None:
        """Record that the tunnel has ended. Only the first reason is stored."""
        self.end_reason = self.end_reason or reason
        self.ended.set()
        self.changed.set()

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Reject the key for now, because asking the user takes longer than a handshake may take."""
        del addr
        self.unknown_key = UnknownKey(host, port, key)
        return False

    def auth_banner_received(self, msg: str, lang: str) -> None:
        """Store the text that the server sends before authentication."""
        del lang
        self.add_output(msg + "\n")

    def password_auth_requested(self) -> str | None:
        """Return the empty password once, if a service expects it."""
        self._password_attempts -= 1
        return "" if self._password_attempts >= 0 else None

    def kbdint_auth_requested(self) -> str | None:
        """Agree to keyboard-interactive authentication once, if a service expects it."""
        self._password_attempts -= 1
        return "" if self._password_attempts >= 0 else None

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str]:
        """Answer each question with an empty string, which the services accept."""
        del name, instructions, lang
        return [""] * len(prompts)

    def connection_lost(self, exc: Exception | None) -> None:
        """Record why the connection ended."""
        if isinstance(exc, asyncssh.ConnectionLost) and "keepalive" in exc.reason:
            self.end("the server no longer responds")
        elif exc is None or isinstance(exc, asyncssh.ConnectionLost):
            self.end("the server closed the connection")
        else:
            self.end(brief(str(exc)) or type(exc).__name__)


class ServiceSession(asyncssh.SSHClientSession[str]):
    """The session in which a service prints the public URL."""

    def __init__(self, client: SshClient) -> None:
        self._client = client

    def data_received(self, data: str, datatype: asyncssh.DataType) -> None:
        """Store the output of the session, from both stdout and stderr."""
        del datatype
        self._client.add_output(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Record that the tunnel has ended, because a service doesn't forward without a session."""
        self._client.connection_lost(exc) if exc else self._client.end("the service ended the session")


class SshTunnel:
    """A port that an SSH server forwards. See `port_hook_cli.tunnels.protocol.Tunnel`."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        client: SshClient,
        url: str,
        *,
        host: str,
        may_be_loopback_only: bool,
    ) -> None:
        self.url = url
        self._connection, self._client, self._host = connection, client, host
        self._may_be_loopback_only = may_be_loopback_only
        client.output = ""  # only later output can explain the end of the tunnel

    def health(self) -> str:
        """Return "" while the tunnel is connected. Otherwise, return why the connection ended."""
        return self._client.end_reason

    async def probe(self, path: str, token: str) -> ProbeResult:
        """Request `path` through the public URL."""
        result = await probe(self.url + path, token)
        is_unreachable = result.connectivity is Connectivity.UNREACHABLE
        if is_unreachable and self._may_be_loopback_only and not self._client.end_reason:
            return ProbeResult(result.connectivity, result.latency_ms, result.message + _LOOPBACK_ONLY)
        return result

    async def lost(self) -> str:
        """Wait until the connection ends without being closed. Return why it ended."""
        await self._client.ended.wait()
        line = brief(last_line(self._client.output)) if self._client.output else ""
        output = f" Its last output: {line}" if line else ""
        return f"The SSH connection to {self._host} has ended: {self._client.end_reason}.{output}"

    async def close(self) -> None:
        """Disconnect from the server. After two seconds, abort the connection."""
        self._client.end("closed")
        await disconnect(self._connection)


async def disconnect(connection: asyncssh.SSHClientConnection) -> None:
    """Close a connection. Abort it if the server does not close its side within two seconds."""
    connection.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            return await connection.wait_closed()
    connection.abort()
    return await connection.wait_closed()
