"""The limit of a server's connections. The oldest idle one makes room for a new one.

A connection is idle while it waits for the head of a request. Anyone can open many of those, so they must not keep
others out. A connection whose request is in progress is never closed.
"""

from __future__ import annotations

import asyncio
import select
import sys
from collections.abc import Callable, Sequence

from aiohttp import web

Link = web.RequestHandler


def limited(server: web.Server, most: int) -> Callable[[], asyncio.Protocol]:
    """Return what makes the protocol of a new connection: the server's, if the server has room for it.

    At `most` connections, the oldest idle one is closed. If none is idle, the new one is.
    """
    room = Room(most)
    return lambda: server() if room.admits(server.connections) else _Closing()


class Room:
    """The room for `most` connections of a server, which is made by closing idle ones.

    Connections that the system has accepted together may exceed it until the next one.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._closing: list[Link] = []  # closed here, and the server does not know it yet

    def admits(self, connections: Sequence[Link]) -> bool:
        """Return whether there is room for one more connection, after the oldest idle ones were closed if need be.

        Connections that have sent no request are closed first: the others belong to clients that mean to send more.
        """
        if len(connections) < self._most:
            self._closing.clear()
            return True
        self._closing = [link for link in self._closing if link in connections]
        too_many = len(connections) - len(self._closing) - self._most + 1
        if too_many > 0:
            for link in sorted((link for link in connections if _is_idle(link)), key=_order):
                if not _has_input(link):
                    _close(link)
                    self._closing.append(link)
                    too_many -= 1
                    if not too_many:
                        break
        return too_many <= 0


# aiohttp has no public names for the state of a connection.
def _is_idle(link: Link) -> bool:
    """Return whether no request is in progress. A new connection does not wait yet, but has no request either."""
    waiter = link._waiter  # noqa: SLF001
    waits = waiter is not None and not waiter.done()
    return link.transport is not None and (waits or link._request_count == 0)  # noqa: SLF001


def _close(link: Link) -> None:
    transport = link.transport
    link.force_close()
    if transport is not None:
        transport.abort()  # a client that reads nothing could keep a closed connection open


def _order(link: Link) -> tuple[bool, float]:
    """Return a key that is lowest for the connection to close first."""
    return link._request_count > 0, link._next_keepalive_close_time  # noqa: SLF001


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
