"""Find the new captures of a store. Each capture is found once, when its request has an outcome."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from port_hook_cli.captures.database.conditions import OPEN_FOR_S
from port_hook_cli.captures.store.reader import BodyFilter, StoreReader
from port_hook_cli.captures.store.statements import Numbers, StoreFilter
from port_hook_cli.invocations.models import Capture

_MOST_OPEN = 500


class CaptureWatch:
    """Finds the captures that match `wanted` and get their outcome after the watch was created.

    A listener saves a request before it responds. So the watch finds a capture when the capture has an outcome, or
    after a minute. `bodies` is the filter for bodies, as for `StoreReader.select`.
    """

    def __init__(
        self, store: StoreReader, wanted: StoreFilter, bodies: BodyFilter | None = None, *, now: float
    ) -> None:
        self._store, self._wanted, self._bodies = store, wanted, bodies
        self._seen = store.last_number()
        self._open = self._without_outcome(Numbers(upto=self._seen), now, _MOST_OPEN)

    def latest(self, limit: int | None) -> list[Capture]:
        """Return the latest captures from before the watch, oldest first. `news` yields those without an outcome."""
        known = replace(self._wanted, numbers=Numbers(upto=self._seen, without=self._open))
        return list(self._store.select(known, limit=limit, bodies=self._bodies))[::-1]

    def news(self, now: float) -> Iterator[Capture]:
        """Yield the captures that got an outcome since the last call. `now` is in seconds since the epoch.

        Raises StoreError.
        """
        waiting, top = self._open, self._store.last_number()
        added = Numbers(after=self._seen, upto=top)
        still_open = self._without_outcome(Numbers(among=waiting), now, _MOST_OPEN)
        opened = self._without_outcome(added, now, _MOST_OPEN - len(still_open))
        self._seen, self._open = top, (*still_open, *opened)
        done = tuple(number for number in waiting if number not in still_open)
        yield from self._select(Numbers(among=done))
        yield from self._select(added._replace(without=opened))

    def _without_outcome(self, numbers: Numbers, now: float, limit: int) -> tuple[int, ...]:
        since_s = now - OPEN_FOR_S - 1  # SQLite's clock has whole seconds, and must see the same captures as old
        return self._store.without_outcome(StoreFilter(numbers=numbers, since_s=since_s), limit=limit)

    def _select(self, numbers: Numbers) -> Iterator[Capture]:
        return self._store.select(replace(self._wanted, numbers=numbers), bodies=self._bodies, oldest=True)
