"""Exchanges that wait until a program reads them: a queue with limits, because any sender can fill it."""

from __future__ import annotations

import asyncio

from port_hook_cli.invocations.models import Exchange
from port_hook_cli.listener.observers import Observer

MAX_UNREAD = 1_000
MAX_UNREAD_BYTES = 64 * 1024 * 1024
"""The limit of the bodies of all requests and responses that wait. The newest exchange always waits."""


class UnreadExchanges(Observer):
    """Keeps exchanges in memory until they are read, and drops the oldest when a limit is reached."""

    def __init__(self) -> None:
        self._waiting = asyncio.Queue[Exchange]()
        self._size = 0

    def exchanged(self, exchange: Exchange) -> None:
        """Add an exchange."""
        self._waiting.put_nowait(exchange)
        self._size += _body_size(exchange)
        while (count := self._waiting.qsize()) > MAX_UNREAD or (self._size > MAX_UNREAD_BYTES and count > 1):
            self._size -= _body_size(self._waiting.get_nowait())

    async def next(self) -> Exchange:
        """Remove the oldest exchange and return it. Waits for one if there is none."""
        exchange = await self._waiting.get()
        self._size -= _body_size(exchange)
        return exchange


def _body_size(exchange: Exchange) -> int:
    delivery, response = exchange.delivery, exchange.response
    return sum(len(each.body) for each in (exchange.invocation, delivery, response) if each is not None)
