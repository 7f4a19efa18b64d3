"""Opens an SSH tunnel: connects, requests the forwarded port, finds the public URL, and explains failures."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncssh

from port_hook_cli.errors import TunnelError
from port_hook_cli.frozen import frozen
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.tunnels.protocol import Opening
from port_hook_cli.tunnels.ssh.destination import (
    Service,
    SshDestination,
    find_url,
    last_line,
    ports_to_request,
    read_destination,
    url_of,
)
from port_hook_cli.tunnels.ssh.known_hosts import KnownHosts
from port_hook_cli.tunnels.ssh.tunnel import ServiceSession, SshClient, SshTunnel, disconnect

# ConfigParseError and KeyImportError are ValueErrors. An invalid host name raises UnicodeError.
SSH_ERRORS = (OSError, ValueError, asyncssh.Error)
_TRY_SSH = "Connect with `ssh -v`, which shows details."
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
_SSH_PORT = 22
_MISSED_KEEPALIVES = 2
# This address stands for all interfaces of the server. With `GatewayPorts no`, sshd silently listens on loopback
# instead.
_ALL_INTERFACES = ""
# `ssh -R 80:…` sends this address. localhost.run treats any other address as a domain.
_DEFAULT_ADDRESS = "localhost"


@frozen
class _Server:
    """The data for a connection: asyncssh's arguments, the options from ~/.ssh/config, and the known host keys."""

    arguments: dict[str, Any]
    options: asyncssh.SSHClientConnectionOptions
    known: KnownHosts

    @property
    def name(self) -> str:
        """The name of the server in known_hosts."""
        return self.options.host_key_alias or self.options.host

    @property
    def port(self) -> int:
        """The port of the server."""
        port: int = self.arguments.get("port") or self.options.port or _SSH_PORT
        return port

    @property
    def identities(self) -> tuple[str, ...]:
        """The paths of the user's key files in ~/.ssh/config."""
        files = self.options.config.get("IdentityFile", ())
        return tuple(map(str, files)) if isinstance(files, list) else ()


async def open_tunnel(opening: Opening) -> SshTunnel:
    """Open the tunnel. Raises TunnelError. See `opening.open_ssh`."""
    # asyncssh logs each connection, and prints problems to stderr.
    asyncssh.set_log_level(logging.CRITICAL + 1)
    destination = read_destination(opening.address or "")
    errors = ErrorContext(
        host=destination.host, port=destination.port or _SSH_PORT, home=opening.home, timeout_s=opening.timeout_s
    )
    ports = _ports(destination, opening)
    try:
        server = await _read_server(destination, opening)
    except SSH_ERRORS as error:
        raise errors.explain(error) from None
    errors = replace(errors, port=server.port, identities=server.identities)
    connection, client = await _connect(server, errors, opening, is_service=destination.service is not None)
    try:
        async with asyncio.timeout(opening.timeout_s):
            if destination.service:
                return await _open_through_service(connection, client, destination.service, opening)
            return await _open_through_own_server(connection, client, server.options.host, ports, opening)
    except BaseException as error:
        await disconnect(connection)
        if isinstance(error, TimeoutError) and destination.service:
            raise no_url(destination.host, client.output) from None
        if isinstance(error, SSH_ERRORS):
            raise errors.explain(error) from None
        raise


def _ports(destination: SshDestination, opening: Opening) -> tuple[int, ...]:
    if destination.service:
        return (destination.service.remote_port,)
    return ports_to_request(destination.remote_port, previous_url=opening.previous_url)


async def _read_server(destination: SshDestination, opening: Opening) -> _Server:
    config = opening.home / ".ssh" / "config"
    arguments: dict[str, Any] = {
        "host": destination.host,
        "config": [str(config)] if os.access(config, os.R_OK) else None,
        "keepalive_interval": opening.keepalive_s,
        "keepalive_count_max": _MISSED_KEEPALIVES,
        "login_timeout": opening.timeout_s,
        "agent_forwarding": False,
        "x11_forwarding": False,
    }
    arguments |= {
        name: value for name, value in (("username", destination.user), ("port", destination.port)) if value is not None
    }
    if not destination.uses_keys:
        arguments["client_keys"] = None
    options = await asyncssh.SSHClientConnectionOptions.construct(None, **arguments)
    if destination.service and destination.port is None and options.config.get("Port") is None:
        arguments["port"] = destination.service.port
    if options.config.get("IdentityAgent") is None:
        arguments["agent_path"] = opening.environ.get("SSH_AUTH_SOCK", "")
    configured = options.known_hosts if isinstance(options.known_hosts, list) else []
    server = _Server(arguments, options, KnownHosts(opening.home, [str(path) for path in configured]))
    algorithms = server.known.algorithms(server.name, server.port)
    if algorithms and options.config.get("HostKeyAlgorithms") is None:
        arguments["server_host_key_algs"] = algorithms
    return server


async def _connect(
    server: _Server, errors: ErrorContext, opening: Opening, *, is_service: bool
) -> tuple[asyncssh.SSHClientConnection, SshClient]:
    """Connect to the server. Connect again after the user accepts the server's key.

    The second connection is necessary because a handshake cannot wait for the user.
    """
    client = SshClient(empty_password=is_service)
    try:
        return await _connect_once(server, client, opening), client
    except asyncssh.HostKeyNotVerifiable as error:
        if not client.unknown_key:
            raise errors.explain(error) from None
    except SSH_ERRORS as error:
        raise errors.explain(error) from None
    await server.known.accept(client.unknown_key, opening)
    client = SshClient(empty_password=is_service)
    try:
        return await _connect_once(server, client, opening), client
    except SSH_ERRORS as error:
        raise errors.explain(error) from None


async def _connect_once(server: _Server, client: SshClient, opening: Opening) -> asyncssh.SSHClientConnection:
    async with asyncio.timeout(opening.timeout_s):
        return await asyncssh.connect(**server.arguments, known_hosts=server.known.all, client_factory=lambda: client)


async def _open_through_own_server(
    connection: asyncssh.SSHClientConnection, client: SshClient, host: str, ports: tuple[int, ...], opening: Opening
) -> SshTunnel:
    for port in ports:
        try:
            forwarded = await connection.forward_remote_port(_ALL_INTERFACES, port, *_local(opening))
        except asyncssh.ChannelListenError:
            continue
        url = url_of(host, forwarded.get_port())
        return SshTunnel(connection, client, url, host=host, may_be_loopback_only=True)
    raise not_forwarded(host, ports[-1])


async def _open_through_service(
    connection: asyncssh.SSHClientConnection, client: SshClient, service: Service, opening: Opening
) -> SshTunnel:
    try:
        # Both run concurrently, as in OpenSSH, because a service may respond to them in either order.
        await asyncio.gather(
            connection.forward_remote_port(_DEFAULT_ADDRESS, service.remote_port, *_local(opening)),
            connection.create_session(
                lambda: ServiceSession(client),
                command=service.command,
                request_pty=False,
                env={},
                send_env=[],
                encoding="utf-8",
                errors="replace",
            ),
        )
    except asyncssh.ChannelListenError:
        raise no_url(service.host, client.output) from None
    url = await _url(client, service, opening.https_grace_s)
    return SshTunnel(connection, client, url.rstrip("/"), host=service.host, may_be_loopback_only=False)


async def _url(client: SshClient, service: Service, grace_s: float) -> str:
    """Wait for a URL in the output. Return the https URL if the service prints it, and otherwise the http URL."""
    while not (url := find_url(client.output, service)):
        if client.ended.is_set():
            raise no_url(service.host, client.output)
        client.changed.clear()
        await client.changed.wait()
    with contextlib.suppress(TimeoutError):  # services print the http URL first
        async with asyncio.timeout(grace_s):
            while not url.startswith("https:") and not client.ended.is_set():
                client.changed.clear()
                await client.changed.wait()
                url = find_url(client.output, service) or url
    return url


def _local(opening: Opening) -> tuple[str, int]:
    """Return the host and port of the listener, which is the only address that the server may connect to."""
    parts = urlsplit(opening.local_url)
    return parts.hostname or "127.0.0.1", parts.port or 80


@frozen(kw_only=True)
class ErrorContext:
    """Explains the errors of connections to `host`. `identities` are the key files in ~/.ssh/config."""

    host: str
    port: int
    home: Path
    timeout_s: float
    identities: tuple[str, ...] = ()

    def explain(self, error: BaseException) -> TunnelError:
        """Return the TunnelError that explains an error of the connection."""
        match error:
            case TunnelError():
                return error
            case OSError():
                return self._unreachable(error)
            case asyncssh.PermissionDenied():
                return self._denied()
            case asyncssh.DisconnectError():
                return self._disconnected(error)
            case _:
                return TunnelError(
                    f"Cannot connect to {printable(self.host)} with SSH: {brief(str(error)) or type(error).__name__}.",
                    hint="Check the host name, ~/.ssh/config, and the keys in it.",
                )

    def _disconnected(self, error: asyncssh.DisconnectError) -> TunnelError:
        host = printable(self.host)
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            return TunnelError(
                f"SSH to {host}: {brief(error.reason)}.",
                hint="The cause may be a ProxyJump host, a certificate or a revoked key. Connect once with `ssh -v`, "
                "which shows details.",
            )
        if isinstance(error, asyncssh.ConnectionLost):
            return self._cut()
        return TunnelError(f"SSH to {host} failed: {brief(error.reason)}.", hint=_TRY_SSH)

    def _unreachable(self, error: OSError) -> TunnelError:
        host = printable(self.host)
        if isinstance(error, TimeoutError):
            return TunnelError(
                f"{host} did not respond on port {self.port} within {self.timeout_s:g} s.",
                hint="Check the host name, the port (ssh://USER@HOST:PORT) and firewalls.",
            )
        if isinstance(error, socket.gaierror):
            return TunnelError(
                f"The host {host} cannot be resolved: {error.strerror}.",
                hint="Check the internet connection and the name. Write a name from ~/.ssh/config exactly as in "
                "that file.",
            )
        # If a host has several addresses, asyncssh raises one error without an errno, and its message lists all errors.
        if error.errno == errno.ECONNREFUSED or f"[Errno {errno.ECONNREFUSED}]" in str(error):
            return TunnelError(
                f"Nothing listens on port {self.port} of {host}.",
                hint="Check that the SSH server is running. Specify another port as ssh://USER@HOST:PORT.",
            )
        if isinstance(error, ConnectionError):
            return self._cut()
        return TunnelError(f"{host} is unreachable: {brief(error.strerror or str(error))}.", hint=_TRY_SSH)

    def _cut(self) -> TunnelError:
        return TunnelError(
            f"{printable(self.host)} closed the connection before it was established.",
            hint=f"Check that an SSH server listens on port {self.port}. Its log says why it closed the connection.",
        )

    def _denied(self) -> TunnelError:
        keys, locked = self._keys()
        tried = f"Tried {', '.join(keys)} and the keys of your SSH agent" if keys else "No key file was found"
        if locked:
            tried += f". {', '.join(locked)} has a passphrase, so port-hook can use it only through the SSH agent"
        return TunnelError(
            f"{printable(self.host)} denied access to this user. {tried}.",
            hint=f"Run `ssh-add {locked[0]}`."
            if locked
            else "Add your public key to the server (`ssh-copy-id`), or specify the user (ssh://USER@HOST) and the key "
            "(IdentityFile in ~/.ssh/config). Passwords aren't used.",
        )

    def _keys(self) -> tuple[list[str], list[str]]:
        """Return the usable key files, and the key files that need a passphrase."""
        files = self.identities or [str(self.home / ".ssh" / name) for name in _DEFAULT_KEYS]
        keys, locked = [], []
        for file in files:
            try:
                asyncssh.read_private_key(file)
                keys.append(printable(file))
            except asyncssh.KeyEncryptionError:
                locked.append(printable(file))
            except asyncssh.KeyImportError as error:
                if "assphrase" in str(error):
                    locked.append(printable(file))
            except OSError:
                pass
        return keys, locked


def not_forwarded(host: str, port: int) -> TunnelError:
    """Return the error for a server that accepts the user but doesn't forward ports."""
    host = printable(host)
    if port:
        return TunnelError(
            f"{host} does not forward its port {port}.",
            hint="Leave out the port, or choose another port above 1024. AllowTcpForwarding and PermitListen in the "
            "server's sshd_config can also forbid it.",
        )
    return TunnelError(
        f"{host} does not forward ports.",
        hint="In the server's sshd_config, AllowTcpForwarding must be `yes` or `remote`, and PermitListen must allow "
        "any port.",
    )


def no_url(host: str, output: str) -> TunnelError:
    """Return the error for a service that doesn't print a URL. `output` is the text that the service printed."""
    line = brief(last_line(output))
    detail = f" Its last output: {line}" if line else ""
    return TunnelError(
        f"{printable(host)} did not print a public URL.{detail}",
        hint="Try again, or use another service. `ssh -R 80:localhost:8000 HOST` shows its whole output.",
    )
