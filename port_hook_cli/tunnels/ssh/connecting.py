"""Opening an SSH tunnel: getting in, asking for the port, learning the URL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import asyncssh

from port_hook_cli.tunnels.protocol import Opening
from port_hook_cli.tunnels.ssh.banner import find_url
from port_hook_cli.tunnels.ssh.destination import Destination, Service, ports_to_ask_for, read_destination, url_of
from port_hook_cli.tunnels.ssh.errors import TROUBLES, Trouble, no_port, no_url, not_forwarded
from port_hook_cli.tunnels.ssh.known_hosts import KnownHosts
from port_hook_cli.tunnels.ssh.tunnel import Ear, SshTunnel, Voice, hang_up

_SSH_PORT = 22
_SIGNS_MISSED = 2
# Services print the URL with http before the one with https.
_HTTPS_GRACE_S = 2.0
# All interfaces of the server; where sshd has `GatewayPorts no`, it takes its loopback instead without a word.
_EVERYWHERE = ""
# What `ssh -R 80:…` without an address sends; localhost.run takes anything else for a domain.
_AS_OPENSSH = "localhost"


@dataclass(frozen=True, slots=True)
class _Way:
    """How to connect: asyncssh's arguments, what ~/.ssh/config has made of them, and the keys of servers."""

    arguments: dict[str, Any]
    options: asyncssh.SSHClientConnectionOptions
    known: KnownHosts

    @property
    def name(self) -> str:
        """The server's name in known_hosts."""
        return self.options.host_key_alias or self.options.host

    @property
    def port(self) -> int:
        """The server's port."""
        port: int = self.arguments.get("port") or self.options.port or _SSH_PORT
        return port

    @property
    def identities(self) -> tuple[str, ...]:
        """The files that ~/.ssh/config names for the user's keys."""
        files = self.options.config.get("IdentityFile", ())
        return tuple(map(str, files)) if isinstance(files, list) else ()


async def open_tunnel(opening: Opening) -> SshTunnel:
    """Open the tunnel; raises TunnelError. See `ssh.open_ssh`."""
    # asyncssh logs each connection, and prints what it takes for a problem.
    asyncssh.set_log_level(logging.CRITICAL + 1)
    to = read_destination(opening.address or "")
    trouble = Trouble(host=to.host, port=to.port or _SSH_PORT, home=opening.home, timeout_s=opening.timeout_s)
    ports = _ports(to, opening)
    try:
        way = await _way(to, opening)
    except TROUBLES as error:
        raise trouble.of(error) from None
    trouble = replace(trouble, port=way.port, identities=way.identities)
    connection, ear = await _get_in(way, trouble, opening, is_service=to.service is not None)
    try:
        async with asyncio.timeout(opening.timeout_s):
            if to.service:
                return await _through_service(connection, ear, to.service, opening)
            return await _through_own_server(connection, ear, way.options.host, ports, opening)
    except BaseException as error:
        await hang_up(connection)
        if isinstance(error, TimeoutError) and to.service:
            raise no_url(to.host, ear.text) from None
        if isinstance(error, TROUBLES):
            raise trouble.of(error) from None
        raise


def _ports(to: Destination, opening: Opening) -> tuple[int, ...]:
    if to.service:
        return (to.service.remote_port,)
    ports = ports_to_ask_for(to.remote_port, public_url=opening.public_url, previous_url=opening.previous_url)
    if not ports:
        raise no_port(to.host)
    return ports


async def _way(to: Destination, opening: Opening) -> _Way:
    config = opening.home / ".ssh" / "config"
    arguments: dict[str, Any] = {
        "host": to.host,
        "config": [str(config)] if os.access(config, os.R_OK) else None,
        "keepalive_interval": opening.keepalive_s,
        "keepalive_count_max": _SIGNS_MISSED,
        "login_timeout": opening.timeout_s,
        "agent_forwarding": False,
        "x11_forwarding": False,
    }
    arguments |= {name: value for name, value in (("username", to.user), ("port", to.port)) if value is not None}
    if not to.shows_keys:
        arguments["client_keys"] = None
    options = await asyncssh.SSHClientConnectionOptions.construct(None, **arguments)
    if to.service and to.port is None and options.config.get("Port") is None:
        arguments["port"] = to.service.port
    if options.config.get("IdentityAgent") is None:
        arguments["agent_path"] = opening.environ.get("SSH_AUTH_SOCK", "")
    configured = options.known_hosts if isinstance(options.known_hosts, list) else []
    way = _Way(arguments, options, KnownHosts(opening.home, [str(path) for path in configured]))
    algorithms = way.known.algorithms(way.name, way.port)
    if algorithms and options.config.get("HostKeyAlgorithms") is None:
        arguments["server_host_key_algs"] = algorithms
    return way


async def _get_in(
    way: _Way, trouble: Trouble, opening: Opening, *, is_service: bool
) -> tuple[asyncssh.SSHClientConnection, Ear]:
    """Connect; a second time when the user has accepted the server's key, as no handshake waits for a question."""
    ear = Ear(empty_password=is_service)
    try:
        return await _connect(way, ear, opening), ear
    except asyncssh.HostKeyNotVerifiable as error:
        if not ear.offer:
            raise trouble.of(error) from None
    except TROUBLES as error:
        raise trouble.of(error) from None
    await way.known.admit(ear.offer, opening)
    ear = Ear(empty_password=is_service)
    try:
        return await _connect(way, ear, opening), ear
    except TROUBLES as error:
        raise trouble.of(error) from None


async def _connect(way: _Way, ear: Ear, opening: Opening) -> asyncssh.SSHClientConnection:
    async with asyncio.timeout(opening.timeout_s):
        return await asyncssh.connect(**way.arguments, known_hosts=way.known.all, client_factory=lambda: ear)


async def _through_own_server(
    connection: asyncssh.SSHClientConnection, ear: Ear, host: str, ports: tuple[int, ...], opening: Opening
) -> SshTunnel:
    for port in ports:
        try:
            listener = await connection.forward_remote_port(_EVERYWHERE, port, *_local(opening))
        except asyncssh.ChannelListenError:
            continue
        url = opening.public_url or url_of(host, listener.get_port())
        return SshTunnel(connection, ear, url.rstrip("/"), host=host, may_be_loopback_only=not opening.public_url)
    raise not_forwarded(host, ports[-1])


async def _through_service(
    connection: asyncssh.SSHClientConnection, ear: Ear, service: Service, opening: Opening
) -> SshTunnel:
    try:
        # Both at once, as OpenSSH does: nobody has promised to answer the one before the other.
        await asyncio.gather(
            connection.forward_remote_port(_AS_OPENSSH, service.remote_port, *_local(opening)),
            connection.create_session(
                lambda: Voice(ear),
                command=service.command,
                request_pty=False,
                env={},
                send_env=[],
                encoding="utf-8",
                errors="replace",
            ),
        )
    except asyncssh.ChannelListenError:
        raise no_url(service.host, ear.text) from None
    url = opening.public_url or await _url(ear, service)
    return SshTunnel(connection, ear, url.rstrip("/"), host=service.host, may_be_loopback_only=False)


async def _url(ear: Ear, service: Service) -> str:
    """Return the URL once it is told; https if that comes along."""
    while not (url := find_url(ear.text, service)):
        if ear.ended.is_set():
            raise no_url(service.host, ear.text)
        ear.spoken.clear()
        await ear.spoken.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_HTTPS_GRACE_S):
            while not url.startswith("https:") and not ear.ended.is_set():
                ear.spoken.clear()
                await ear.spoken.wait()
                url = find_url(ear.text, service) or url
    return url


def _local(opening: Opening) -> tuple[str, int]:
    """Return the only place that the other side may reach: the listener."""
    parts = urlsplit(opening.local_url)
    return parts.hostname or "127.0.0.1", parts.port or 80
