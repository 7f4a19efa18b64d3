"""Observers of a listener: the protocol, several observers as one, and which exchange leaves a run open.

A new observer is a class that extends `Observer` and overrides what it needs, and an entry in the list that `listen`
passes to `listening`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from port_hook_cli.invocations.models import Exchange, Status
from port_hook_cli.runs.fate import OPEN_FATES, run_fate
from port_hook_cli.tunnels.report import TunnelReport

VERIFIED = frozenset({Status.VALID, Status.REENCODED})
"""The verdicts on requests whose signature is valid now."""


class Observer(Protocol):
    """An observer is told what a listener does. Observers must not block: the response does not wait for them.

    A method that is not overridden does nothing.
    """

    def exchanged(self, exchange: Exchange) -> None:  # noqa: ARG002 - for observers that override it
        """Handle an exchange whose response is being sent."""
        return

    def waiting(self, exchange: Exchange, reason: str) -> None:  # noqa: ARG002 - for observers that override it
        """Handle an exchange that has had no response for a moment; `reason` says what it waits for."""
        return

    def no_longer_waiting(self, exchange: Exchange) -> None:  # noqa: ARG002 - for observers that override it
        """Handle the end of what `waiting` was about, before the exchange is shown, if it is."""
        return

    def notice(self, text: str) -> None:  # noqa: ARG002 - for observers that override it
        """Handle a message that is not about one invocation."""
        return

    def tunnel(self, report: TunnelReport) -> None:  # noqa: ARG002 - for observers that override it
        """Handle a change of the tunnel."""
        return

    def event(self, record: Mapping[str, Any]) -> None:  # noqa: ARG002 - for observers that override it
        """Handle the first or the last record of the session (`ready` and `summary`)."""
        return

    async def finish(self, interrupted: asyncio.Event) -> None:  # noqa: ARG002 - for observers that override it
        """Finish what exchanges have begun, after the last exchange, and within seconds once `interrupted` is set."""
        return

    def close(self) -> None:
        """Finish, within seconds. Nothing follows."""
        return


class Observers(Observer):
    """Several observers as one. They get the first `limit` exchanges; None means all.

    More exchanges than `limit` can be in progress when a session with `--count` reaches its end.
    """

    def __init__(self, observers: Sequence[Observer], *, limit: int | None = None) -> None:
        self._observers = tuple(observers)
        self._left = limit

    def exchanged(self, exchange: Exchange) -> None:
        """Pass an exchange on; an observer that fails is reported to the loop and does not stop the others."""
        if self._left is not None:
            if not self._left:
                return
            self._left -= 1
        for observer in self._observers:
            try:
                observer.exchanged(exchange)
            except Exception as error:  # noqa: BLE001 - a defect in one observer
                context = {"message": f"{type(observer).__name__} failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)

    def waiting(self, exchange: Exchange, reason: str) -> None:
        """Pass on that an exchange waits, unless enough exchanges were passed on."""
        if self._left != 0:
            for observer in self._observers:
                observer.waiting(exchange, reason)

    def no_longer_waiting(self, exchange: Exchange) -> None:
        """Pass on that an exchange no longer waits."""
        for observer in self._observers:
            observer.no_longer_waiting(exchange)

    def notice(self, text: str) -> None:
        """Pass a message on."""
        for observer in self._observers:
            observer.notice(text)

    def tunnel(self, report: TunnelReport) -> None:
        """Pass a change of the tunnel on."""
        for observer in self._observers:
            observer.tunnel(report)

    def event(self, record: Mapping[str, Any]) -> None:
        """Pass a record on."""
        for observer in self._observers:
            observer.event(record)

    async def finish(self, interrupted: asyncio.Event) -> None:
        """Finish all observers, one after another."""
        for observer in self._observers:
            await observer.finish(interrupted)

    def close(self) -> None:
        """Close all observers."""
        for observer in self._observers:
            observer.close()


def open_run(exchange: Exchange) -> str | None:
    """Return the id of the run that may accept a report after an exchange, or None.

    There is none for a request that was refused, failed verification, was not verified, repeats an earlier signature,
    or got no response.
    """
    verdict, response = exchange.verdict, exchange.response
    if exchange.refused or response is None or verdict.status not in VERIFIED or "replayed" in verdict.slugs:
        return None
    return (
        exchange.payload.run_id
        if run_fate(exchange.payload, response, is_message=exchange.is_message) in OPEN_FATES
        else None
    )


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
