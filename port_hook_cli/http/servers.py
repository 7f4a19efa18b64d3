"""Shared parts of port-hook's HTTP servers: limit of connections, end of accepting, silent log, and busy ports.

At the limit, the oldest idle connection is closed to make room for a new connection. A connection is idle while it
waits for the head of a request. Anyone can open many idle connections, so idle connections must not block other
clients. A connection with a request in progress is never closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import select
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from port_hook_cli.installed import find_program
from port_hook_cli.text.safe import printable

if TYPE_CHECKING:
    from aiohttp import web

Link: TypeAlias = "web.RequestHandler"

_BACKLOG = 128
_LEAST = 32
_OTHER_FILES = 256
_PROC = Path("/proc")
_LISTENING = "0A"
_LSOF_TIMEOUT_S = 2

# The rounds of the event loop between accepting a connection and calling its protocol.
_ROUNDS = 2


def affordable_connections(wanted: int) -> int:
    """Return how many connections a server accepts: `wanted`, or fewer if it may open too few files.

    If no file were left for the next connection, no client would get a response. A forwarded request uses two files.
    """
    files = allow_open_files(2 * wanted + _OTHER_FILES)
    return min(wanted, max(_LEAST, (files - _OTHER_FILES) // 2))


if sys.platform == "win32":

    def allow_open_files(wanted: int) -> int:
        """Return `wanted`, because Windows does not limit open files."""
        return wanted

else:
    import resource

    def allow_open_files(wanted: int) -> int:
        """Raise the limit of open files to `wanted`, as far as the system allows, and return the new limit."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return wanted
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        except (OSError, ValueError):
            return soft
        return allowed


async def stop_accepting(server: asyncio.Server) -> None:
    """Close the listening sockets of a server, but not its accepted connections.

    The function returns after `connection_made` has been called for each accepted connection, so that the caller can
    close all of them.

    asyncio accepts a connection, creates its transport and calls its protocol in three rounds of the event loop. If the
    server is closed between the first two rounds, asyncio closes the connection, and Python 3.12 and later print a
    traceback (https://github.com/python/cpython/issues/109564). So this function waits these rounds for the last
    connections.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        with suppress(NotImplementedError):  # the event loop on Windows
            loop.remove_reader(listening.fileno())
    try:
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
    finally:  # even if this task is canceled
        server.close()


def disabled_logger() -> logging.Logger:
    """Return a disabled logger for aiohttp, which would otherwise log a traceback for every malformed request."""
    logger = logging.getLogger("port_hook_cli.disabled")
    logger.setLevel(logging.CRITICAL + 1)
    return logger


# A connection is new for this many seconds or this share of its wait, whichever is shorter. Its head may be on its way.
_NEW_S, _NEW_SHARE = 1.0, 0.1


def limited(server: web.Server, most: int) -> Callable[[], asyncio.Protocol]:
    """Return a factory for the protocol of a new connection: the server's protocol if there is room.

    At `most` connections, the oldest idle connection is closed. If no connection is idle, the new connection is closed.
    """
    room = Room(most)
    return lambda: server() if room.admits(server.connections) else _Closing()


class Room:
    """Makes room for `most` connections of a server by closing idle connections.

    `first_wait_s` is how many seconds the server waits for the head of a connection's first request, if this differs
    from the wait for later requests. Connections that the system accepts together may exceed the limit until the next
    connection.
    """

    def __init__(self, most: int, *, first_wait_s: float | None = None) -> None:
        self._most = most
        self._first_wait_s = first_wait_s
        self._closing: list[Link] = []  # closed here, but the server does not know it yet

    def admits(self, connections: Sequence[Link]) -> bool:
        """Return whether there is room for one more connection, after closing the oldest idle connections if necessary.

        Connections that have not sent a request are closed first, because the clients of other connections are likely
        to send more requests. New connections are closed last.
        """
        if len(connections) < self._most:
            self._closing.clear()
            return True
        self._closing = [link for link in self._closing if link in connections]
        too_many = len(connections) - len(self._closing) - self._most + 1
        if too_many > 0:
            for link in sorted((link for link in connections if _is_idle(link)), key=self._order):
                if not _has_input(link):
                    _close(link)
                    self._closing.append(link)
                    too_many -= 1
                    if not too_many:
                        break
        return too_many <= 0

    def _order(self, link: Link) -> tuple[bool, bool, float]:
        """Return a sort key that is lowest for the connection to close first."""
        close_at: float = link._next_keepalive_close_time  # noqa: SLF001 - as below
        has_sent: bool = link._request_count > 0  # noqa: SLF001
        wait_s: float = link._keepalive_timeout if self._first_wait_s is None else self._first_wait_s  # noqa: SLF001
        idle_s = wait_s - (close_at - link._loop.time())  # noqa: SLF001
        is_new = not has_sent and idle_s < min(_NEW_S, _NEW_SHARE * wait_s)
        return is_new, has_sent, close_at


# aiohttp has no public names for the state of a connection.
def _is_idle(link: Link) -> bool:
    """Return whether no request is in progress, and every response was sent.

    A new connection also counts as idle, although it does not wait for a request yet.
    """
    transport, waiter = link.transport, link._waiter  # noqa: SLF001
    if not isinstance(transport, asyncio.Transport) or transport.get_write_buffer_size():
        return False
    waits = waiter is not None and not waiter.done()
    return waits or link._request_count == 0  # noqa: SLF001


def _close(link: Link) -> None:
    transport = link.transport
    link.force_close()
    if transport is not None:
        transport.abort()  # a client that does not read could hold a closed connection open


if sys.platform == "win32":

    def _has_input(link: Link) -> bool:  # noqa: ARG001 - the signature for every system
        """Return False, because Windows cannot show whether data has arrived."""
        return False

else:

    def _has_input(link: Link) -> bool:
        """Return whether data has arrived that the event loop has not read yet."""
        if link.transport is None:
            return False
        poll = select.poll()
        poll.register(link.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))


def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """Return a listening socket for each address of `host`.

    Port 0 means any free port. Raises OSError if an address cannot be used.
    """
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with ExitStack() as opened:
        sockets = [
            opened.enter_context(socket.create_server(address, family=family, backlog=_BACKLOG))
            for family, *_, address in dict.fromkeys(addresses)
        ]
        opened.pop_all()
    return sockets


@asynccontextmanager
async def serving(
    sockets: Sequence[socket.socket], make: Callable[[], web.AppRunner], *, most: int
) -> AsyncIterator[None]:
    """Serve the connections of listening sockets with the runner that `make` returns, until the context ends.

    `make` is called when the caller first waits, so that `make` can import aiohttp after the caller has printed its
    URL. Until then, the operating system accepts connections. `most` limits the number of connections.
    """

    async def start() -> tuple[web.AppRunner, list[asyncio.Server]]:
        runner, loop = make(), asyncio.get_running_loop()
        await runner.setup()
        assert runner.server is not None
        protocols = limited(runner.server, most)
        return runner, [await loop.create_server(protocols, sock=each, backlog=_BACKLOG) for each in sockets]

    starting = asyncio.create_task(start())
    try:
        yield
    finally:
        runner, servers = await starting
        try:
            for server in servers:
                await stop_accepting(server)
        finally:
            await runner.cleanup()


class _Closing(asyncio.Protocol):
    """The protocol of a connection beyond the limit."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close the connection."""
        transport.close()


def describe_owner(host: str, port: int) -> str | None:
    """Return the process that listens on this port, such as `python3 (pid 123)`, or None if it is unknown.

    On Linux, /proc shows the processes of this user (proc(5)). On other systems, `lsof` shows the process if `lsof` is
    installed. A host that is not an address, such as `localhost`, means every address. This function never raises an
    exception.
    """
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        return by_proc(host, port) if sys.platform.startswith("linux") else by_lsof(port, os.environ)
    return None  # pragma: no cover - a process that ends during the search


def by_proc(host: str, port: int) -> str | None:
    """Return the process from /proc: find the sockets that occupy the port, and a process with such a socket open."""
    sockets = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listeners(table, host, port)}
    pids = sorted(int(folder.name) for folder in _PROC.iterdir() if folder.name.isdigit()) if sockets else []
    holder = next((pid for pid in pids if _holds(pid, sockets)), None)
    return f"{printable((_PROC / str(holder) / 'comm').read_text().strip())} (pid {holder})" if holder else None


def _listeners(table: str, host: str, port: int) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on this port at an address that overlaps `host`."""
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        rows = (_PROC / "net" / table).read_text().splitlines()
        for row in (row for row in rows if f":{port:04X} " in row):  # splitting every row takes long on a busy machine
            _, local, _, state, *_, inode = row.split()[:10]
            address, _, number = local.partition(":")
            if state == _LISTENING and int(number, 16) == port and _overlap(host, _address(address)):
                yield inode


def _address(digits: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address in a row of /proc/net/tcp: hexadecimal 32-bit words in this machine's byte order."""
    words = (int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8))
    return ipaddress.ip_address(b"".join(words))


def _overlap(host: str, held: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        wanted = ipaddress.ip_address(host)
    except ValueError:
        return True
    return wanted == held or wanted.is_unspecified or held.is_unspecified


def _holds(pid: int, sockets: set[str]) -> bool:
    """Return whether a process has one of these sockets open, or False for another user's process."""
    with contextlib.suppress(OSError):
        folder = f"{_PROC}/{pid}/fd"
        return any(_target(f"{folder}/{name}") in sockets for name in os.listdir(folder))  # noqa: PTH208 - thousands
    return False


def _target(link: str) -> str:
    """Return the file behind a link in /proc, or "" if the file was closed after the directory was read."""
    with contextlib.suppress(OSError):
        return os.readlink(link)  # noqa: PTH115 - a Path takes four times as long
    return ""


def by_lsof(port: int, environ: Mapping[str, str]) -> str | None:
    """Return the first process that `lsof`, a program on PATH, lists for this port."""
    lsof = find_program("lsof", environ)
    if not lsof:
        return None
    command = [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
    listed = subprocess.run(command, capture_output=True, timeout=_LSOF_TIMEOUT_S, check=False)  # noqa: S603
    # Each line is one field and begins with its letter. The fields of the first process come first.
    fields = {line[:1]: line[1:] for line in reversed(listed.stdout.decode(errors="replace").splitlines())}
    return f"{printable(fields['c'])} (pid {fields['p']})" if {"c", "p"} <= fields.keys() else None
