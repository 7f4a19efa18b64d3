"""Observers of a listener: the protocol, several observers as one, and which capture leaves a run open.

A new observer is a class that extends `Observer` and overrides what it needs, and an entry in the list that `listen`
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
"""The verdicts on requests whose signature is valid now."""


class Observer(Protocol):
    """An observer is told what a listener does. Observers must not block: the response does not wait for them.

    A method that is not overridden does nothing.
    """

    def captured(self, capture: Capture) -> None:  # noqa: ARG002 - for observers that override it
        """Handle a capture whose response is being sent."""
        return

    def waiting(self, capture: Capture, reason: str) -> None:  # noqa: ARG002 - for observers that override it
        """Handle a capture that has had no response for a moment; `reason` says what it waits for."""
        return

    def no_longer_waiting(self, capture: Capture) -> None:  # noqa: ARG002 - for observers that override it
        """Handle the end of what `waiting` was about, before the capture is shown, if it is."""
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
        """Finish what captures have begun, after the last capture, and within seconds once `interrupted` is set."""
        return

    def close(self) -> None:
        """Finish, within seconds. Nothing follows."""
        return


class Observers(Observer):
    """Several observers as one. They get the first `limit` captures; None means all.

    More captures than `limit` can be in progress when a session with `--count` reaches its end.
    """

    def __init__(self, observers: Sequence[Observer], *, limit: int | None = None) -> None:
        self._observers = tuple(observers)
        self._left = limit

    def captured(self, capture: Capture) -> None:
        """Pass a capture on; an observer that fails is reported to the loop and does not stop the others."""
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
        """Pass on that a capture waits, unless enough captures were passed on."""
        if self._left != 0:
            for observer in self._observers:
                observer.waiting(capture, reason)

    def no_longer_waiting(self, capture: Capture) -> None:
        """Pass on that a capture no longer waits."""
        for observer in self._observers:
            observer.no_longer_waiting(capture)

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


def open_run(capture: Capture) -> str | None:
    """Return the id of the run that may accept a report after a capture, or None.

    There is none for a request that was refused, failed verification, was not verified, repeats an earlier signature,
    or got no response.
    """
    verdict, response = capture.verdict, capture.response
    if capture.refused or response is None or verdict.status not in VERIFIED or "replayed" in verdict.slugs:
        return None
    return (
        capture.payload.run_id
        if run_fate(capture.payload, response, is_message=capture.is_message) in OPEN_FATES
        else None
    )


MAX_UNREAD = 1_000
MAX_UNREAD_BYTES = 64 * 1024 * 1024
"""The limit of the bodies of all requests and responses that wait. The latest capture always waits."""


class UnreadCaptures(Observer):
    """Keeps captures in memory until they are read, and drops the oldest when a limit is reached."""

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
        """Remove the oldest capture and return it. Waits for one if there is none."""
        capture = await self._waiting.get()
        self._size -= _body_size(capture)
        return capture


def _body_size(capture: Capture) -> int:
    delivery, response = capture.delivery, capture.response
    return sum(len(each.body) for each in (capture.invocation, delivery, response) if each is not None)
