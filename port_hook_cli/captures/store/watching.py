"""New captures of a store, each once, when its request has its outcome."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from port_hook_cli.captures.database.conditions import OPEN_FOR_S
from port_hook_cli.captures.store.capture_store import BodyFilter, CaptureStore
from port_hook_cli.captures.store.statements import StoreFilter
from port_hook_cli.invocations.models import Exchange

_MOST_OPEN = 500


class CaptureWatch:
    """Finds the captures that match `wanted` and are added after the watch was made.

    A listener saves a request before it responds, so a capture is found when it has an outcome, or after a minute.
    `bodies` is the filter for bodies, as for `CaptureStore.select`.
    """

    def __init__(self, store: CaptureStore, wanted: StoreFilter, bodies: BodyFilter | None = None) -> None:
        self._store, self._wanted, self._bodies = store, wanted, bodies
        self.seen = store.last_number()
        """The number of the newest capture that this watch knows."""
        self._open: tuple[int, ...] = ()

    def news(self, now: float) -> Iterator[Exchange]:
        """Yield the captures that have got an outcome since the last call; `now` is epoch seconds.

        Raises StoreError.
        """
        since_s, waiting, top = now - OPEN_FOR_S, self._open, self._store.last_number()
        added = StoreFilter(after=self.seen, upto=top)
        still_open = self._store.without_outcome(StoreFilter(among=waiting, since_s=since_s), limit=_MOST_OPEN)
        opened = self._store.without_outcome(replace(added, since_s=since_s), limit=_MOST_OPEN - len(still_open))
        self.seen, self._open = top, (*still_open, *opened)
        done = tuple(number for number in waiting if number not in still_open)
        yield from self._select(replace(self._wanted, among=done))
        yield from self._select(replace(self._wanted, after=added.after, upto=top, excluded=opened))

    def _select(self, wanted: StoreFilter) -> Iterator[Exchange]:
        return self._store.select(wanted, bodies=self._bodies, oldest=True)
