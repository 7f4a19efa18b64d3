"""The limit of a server's connections. The oldest idle one makes room for a new one.

A connection is idle while it waits for the head of a request. Anyone can open many idle connections, so these must not
block other clients. A connection with a request in progress is never closed.
"""

from __future__ import annotations

import asyncio
import select
import sys
from collections.abc import Callable, Sequence

from aiohttp import web

Link = web.RequestHandler

# For so long, or a tenth of its wait, a connection is new: its head may be on its way.
_NEW_S, _NEW_SHARE = 1.0, 0.1


def limited(server: web.Server, most: int) -> Callable[[], asyncio.Protocol]:
    """Return a factory for the protocol of a new connection: the server's protocol, if there is room.

    At `most` connections, the oldest idle one is closed. If none is idle, the new one is.
    """
    room = Room(most)
    return lambda: server() if room.admits(server.connections) else _Closing()


class Room:
    """Makes room for `most` connections of a server, by closing idle connections.

    `first_wait_s` is how long the server waits for the head of a connection's first request, if that is not how long
    it waits for later ones. Connections that the system accepts together may exceed the limit until the next
    connection.
    """

    def __init__(self, most: int, *, first_wait_s: float | None = None) -> None:
        self._most = most
        self._first_wait_s = first_wait_s
        self._closing: list[Link] = []  # closed here, and the server does not know it yet

    def admits(self, connections: Sequence[Link]) -> bool:
        """Return whether there is room for one more connection, after closing the oldest idle connections if necessary.

        Connections that have not sent a request are closed before others, whose clients are likely to send more. New
        connections are closed last.
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
        """Return a key that is lowest for the connection to close first."""
        close_at: float = link._next_keepalive_close_time  # noqa: SLF001 - as below
        has_sent: bool = link._request_count > 0  # noqa: SLF001
        wait_s: float = link._keepalive_timeout if self._first_wait_s is None else self._first_wait_s  # noqa: SLF001
        idle_s = wait_s - (close_at - link._loop.time())  # noqa: SLF001
        is_new = not has_sent and idle_s < min(_NEW_S, _NEW_SHARE * wait_s)
        return is_new, has_sent, close_at


# aiohttp has no public names for the state of a connection.
def _is_idle(link: Link) -> bool:
    """Return whether no request is in progress, and every response was sent.

    A new connection does not wait yet, but has no request either.
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
        transport.abort()  # a client that does not read could keep a closed connection open


if sys.platform == "win32":

    def _has_input(link: Link) -> bool:  # noqa: ARG001 - the signature for every system
        """Return False: it cannot be told."""
        return False

else:

    def _has_input(link: Link) -> bool:
        """Return whether something has arrived that the event loop has not read yet."""
        if link.transport is None:
            return False
        poll = select.poll()
        poll.register(link.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))


class _Closing(asyncio.Protocol):
    """A connection beyond the limit."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        transport.close()
