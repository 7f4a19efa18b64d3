"""Printing that never slows the listener down: a bounded queue, and a thread that writes its items.

The response to Port does not wait for the terminal. If invocations arrive faster than the terminal can show them, each
invocation takes only one line. If the backlog grows further, one line shows only the number of invocations. The store
contains all invocations.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TextIO

from port_hook_cli.terminal.footer import Footer

# Above the first backlog, each capture is printed on one line. Above the second, only the count is printed.
COMPACT_ABOVE = 8
COUNT_ABOVE = 40
_MOST_PENDING = 4_000
# How many bytes, such as bodies, the waiting items may hold in memory while a terminal is blocked.
_MOST_HELD_BYTES = 16 * 1024 * 1024
# Items that arrive within this time are written together, because waking the thread for each line would cost more.
_GATHER_S = 0.02
# The interval between two renderings in a rush. A shorter interval would take the interpreter's lock from many
# requests.
_PERIOD_S = 0.1
# How long one writer waits for another writer, which may be blocked by its reader.
_PATIENCE_S = 0.25

Part = Callable[[bool], str]


class BackgroundWriter:
    """Writes items to one stream from a thread. An item is a function that returns its text, in full or compact.

    A `lossless` writer renders every item in full, and leaves items out only if the queue is full. `footer` is the last
    line of the terminal that the stream writes to, if that terminal has a footer. Each item is written after all
    earlier items of the writer `follows`, unless a reader blocks that writer.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        summarize: Callable[[int], str],
        on_broken: Callable[[], None],
        lossless: bool = False,
        footer: Footer | None = None,
        follows: BackgroundWriter | None = None,
        platform: str = sys.platform,
    ) -> None:
        self._write_through = _writer(stream, platform)
        self._footer = footer
        self._follows = follows
        self._summarize = summarize
        self._on_broken = on_broken
        self._lossless = lossless
        # An item that will only be counted is released immediately. Otherwise, the item would push the listener's data
        # out of the processor's cache, which costs a tenth of the throughput.
        self._room = _MOST_PENDING if lossless else COUNT_ABOVE
        self._pending: deque[tuple[Part, int]] = deque()
        self._held = 0
        self._left_out = 0
        self._queued = 0  # number of items so far
        self._written = 0  # items of `_queued` that were written or left out
        self._progress = threading.Condition()
        self._after = 0  # what the followed writer had queued when this writer's latest item was queued
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="printer", daemon=True)
        self._thread.start()

    def put(self, part: Part, *, held: int = 0) -> None:
        """Queue an item that holds `held` bytes in memory. If there is no room, the oldest items are only counted.

        A `lossless` writer counts the new item instead of the oldest items.
        """
        with self._lock:
            self._queued += 1
            if self._follows is not None:
                self._after = self._follows._queued  # noqa: SLF001 - a writer like this one
            while self._pending and (len(self._pending) >= self._room or self._held + held > _MOST_HELD_BYTES):
                self._left_out += 1
                if self._lossless:
                    return
                self._held -= self._pending.popleft()[1]
            self._pending.append((part, held))
            self._held += held
        if not self._wake.is_set():
            self._wake.set()

    def refresh(self) -> None:
        """Bring the footer up to date soon."""
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout_s: float) -> None:
        """Write pending items for at most `timeout_s` seconds.

        A blocked reader does not delay the end of the process.
        """
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        next_at = 0.0
        while True:
            self._wake.wait()
            self._closing.wait(max(_GATHER_S, next_at - time.monotonic()))
            self._wake.clear()
            next_at = time.monotonic() + _PERIOD_S
            try:
                self._drain()
            except OSError:
                self._advance(sys.maxsize)
                self._on_broken()
                return
            if self._closing.is_set() and not self._pending:
                return

    def _drain(self) -> None:
        batch, left_out, queued, after = self._take()
        if self._follows is not None and batch:
            self._follows.wait_for(after)
        if not self._lossless:
            self._write(self._render(batch, left_out))
            self._advance(queued)
            return
        while batch:  # the items of the batch are already rendered
            self._write("".join(part(False) for part in batch))
            batch, more, _, _ = self._take()
            left_out += more
        if left_out:
            self._write(self._summarize(left_out))

    def wait_for(self, queued: int) -> None:
        """Wait briefly until the first `queued` items are written. The threads of other writers call this method."""
        with self._progress:
            self._progress.wait_for(lambda: self._written >= queued, _PATIENCE_S)

    def _advance(self, written: int) -> None:
        with self._progress:
            self._written = written
            self._progress.notify_all()

    def _write(self, text: str) -> None:
        if self._footer is not None:
            self._footer.write(text, self._write_through)
        else:
            self._write_through(text)

    def _take(self) -> tuple[Sequence[Part], int, int, int]:
        """Remove the pending items from the queue.

        Returns the items, the number of omitted items, and the values of `_queued` and `_after` at this time.
        """
        with self._lock:
            batch, self._pending = [part for part, _ in self._pending], deque()
            self._held = 0
            left_out, self._left_out = self._left_out, 0
            return batch, left_out, self._queued, self._after

    def _render(self, batch: Sequence[Part], left_out: int) -> str:
        shown = batch[-COMPACT_ABOVE:] if left_out else batch
        text = "".join(part(len(batch) > COMPACT_ABOVE) for part in shown)
        return (self._summarize(left_out + len(batch) - len(shown)) if left_out else "") + text


def _writer(stream: TextIO, platform: str) -> Callable[[str], None]:
    """Return a function that writes text to `stream` without Python's buffers.

    A thread blocked in a buffered write would prevent the interpreter from ending. A thread blocked in `write(2)` lets
    the interpreter end. A Windows console gets a buffered writer: the console would read raw bytes in its code page,
    but Python's stream writes UTF-16.
    """
    if platform == "win32" and stream.isatty():
        return _buffered_writer(stream)
    encoding = stream.encoding or "utf-8"
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return _buffered_writer(stream)

    def write(text: str) -> None:
        rest = text.encode(encoding, "backslashreplace")
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    return write


def _buffered_writer(stream: TextIO) -> Callable[[str], None]:
    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    return write
