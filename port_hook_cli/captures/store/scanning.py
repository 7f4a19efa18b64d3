"""Find the parts of a large store that a text search has to read.

Without an index for text, a search looks at every capture, which takes seconds for a million captures. Threads find the
parts with a match, because the sqlite3 module releases the interpreter's lock while SQLite searches. Then the store's
own connection reads these parts, and the parts that no thread could search. So only that connection reports damage.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

from port_hook_cli.captures.database.opening import Access, connect
from port_hook_cli.captures.store import statements
from port_hook_cli.captures.store.statements import Numbers, StoreFilter
from port_hook_cli.errors import StoreError

PART = 10_000
"""The minimum range of capture numbers in a part: about 20 milliseconds of work."""

_MOST_PARTS = 1_000  # any program may have written the numbers, and they may be far apart
_MOST_THREADS = 4
# Each thread may have several copies of a value in memory. The store's own connection searches larger values.
_LARGEST_VALUE = 4 * 1024 * 1024
# This many instructions take about a millisecond.
_INSTRUCTIONS = 100_000
_PATIENCE_S = 0.05


def parts_to_read(
    path: Path, wanted: StoreFilter, oldest: int, latest: int, *, threads: int | None = None
) -> Generator[Numbers, None, None]:
    """Yield the parts of a store that may contain a match, latest first.

    `oldest` and `latest` are the lowest and the highest number of a capture. No thread searches the latest part,
    because it may contain everything that the user wants to see. `threads` defaults to the number of cores, up to four.
    The threads end when the iterator is closed.
    """
    threads = min(_cores(), _MOST_THREADS) if threads is None else threads
    numbers = wanted.numbers
    upto = latest if numbers.upto is None else min(latest, numbers.upto)
    has_index = wanted.run_id is not None or wanted.replay_of is not None
    is_of_few = numbers.after is not None or numbers.among is not None or upto - oldest < PART
    if has_index or is_of_few or threads <= 1:
        yield numbers
        return
    try:
        # The scan opens the store before the first part is yielded: reading that part may take long, and another file
        # may replace the store in the meantime.
        scan = _Scan(path, wanted, threads)
    except StoreError:
        yield numbers
        return
    try:
        yield numbers._replace(after=upto - PART)
        yield from scan.parts_with_a_match(numbers, oldest, upto - PART)
    finally:
        scan.close()


def _parts(numbers: Numbers, oldest: int, latest: int) -> Iterator[Numbers]:
    size = max(PART, -(-(latest - oldest + 1) // _MOST_PARTS))
    for upto in range(latest, oldest - 1, -size):
        yield numbers._replace(after=max(upto - size, oldest - 1), upto=upto)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Scan:
    """Searches parts of a store in threads, each with its own connection."""

    def __init__(self, path: Path, wanted: StoreFilter, threads: int) -> None:
        self._wanted = wanted
        self._is_over = False
        self._connections: list[sqlite3.Connection] = []
        self._free: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._pool = ThreadPoolExecutor(threads, "scan")
        try:
            for _ in range(threads):
                self._open(path)
        except BaseException:
            self.close()
            raise

    def parts_with_a_match(self, numbers: Numbers, oldest: int, latest: int) -> Iterator[Numbers]:
        """Yield the parts of a range that contain a match, latest first.

        Each part is limited to its latest match and older captures. A part that cannot be searched is yielded
        unchanged.
        """
        try:
            found = self._pool.map(self._from_its_latest_match, _parts(numbers, oldest, latest))
        except RuntimeError:  # the system doesn't allow more threads
            yield numbers._replace(upto=latest)
            return
        yield from filter(None, found)

    def close(self) -> None:
        """End the threads, and close their connections."""
        self._is_over = True
        self._pool.shutdown(cancel_futures=True)
        for connection in self._connections:
            connection.close()

    def _open(self, path: Path) -> None:
        connection = connect(path, Access.GLANCE, patience_s=_PATIENCE_S).connection
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_VALUE)
        connection.set_progress_handler(lambda: self._is_over, _INSTRUCTIONS)
        self._connections.append(connection)
        self._free.put(connection)

    def _from_its_latest_match(self, part: Numbers) -> Numbers | None:
        query = statements.search(replace(self._wanted, numbers=part), columns="seq", limit=1)
        connection = self._free.get()
        try:
            found = connection.execute(*query).fetchone()
        except sqlite3.Error:
            return part
        finally:
            self._free.put(connection)
        return None if found is None else part._replace(upto=found[0])
