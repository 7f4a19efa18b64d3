"""When requests are forwarded: one at a time per run, a limited number at the same time, none during a pause."""

from __future__ import annotations

import asyncio


class SenderLeft(Exception):
    """The sender of a request disconnected while it waited for its turn."""


class Turn:
    """The place of one request. Await `called` before it is forwarded; it is None if the request need not wait."""

    __slots__ = ("called", "forwards", "run_id")

    def __init__(self, run_id: str | None, *, forwards: bool) -> None:
        self.run_id = run_id
        self.forwards = forwards
        self.called: asyncio.Future[None] | None = None

    def give_up(self) -> None:
        """Stop waiting, because the sender has disconnected: `called` raises SenderLeft."""
        if self.called is not None and not self.called.done():
            self.called.set_exception(SenderLeft())


class Turns:
    """Requests take turns, in order of arrival. How many may wait is limited where they are received.

    At most `limit` are forwarded concurrently; None means any number. With `in_order`, a request waits until the
    response to the previous request of its run has arrived. Meanwhile, it takes no place from the others.
    """

    def __init__(self, limit: int | None, *, in_order: bool) -> None:
        self._limit = limit
        self._in_order = in_order
        # The runs with a request that is forwarded or about to be; other requests of the run wait here.
        self._runs: dict[str, dict[Turn, None] | None] = {}
        # Dictionaries, as a request that leaves is taken out of the middle.
        self._next: dict[Turn, None] = {}
        self._held: dict[Turn, None] = {}
        self._forwarded = 0
        self._waiting = 0
        self._is_over = False
        self.is_paused = False

    @property
    def runs(self) -> int:
        """How many runs have requests that are forwarded or wait, if their order is kept."""
        return len(self._runs)

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return self._waiting

    def take(self, run_id: str | None) -> Turn:
        """Return the turn of a request that is to be forwarded. Pass it to `end` afterwards, in any case."""
        turn = Turn(run_id if self._in_order else None, forwards=True)
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
        """Return the turn of a request that needs no handler: it waits only during a pause."""
        turn = Turn(None, forwards=False)
        return self._wait(turn, self._held) if self.is_paused else turn

    def end(self, turn: Turn) -> None:
        """End a turn: its request was forwarded, or is not going to be."""
        if turn.called is not None and self._has_left(turn):
            return
        if turn.forwards:
            self._forwarded -= 1
            self._end_of_run(turn)
            self._call_next()

    def pause(self) -> None:
        """Hold every request whose turn comes from now on."""
        self.is_paused = True

    def resume(self) -> int:
        """End the pause, and return how many requests were held."""
        held = self._waiting
        self.is_paused = False
        for turn in [*self._held]:
            del self._held[turn]
            self._call(turn)
        self._call_next()
        return held

    def close(self) -> None:
        """Cancel the requests that wait for the end of a pause, because the listener ends."""
        self._is_over = True
        if self.is_paused:
            for turn in [*self._held, *self._next, *(turn for others in self._runs.values() for turn in others or ())]:
                if turn.called is not None:
                    turn.called.cancel()

    @property
    def _is_full(self) -> bool:
        return self._limit is not None and self._forwarded >= self._limit

    def _wait(self, turn: Turn, line: dict[Turn, None]) -> Turn:
        line[turn] = None
        turn.called = asyncio.get_running_loop().create_future()
        self._waiting += 1
        if self._is_over and self.is_paused:
            turn.called.cancel()
        return turn

    def _has_left(self, turn: Turn) -> bool:
        """Remove a turn that was not called yet from where it waits; return whether it was there."""
        others = None if turn.run_id is None else self._runs.get(turn.run_id)
        for line in (others, self._next, self._held):
            if line and turn in line:
                del line[turn]
                self._waiting -= 1
                if line is self._next:
                    self._end_of_run(turn)
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
        self._next[following] = None

    def _call_next(self) -> None:
        while self._next and not self.is_paused and not self._is_full:
            turn = next(iter(self._next))
            del self._next[turn]
            self._forwarded += 1
            self._call(turn)

    def _call(self, turn: Turn) -> None:
        self._waiting -= 1
        if turn.called is not None and not turn.called.done():
            turn.called.set_result(None)
