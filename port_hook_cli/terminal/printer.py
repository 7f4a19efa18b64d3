"""Printing that never slows the listener: a bounded queue, and a thread that writes.

The response to Port does not wait for the terminal. If invocations arrive faster than the terminal shows them, each is
shown on one line, and then many on one line with their number. All of them are in the store.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TextIO

# Above these backlogs an exchange is one line, and only the count of them.
COMPACT_ABOVE = 8
COUNT_ABOVE = 40
_MOST_PENDING = 4_000
# How many bytes, such as bodies, waiting items may keep in memory while a terminal is blocked.
_MOST_HELD_BYTES = 16 * 1024 * 1024
# Items that arrive within this time are written together: waking the thread for each line would cost more.
_GATHER_S = 0.02
# In a rush, the thread renders this often. More often, it would take the interpreter from many of the requests.
_PERIOD_S = 0.1

Part = Callable[[bool], str]


class BackgroundWriter:
    """Writes to one stream from a thread. An item is a function that renders it, in full or compact.

    A `lossless` writer renders every item in full, and leaves items out only if the queue is full.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        summarize: Callable[[int], str],
        on_broken: Callable[[], None],
        lossless: bool = False,
        platform: str = sys.platform,
    ) -> None:
        self._write = _writer(stream, platform)
        self._summarize = summarize
        self._on_broken = on_broken
        self._lossless = lossless
        # An item that will only be counted is released immediately. If it were kept, it would push the listener's data
        # out of the processor's cache, which costs a tenth of the throughput.
        self._room = _MOST_PENDING if lossless else COUNT_ABOVE
        self._pending: deque[tuple[Part, int]] = deque()
        self._held = 0
        self._left_out = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="printer", daemon=True)
        self._thread.start()

    def put(self, part: Part, *, held: int = 0) -> None:
        """Queue an item that keeps `held` bytes in memory. If it does not fit, the oldest items are only counted.

        A `lossless` writer only counts the new item instead.
        """
        with self._lock:
            while self._pending and (len(self._pending) >= self._room or self._held + held > _MOST_HELD_BYTES):
                self._left_out += 1
                if self._lossless:
                    return
                self._held -= self._pending.popleft()[1]
            self._pending.append((part, held))
            self._held += held
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout_s: float) -> None:
        """Write what is pending, for at most `timeout_s` seconds; a blocked reader does not delay the end."""
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
                self._on_broken()
                return
            if self._closing.is_set() and not self._pending:
                return

    def _drain(self) -> None:
        batch, left_out = self._take()
        if not self._lossless:
            self._write(self._render(batch, left_out))
            return
        while batch:  # its items are rendered already
            self._write("".join(part(False) for part in batch))
            batch, more = self._take()
            left_out += more
        if left_out:
            self._write(self._summarize(left_out))

    def _take(self) -> tuple[Sequence[Part], int]:
        """Take what is pending; return the items, and how many were left out."""
        with self._lock:
            batch, self._pending = [part for part, _ in self._pending], deque()
            self._held = 0
            left_out, self._left_out = self._left_out, 0
        return batch, left_out

    def _render(self, batch: Sequence[Part], left_out: int) -> str:
        shown = batch[-COMPACT_ABOVE:] if left_out else batch
        text = "".join(part(len(batch) > COMPACT_ABOVE) for part in shown)
        return (self._summarize(left_out + len(batch) - len(shown)) if left_out else "") + text


def _writer(stream: TextIO, platform: str) -> Callable[[str], None]:
    """Return a function that writes text to `stream` without Python's buffers.

    A thread that is blocked in a buffered write would keep the interpreter from ending. A thread in `write(2)` does
    not. A console of Windows is an exception: it would read the bytes in its code page, but Python's stream writes
    UTF-16.
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
