"""Decides when requests are forwarded: one at a time per run, a limited number concurrently, and none during a pause.

During a pause, the user can let one request pass, or respond to one request by hand (see `holding.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

from port_hook_cli.invocations.models import Response


class SenderLeft(Exception):
    """The sender of a request disconnected while it waited for its turn."""


class ManualResponse(NamedTuple):
    """The response that the user writes by hand for a held request. It is sent after `delay_s` seconds."""

    response: Response
    delay_s: float = 0.0


class Turn:
    """The place of one request in the queue. Before you forward the request, await `called` unless it is None.

    The result of `called` is None, or the user's manual response. Don't forward a request that has a manual response.
    """

    __slots__ = ("called", "forwards", "run_id")

    def __init__(self, run_id: str | None, *, forwards: bool) -> None:
        self.run_id = run_id
        self.forwards = forwards
        self.called: asyncio.Future[ManualResponse | None] | None = None

    def give_up(self) -> None:
        """Stop waiting, because the sender has disconnected. `called` then raises SenderLeft."""
        if self.called is not None and not self.called.done():
            self.called.set_exception(SenderLeft())


class Turns:
    """Lets requests take turns, in order of arrival. The server limits how many requests may wait.

    At most `limit` requests are forwarded concurrently. None means no limit. A request waits until the response to the
    previous request of its run has arrived. Meanwhile, the waiting request doesn't count toward `limit`.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        # The runs with a request that is in flight or next in line. Other requests of the run wait here.
        self._runs: dict[str, dict[Turn, None] | None] = {}
        # These lines are dictionaries, because a canceled request is removed from the middle.
        self._next: dict[Turn, None] = {}
        self._held: dict[Turn, None] = {}
        # The waiting requests that the user let pass. `_passing` holds the requests among them that are next.
        self._let_pass: set[Turn] = set()
        self._passing: dict[Turn, None] = {}
        # The requests with a manual response, and whether they are next in their run. If not, they keep their place in
        # the run's line, because the later requests wait for this response too.
        self._responded: dict[Turn, bool] = {}
        self._forwarded = 0
        self._waiting = 0
        self._is_over = False
        self.is_paused = False

    @property
    def runs(self) -> int:
        """The number of runs that have requests in flight or waiting."""
        return len(self._runs)

    @property
    def waiting(self) -> int:
        """The number of requests that wait for their turn."""
        return self._waiting

    @property
    def held(self) -> int:
        """The number of requests that a pause holds.

        The user has not decided about these requests yet.
        """
        return self._waiting - len(self._responded) - len(self._let_pass) if self.is_paused else 0

    def is_held(self, turn: Turn) -> bool:
        """Return whether a pause holds the request of this turn."""
        is_leaving = turn.called is not None and turn.called.done()
        return self.is_paused and not is_leaving and not self._is_decided(turn) and turn in self._line_of(turn)

    def let_pass(self, turn: Turn) -> bool:
        """Call a held turn despite the pause. Return False if the turn still waits for its run or for a free place."""
        self._let_pass.add(turn)
        if turn in self._held:
            del self._held[turn]
            self._call(turn)
        elif turn in self._next:
            del self._next[turn]
            self._passing[turn] = None
            self._call_next()
        return turn not in self._let_pass

    def respond(self, turn: Turn, response: ManualResponse) -> None:
        """End a held turn with a manual response, after the delay of the response."""
        line = self._line_of(turn)
        if line is self._next or line is self._held:
            del line[turn]
        self._responded[turn] = line is self._next
        called = turn.called
        assert called is not None

        def give() -> None:
            if not called.done():
                called.set_result(response)

        if not response.delay_s:
            give()
            return
        timer = asyncio.get_running_loop().call_later(response.delay_s, give)
        called.add_done_callback(lambda _: timer.cancel())

    def take(self, run_id: str | None) -> Turn:
        """Return the turn of a request to forward. The caller must always pass the turn to `end` afterward."""
        turn = Turn(run_id, forwards=True)
        if turn.run_id is not None:
            if turn.run_id in self._runs:
                others = self._runs[turn.run_id]
                if others is None:
                    others = self._runs[turn.run_id] = {}
                return self._wait(turn, others)
            self._runs[turn.run_id] = None
        if self.is_paused or self._is_full:
            return self._wait(turn, self._next)
        self._forwarded += 1
        return turn

    def hold(self) -> Turn:
        """Return the turn of a request that needs no handler. This turn waits only during a pause."""
        turn = Turn(None, forwards=False)
        return self._wait(turn, self._held) if self.is_paused else turn

    def end(self, turn: Turn) -> None:
        """End a turn, because its request was forwarded or will not be forwarded."""
        if turn.called is not None and self._has_left(turn):
            return
        if turn.forwards:
            self._forwarded -= 1
            self._end_of_run(turn)
            if self._next or self._passing:
                self._call_next()

    def pause(self) -> None:
        """Hold every request whose turn comes from now on."""
        self.is_paused = True

    def resume(self) -> int:
        """End the pause, and return how many requests were held."""
        held = self.held
        self.is_paused = False
        for turn in [*self._held]:
            del self._held[turn]
            self._call(turn)
        self._call_next()
        return held

    def close(self) -> None:
        """Cancel the requests that wait for the end of a pause or for a delayed response, because the listener ends."""
        self._is_over = True
        for turn in [*self._responded, *(self._all_undecided() if self.is_paused else ())]:
            if turn.called is not None:
                turn.called.cancel()

    @property
    def _is_full(self) -> bool:
        return self._limit is not None and self._forwarded >= self._limit

    def _is_decided(self, turn: Turn) -> bool:
        """Return whether the user let the request pass, or responded to it."""
        return turn in self._let_pass or turn in self._responded

    def _line_of(self, turn: Turn) -> dict[Turn, None]:
        """Return the line in which a turn waits for its run, for a free place or for the end of a pause."""
        others = None if turn.run_id is None else self._runs.get(turn.run_id)
        return next((line for line in (others, self._next, self._held) if line and turn in line), {})

    def _all_undecided(self) -> Iterator[Turn]:
        for line in (self._held, self._next, *self._runs.values()):
            yield from (turn for turn in line or () if not self._is_decided(turn))

    def _wait(self, turn: Turn, line: dict[Turn, None]) -> Turn:
        line[turn] = None
        turn.called = asyncio.get_running_loop().create_future()
        self._waiting += 1
        if self._is_over and self.is_paused:
            turn.called.cancel()
        return turn

    def _has_left(self, turn: Turn) -> bool:
        """Remove a waiting turn from its line. Return whether the turn was waiting."""
        if turn in self._responded:
            self._waiting -= 1
            if self._responded.pop(turn):
                self._end_of_run(turn)
                self._call_next()
            else:
                self._line_of(turn).pop(turn, None)
            return True
        others = None if turn.run_id is None else self._runs.get(turn.run_id)
        for line in (others, self._next, self._passing, self._held):
            if line and turn in line:
                del line[turn]
                self._waiting -= 1
                self._let_pass.discard(turn)
                if line is self._next or line is self._passing:
                    self._end_of_run(turn)
                    self._call_next()  # the user may have let the run's next request pass
                return True
        return False

    def _end_of_run(self, turn: Turn) -> None:
        """Let the next request of the run take its place in the line of all runs."""
        if turn.run_id is None:
            return
        others = self._runs[turn.run_id]
        if not others:
            del self._runs[turn.run_id]
            return
        following = next(iter(others))
        del others[following]
        if following in self._responded:
            self._responded[following] = True
            return
        line = self._passing if following in self._let_pass else self._next
        line[following] = None

    def _call_next(self) -> None:
        while not self._is_full:
            line = self._passing or (None if self.is_paused else self._next)
            if not line:
                return
            turn = next(iter(line))
            del line[turn]
            self._forwarded += 1
            self._call(turn)

    def _call(self, turn: Turn) -> None:
        self._waiting -= 1
        self._let_pass.discard(turn)
        if turn.called is not None and not turn.called.done():
            turn.called.set_result(None)
