"""The requests that have no response yet. Observers learn only about requests that wait longer than a moment."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from port_hook_cli.invocations.models import Capture
from port_hook_cli.invocations.targets import is_on_this_machine
from port_hook_cli.listener.observers import Observer
from port_hook_cli.text.safe import brief

HELD, RESPONDED = "held", "responded by hand, delayed"
"""The stages of a held request: before the user decides, and during the delay of the manual response."""

SHOWN_AFTER_S = 0.4
"""The wait in seconds before observers learn about a request.

Most handlers respond sooner. Their requests would only flicker on a screen, and add two lines each to a log.
"""

_MOST_OF_A_HOST = 60


class InFlight:
    """A request in flight. `url` is the target of the request, or None if it was not forwarded yet.

    `began_at` is the event loop's time when the request started to wait for its turn or for the handler. `stage` is
    HELD or RESPONDED, "" if the request was never held, and None if the request waits for its turn again.
    """

    __slots__ = ("began_at", "capture", "is_delayed", "stage", "url")

    def __init__(self, capture: Capture, began_at: float, *, is_delayed: bool) -> None:
        self.capture = capture
        self.began_at = began_at
        self.is_delayed = is_delayed
        self.url: str | None = None
        self.stage: str | None = ""

    def sent_to(self, url: str) -> None:
        """Record that the request is now sent to `url`."""
        self.url, self.began_at = url, _now()

    @property
    def reason(self) -> str:
        """What the request waits for, in a few words for a screen.

        A handler on this machine is shown as its port.
        """
        if self.is_delayed:
            return "response delayed (--delay)"
        if self.url is None:
            return self.stage or "waiting for its turn"
        parts = urlsplit(self.url)
        is_here = parts.port is not None and is_on_this_machine(self.url)
        return f"waiting for {parts.port if is_here else brief(parts.netloc, _MOST_OF_A_HOST)}"

    @property
    def waited_ms(self) -> float:
        """How long the request has waited so far, in milliseconds."""
        return (_now() - self.began_at) * 1000


class RequestsInFlight:
    """The requests of one event loop that have no response yet.

    `begin` and `end` cost little, because all requests share one timer.
    """

    def __init__(self, observer: Observer, shown_after_s: float = SHOWN_AFTER_S) -> None:
        self._observer, self._shown_after_s = observer, shown_after_s
        # Requests that observers don't know yet, oldest first.
        self._young: dict[InFlight, float] = {}
        self._shown: set[InFlight] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, capture: Capture, *, is_delayed: bool = False) -> InFlight:
        """Add a request. `is_delayed` means that its response is delayed.

        The caller must always pass the result to `end`.
        """
        now = _now()
        request = InFlight(capture, now, is_delayed=is_delayed)
        self._young[request] = now + self._shown_after_s
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(now + self._shown_after_s, self._show)
        return request

    def end(self, request: InFlight) -> None:
        """Remove a request that has a response or will not get a response."""
        if self._young.pop(request, None) is None and request in self._shown:
            self._shown.remove(request)
            self._observer.no_longer_waiting(request.capture)

    def tell_again(self, request: InFlight) -> None:
        """Tell the observer that a request now waits for something else.

        Do nothing if the observer doesn't know about the request.
        """
        if request in self._shown:
            self._observer.waiting(request.capture, request.reason)

    def _show(self) -> None:
        """Tell the observer about the requests that have waited long enough."""
        self._timer, now = None, _now()
        while self._young:
            request, due_at = next(iter(self._young.items()))
            if due_at > now:
                self._timer = asyncio.get_running_loop().call_at(due_at, self._show)
                return
            del self._young[request]
            self._shown.add(request)
            self._observer.waiting(request.capture, request.reason)


def _now() -> float:
    return asyncio.get_running_loop().time()
