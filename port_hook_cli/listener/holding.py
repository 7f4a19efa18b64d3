"""The requests that a pause holds. The terminal's key `p` and the inspector's page both use one `Holding`.

Only requests that would get a response from the handler, or the response without a handler, are held. A rejected
request gets its 401 immediately.
"""

from __future__ import annotations

from collections.abc import Callable

from port_hook_cli.captures.view.parts import what_it_is
from port_hook_cli.errors import PortHookError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Capture
from port_hook_cli.listener.in_flight import ANSWERED, HELD, InFlight, RequestsInFlight
from port_hook_cli.listener.observers import Observer
from port_hook_cli.listener.turns import Answer, Turn, Turns
from port_hook_cli.listener.view import PRESS_P, answered_line, held_line, passed_line, pause_line
from port_hook_cli.text.safe import brief

MOST_SHOWN = 200
"""How many held requests `held` returns. The limits of the listener allow about 1,000."""

_NAME = 200


class NotHeld(PortHookError):
    """A request is not held: it was released, has a response, or its sender disconnected."""


@frozen(kw_only=True)
class Held:
    """A held request, or an answered request whose delay is not over."""

    id: str
    name: str
    run_id: str | None
    received_at: float
    is_message: bool
    answer: Answer | None


class Holding:
    """Holds requests, releases all of them, lets one pass to the handler, or answers one by hand.

    `release` is the instruction in the terminal's messages. `changed` is called after each change of the held requests.
    """

    def __init__(self, turns: Turns, requests: RequestsInFlight, observer: Observer) -> None:
        self._turns, self._requests, self._observer = turns, requests, observer
        self._waiting: dict[str, tuple[InFlight, Turn]] = {}
        self._answers: dict[str, Answer] = {}
        self.release = PRESS_P
        self.changed: Callable[[], None] = lambda: None

    @property
    def is_paused(self) -> bool:
        """Whether incoming requests are held."""
        return self._turns.is_paused

    @property
    def count(self) -> int:
        """How many requests are held."""
        return self._turns.held

    @property
    def unanswered(self) -> int:
        """How many requests are held, or wait for the delay of their answer."""
        return self._turns.held + len(self._answers)

    def hold(self, wanted: bool) -> None:
        """Start holding requests, or stop and release all held requests to the handler."""
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
        """Start holding requests, or release them."""
        self.hold(not self.is_paused)

    def held(self) -> list[Held]:
        """Return the held requests and the requests with a delayed answer, oldest first."""
        found: list[Held] = []
        if not self.is_paused and not self._answers:
            return found
        for name, (request, turn) in self._waiting.items():
            if name in self._answers or self._turns.is_held(turn):
                found.append(_held(request.capture, self._answers.get(name)))
                if len(found) == MOST_SHOWN:
                    break
        return found

    def let_pass(self, name: str) -> bool:
        """Let one held request pass to the handler. Return False if it still waits for its turn. Raises NotHeld."""
        request, turn = self._find(name)
        is_called = self._turns.let_pass(turn)
        self._observer.notice(passed_line(request.capture, self.count, is_called=is_called))
        self._tell(name)
        self.changed()
        return is_called

    def answer(self, name: str, answer: Answer) -> None:
        """Answer one held request by hand. Raises NotHeld, and UsageError for a Kafka message."""
        request, turn = self._find(name)
        if request.capture.is_message:
            raise UsageError("Port gets no response to a Kafka message.", hint="Let it pass.")
        self._turns.answer(turn, answer)
        self._answers[name] = answer
        self._observer.notice(answered_line(request.capture, answer.response.status, answer.delay_s, self.count))
        self._tell(name)
        self.changed()

    def begin(self, request: InFlight, turn: Turn) -> None:
        """Add a request that starts to wait. Always call `end` afterward."""
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
        if self._answers.pop(name, None) is not None or self._turns.is_paused:
            self.changed()

    def _find(self, name: str) -> tuple[InFlight, Turn]:
        found = self._waiting.get(name)
        if found is None or name in self._answers or not self._turns.is_held(found[1]):
            raise NotHeld(f"{brief(name, 40)} is not held.", hint="It was released, or its sender disconnected.")
        return found

    def _tell(self, name: str) -> None:
        """Update what the terminal shows about a request."""
        request, turn = self._waiting[name]
        if turn.called is None or turn.called.done():  # it leaves now
            return
        request.stage = ANSWERED if name in self._answers else HELD if self._turns.is_held(turn) else None
        self._requests.tell_again(request)


def _held(capture: Capture, answer: Answer | None) -> Held:
    run_id = capture.payload.run_id
    return Held(
        id=capture.invocation.id,
        name=brief(what_it_is(capture.payload), _NAME),
        run_id=run_id and brief(run_id, _NAME),
        received_at=capture.invocation.received_at,
        is_message=capture.is_message,
        answer=answer,
    )
