"""Observers of a listener: the protocol, a group of observers, and how to find the run that a capture leaves open.

To add an observer, extend `Observer`, override the methods that you need, and add an instance to the list that `listen`
passes to `listening`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from port_hook_cli.invocations.models import Capture, Status
from port_hook_cli.runs.fate import OPEN_FATES, run_fate
from port_hook_cli.tunnels.report import TunnelReport

VERIFIED = frozenset({Status.VALID, Status.REENCODED})
"""The verdicts on requests with a valid signature."""


class Observer(Protocol):
    """An observer of a listener. Its methods must not block. Responses don't wait for these methods.

    A method that a subclass does not override does nothing.
    """

    def captured(self, capture: Capture) -> None:  # noqa: ARG002 - for observers that override it
        """Handle a capture whose response is being sent."""
        return

    def waiting(self, capture: Capture, reason: str) -> None:  # noqa: ARG002 - for observers that override it
        """Handle a capture that has no response so far. `reason` says what the capture waits for."""
        return

    def no_longer_waiting(self, capture: Capture) -> None:  # noqa: ARG002 - for observers that override it
        """Handle the end of a wait. If the capture is shown, it is shown after this call."""
        return

    def notice(self, text: str) -> None:  # noqa: ARG002 - for observers that override it
        """Handle a message that is not about one invocation."""
        return

    def tunnel(self, report: TunnelReport) -> None:  # noqa: ARG002 - for observers that override it
        """Handle a change of the tunnel's state."""
        return

    def event(self, record: Mapping[str, Any]) -> None:  # noqa: ARG002 - for observers that override it
        """Handle the first or the last record of the session (`ready` and `summary`)."""
        return

    async def finish(self, interrupted: asyncio.Event) -> None:  # noqa: ARG002 - for observers that override it
        """Finish pending work after the last capture. Once `interrupted` is set, finish within seconds."""
        return

    def close(self) -> None:
        """Finish within seconds. No other method is called after this method."""
        return


class Observers(Observer):
    """Passes calls on to several observers.

    The observers get the first `limit` captures, or all captures if `limit` is None. When a session with `--count`
    ends, more captures than `limit` can be in progress.
    """

    def __init__(self, observers: Sequence[Observer], *, limit: int | None = None) -> None:
        self._observers = tuple(observers)
        self._left = limit

    def captured(self, capture: Capture) -> None:
        """Pass a capture on to all observers.

        If an observer fails, report its error to the event loop and call the others.
        """
        if self._left is not None:
            if not self._left:
                return
            self._left -= 1
        for observer in self._observers:
            try:
                observer.captured(capture)
            except Exception as error:  # noqa: BLE001 - a defect in one observer
                context = {"message": f"{type(observer).__name__} failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)

    def waiting(self, capture: Capture, reason: str) -> None:
        """Tell the observers that a capture waits, unless `limit` captures were already passed on."""
        if self._left != 0:
            for observer in self._observers:
                observer.waiting(capture, reason)

    def no_longer_waiting(self, capture: Capture) -> None:
        """Tell the observers that a capture no longer waits."""
        for observer in self._observers:
            observer.no_longer_waiting(capture)

    def notice(self, text: str) -> None:
        """Pass a message on to all observers."""
        for observer in self._observers:
            observer.notice(text)

    def tunnel(self, report: TunnelReport) -> None:
        """Pass a change of the tunnel on to all observers."""
        for observer in self._observers:
            observer.tunnel(report)

    def event(self, record: Mapping[str, Any]) -> None:
        """Pass a record on to all observers."""
        for observer in self._observers:
            observer.event(record)

    async def finish(self, interrupted: asyncio.Event) -> None:
        """Finish the observers, one after another."""
        for observer in self._observers:
            await observer.finish(interrupted)

    def close(self) -> None:
        """Close all observers."""
        for observer in self._observers:
            observer.close()


def open_run(capture: Capture) -> str | None:
    """Return the ID of the run that may accept a report after a capture, or None.

    The result is None for a rejected, unverified or repeated request, and for a request that got no response.
    """
    verdict, response = capture.verdict, capture.response
    if capture.rejected or response is None or verdict.status not in VERIFIED or "replayed" in verdict.slugs:
        return None
    return (
        capture.payload.run_id
        if run_fate(capture.payload, response, is_message=capture.is_message) in OPEN_FATES
        else None
    )


MAX_UNREAD = 1_000
MAX_UNREAD_BYTES = 64 * 1024 * 1024
"""The limit for the bodies of all waiting requests and responses. The latest capture stays even above the limit."""


class UnreadCaptures(Observer):
    """Holds captures in memory until they are read, and deletes the oldest captures when a limit is reached."""

    def __init__(self) -> None:
        self._waiting = asyncio.Queue[Capture]()
        self._size = 0

    def captured(self, capture: Capture) -> None:
        """Add a capture."""
        self._waiting.put_nowait(capture)
        self._size += _body_size(capture)
        while (count := self._waiting.qsize()) > MAX_UNREAD or (self._size > MAX_UNREAD_BYTES and count > 1):
            self._size -= _body_size(self._waiting.get_nowait())

    async def next(self) -> Capture:
        """Remove the oldest capture and return it. If there is no capture, wait for the next capture."""
        capture = await self._waiting.get()
        self._size -= _body_size(capture)
        return capture


def _body_size(capture: Capture) -> int:
    delivery, response = capture.delivery, capture.response
    return sum(len(each.body) for each in (capture.invocation, delivery, response) if each is not None)
