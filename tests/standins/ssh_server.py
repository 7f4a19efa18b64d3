"""Simulated SSH servers that forward a port: the public services, and servers that fail.

It speaks SSH (with asyncssh) and forwards every byte that arrives at `edge`, a port of its own on 127.0.0.1, as if it
had arrived at the public URL. `service` chooses what it prints and whom it accepts: `localhost.run`, `serveo.net` or
`pinggy.io`, with the messages that their users have published. `own` accepts everyone and does not print.

What it leaves out: more than one tunnel at a time, TLS and host names, so the printed URL is not reachable. The
services add headers, end free tunnels after some time, and may print something else today.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from tests.servers import in_thread

# The port that it reports when it may choose a port. Nothing listens there.
_CHOSEN = 8
_LHR = "8beaa541ba3dc2.lhr.life tunneled with tls termination, https://8beaa541ba3dc2.lhr.life"
BANNERS = {
    "localhost.run": json.dumps(
        {
            "address": "8beaa541ba3dc2.lhr.life",
            "event": "tcpip-forward",
            "listen_host": "localhost",
            "listen_port": 80,
            "message": f"{_LHR}\ncreate an account, see https://localhost.run/docs/forever-free/",
        }
    )
    + "\r\n",
    "serveo.net": "\x1b[32mForwarding HTTP traffic from https://2757a812313bfa78-192-0-2-1.serveousercontent.com\x1b[0m\r\n"
    "Tip: create an account to reserve names: https://console.serveo.net/settings\r\n",
    "pinggy.io": "You are not authenticated.\r\n"
    "Your tunnel will expire in 60 minutes. Upgrade to Pinggy Pro. https://dashboard.pinggy.io\r\n\r\n"
    "http://ccjjc-192-0-2-1.run.pinggy-free.link\r\nhttps://ccjjc-192-0-2-1.run.pinggy-free.link\r\n",
}


@dataclass
class SshServer:
    """How the server behaves, and what it has received."""

    service: str = "serveo.net"
    says: str | None = None
    refuses: bool = False
    lets_in: bool = True
    ends_session: bool = False
    key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    port: int = 0
    edge: int = 0
    users: list[str] = field(default_factory=list)
    keys_shown: int = 0
    asked_for: list[tuple[str, int]] = field(default_factory=list)
    commands: list[str | None] = field(default_factory=list)
    terminals: list[str | None] = field(default_factory=list)
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    edges: list[asyncio.Server] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop | None = None

    @property
    def address(self) -> str:
        return f"ssh://me@127.0.0.1:{self.port}"

    @property
    def fingerprint(self) -> str:
        return self.key.get_fingerprint()

    @property
    def known_as(self) -> str:
        """Its line in known_hosts."""
        return f"[127.0.0.1]:{self.port} {self.key.export_public_key().decode()}"

    async def hang_up(self) -> None:
        """End every connection immediately."""
        await self.do(self._abort)

    async def open_channel(self, host: str, port: int) -> str:
        """Try to open a connection through the client. Return why the client rejected it."""
        return str(await self.do(lambda: _opened(self.connections[-1], host, port)))

    async def do(self, what: Callable[[], Awaitable[Any]]) -> Any:
        assert self.loop
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_as_coroutine(what), self.loop))

    async def _abort(self) -> None:
        for connection in self.connections:
            connection.abort()


async def _as_coroutine(what: Callable[[], Awaitable[Any]]) -> Any:
    return await what()


async def _opened(connection: asyncssh.SSHServerConnection, host: str, port: int) -> str:
    try:
        await connection.open_connection(host, port, encoding=None)
    except asyncssh.ChannelOpenError as error:
        return error.reason
    return ""


class _Server(asyncssh.SSHServer):
    def __init__(self, standin: SshServer) -> None:
        self._it = standin
        self._connection: Any = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._it.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        self._it.users.append(username)
        return not self._it.lets_in or self._it.service in {"serveo.net", "pinggy.io"}

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self._it.keys_shown += 1
        return False

    def password_auth_supported(self) -> bool:
        return self._it.service == "pinggy.io"

    def validate_password(self, username: str, password: str) -> bool:
        return self._it.lets_in and not password

    def kbdint_auth_supported(self) -> bool:
        return self._it.service == "serveo.net"

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "", "", "", []

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        return self._it.lets_in

    async def server_requested(self, listen_host: str, listen_port: int) -> Any:
        self._it.asked_for.append((listen_host, listen_port))
        if self._it.refuses:
            return False
        return await _Edge.open(self._it, self._connection, listen_host, listen_port)


class _Edge(asyncssh.SSHListener):
    """The public port."""

    def __init__(self, server: asyncio.Server, port: int) -> None:
        self._server, self._port = server, port

    @classmethod
    async def open(cls, it: SshServer, connection: asyncssh.SSHServerConnection, host: str, port: int) -> _Edge:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # Cancelled when the server ends. The streams' own callback would report an error.
            with contextlib.closing(writer), contextlib.suppress(asyncio.CancelledError, asyncssh.Error, OSError):
                far_reader, far_writer = await connection.open_connection(host, port or _CHOSEN, encoding=None)
                await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        it.edge = server.sockets[0].getsockname()[1]
        it.edges.append(server)
        return cls(server, port or _CHOSEN)

    def get_port(self) -> int:
        return self._port

    def close(self) -> None:
        self._server.close()

    async def wait_closed(self) -> None:
        return


async def _pump(reader: Any, writer: Any) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


def _session(it: SshServer) -> Callable[[asyncssh.SSHServerProcess[str]], Awaitable[None]]:
    async def speak(process: asyncssh.SSHServerProcess[str]) -> None:
        it.commands.append(process.command)
        it.terminals.append(process.term_type)
        process.stdout.write(BANNERS.get(it.service, "") if it.says is None else it.says)
        if it.ends_session:
            process.exit(0)
        else:
            await process.stdin.read()

    return speak


@contextmanager
def ssh_server(it: SshServer) -> Iterator[SshServer]:
    """Run the server in a thread."""

    async def start() -> Callable[[], Awaitable[None]]:
        it.loop = asyncio.get_running_loop()
        acceptor = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Server(it),
            process_factory=_session(it),
            server_host_keys=[it.key],
        )
        it.port = acceptor.get_port()

        async def stop() -> None:
            acceptor.close()
            for connection in it.connections:
                connection.abort()
                await connection.wait_closed()
            for edge in it.edges:
                edge.close()

        return stop

    with in_thread(start):
        yield it
