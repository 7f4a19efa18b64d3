"""The requests held during a pause. The terminal's `p` key and the inspector's page share one `Holding`.

A pause holds only requests for the handler, or requests for the response without a handler. A rejected request gets its
401 immediately.
"""

from __future__ import annotations

from collections.abc import Callable

from port_hook_cli.captures.view.parts import what_it_is
from port_hook_cli.errors import PortHookError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Capture
from port_hook_cli.listener.in_flight import HELD, RESPONDED, InFlight, RequestsInFlight
from port_hook_cli.listener.observers import Observer
from port_hook_cli.listener.turns import ManualResponse, Turn, Turns
from port_hook_cli.listener.view import PRESS_P, held_line, passed_line, pause_line, responded_line
from port_hook_cli.text.safe import brief

MOST_SHOWN = 200
"""The maximum number of held requests that `held` returns. The limits of the listener allow about 1,000 requests."""

_NAME = 200


class NotHeld(PortHookError):
    """The request is not held: it was released, it has a response, or its sender disconnected."""


@frozen(kw_only=True)
class Held:
    """A held request, or a request that waits for the delay of its manual response."""

    id: str
    name: str
    run_id: str | None
    received_at: float
    is_message: bool
    manual: ManualResponse | None


class Holding:
    """Holds requests, releases all of them, lets one request pass to the handler, or responds to one request by hand.

    `release` is the instruction in the terminal's messages. `changed` is called after each change of the held requests.
    """

    def __init__(self, turns: Turns, requests: RequestsInFlight, observer: Observer) -> None:
        self._turns, self._requests, self._observer = turns, requests, observer
        self._waiting: dict[str, tuple[InFlight, Turn]] = {}
        self._manual: dict[str, ManualResponse] = {}
        self.release = PRESS_P
        self.changed: Callable[[], None] = lambda: None

    @property
    def is_paused(self) -> bool:
        """Whether incoming requests are held."""
        return self._turns.is_paused

    @property
    def count(self) -> int:
        """The number of held requests."""
        return self._turns.held

    @property
    def unanswered(self) -> int:
        """The number of requests that are held or wait for the delay of their manual response."""
        return self._turns.held + len(self._manual)

    def hold(self, wanted: bool) -> None:
        """Start holding requests, or stop holding and release all held requests to the handler."""
        if wanted == self._turns.is_paused:
            return
        released = None
        if wanted:
            self._turns.pause()
        else:
            released = self._turns.resume()
        self._observer.notice(pause_line(released, self.release))
        for name in self._waiting:
            self._tell(name)
        self.changed()

    def toggle(self) -> None:
        """Start holding requests, or release the held requests."""
        self.hold(not self.is_paused)

    def held(self) -> list[Held]:
        """Return the held requests and the requests with a delayed manual response, oldest first."""
        found: list[Held] = []
        if not self.is_paused and not self._manual:
            return found
        for name, (request, turn) in self._waiting.items():
            if name in self._manual or self._turns.is_held(turn):
                found.append(_held(request.capture, self._manual.get(name)))
                if len(found) == MOST_SHOWN:
                    break
        return found

    def let_pass(self, name: str) -> bool:
        """Let one held request pass to the handler. Raises NotHeld.

        Return False if the request still waits for its turn.
        """
        request, turn = self._find(name)
        is_called = self._turns.let_pass(turn)
        self._observer.notice(passed_line(request.capture, self.count, is_called=is_called))
        self._tell(name)
        self.changed()
        return is_called

    def respond(self, name: str, response: ManualResponse) -> None:
        """Respond to one held request by hand. Raises NotHeld, and UsageError for a Kafka message."""
        request, turn = self._find(name)
        if request.capture.is_message:
            raise UsageError("A Kafka message cannot have a response.", hint="Let it pass.")
        self._turns.respond(turn, response)
        self._manual[name] = response
        self._observer.notice(responded_line(request.capture, response.response.status, response.delay_s, self.count))
        self._tell(name)
        self.changed()

    def begin(self, request: InFlight, turn: Turn) -> None:
        """Add a request that starts to wait. The caller must always call `end` afterward."""
        name = request.capture.invocation.id
        self._waiting[name] = (request, turn)
        if self._turns.is_paused:
            request.stage = HELD
            self._observer.notice(held_line(request.capture, self.count, self.release))
            self.changed()

    def end(self, request: InFlight) -> None:
        """Remove a request that no longer waits."""
        name = request.capture.invocation.id
        del self._waiting[name]
        if self._manual.pop(name, None) is not None or self._turns.is_paused:
            self.changed()

    def _find(self, name: str) -> tuple[InFlight, Turn]:
        found = self._waiting.get(name)
        if found is None or name in self._manual or not self._turns.is_held(found[1]):
            raise NotHeld(f"{brief(name, 40)} is not held.", hint="It was released, or its sender disconnected.")
        return found

    def _tell(self, name: str) -> None:
        """Update what the terminal shows about a request."""
        request, turn = self._waiting[name]
        if turn.called is None or turn.called.done():  # its wait is over
            return
        request.stage = RESPONDED if name in self._manual else HELD if self._turns.is_held(turn) else None
        self._requests.tell_again(request)


def _held(capture: Capture, manual: ManualResponse | None) -> Held:
    run_id = capture.payload.run_id
    return Held(
        id=capture.invocation.id,
        name=brief(what_it_is(capture.payload), _NAME),
        run_id=run_id and brief(run_id, _NAME),
        received_at=capture.invocation.received_at,
        is_message=capture.is_message,
        manual=manual,
    )
