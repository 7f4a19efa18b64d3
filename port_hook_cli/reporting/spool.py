"""Store a command's unsent log lines on disk, so that Port never slows down the command."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

MAX_LINE_BYTES = 64 * 1024
MAX_BATCH_BYTES = 128 * 1024
"""The size of a batch in bytes. As JSON, a byte takes at most six bytes, so a batch fits into a request of 1 MiB."""

SEGMENT_BYTES = 8 * 1024 * 1024
MAX_KEPT_BYTES = 1024 * 1024 * 1024
_FLUSH_BYTES = 64 * 1024
_PREFIX = "log-"


class Spool:
    """Log lines in the files of a directory. Threads append lines, and one reader takes them in order.

    A position counts the bytes of all lines since the first line. A file is deleted when the reader is past its end.
    New lines stay in memory until they reach 64 KiB or the reader asks for lines. If more than `max_kept` bytes wait,
    or if the disk is full, new lines are lost. `dropped` counts them, and a line in the log says how many lines are
    missing.
    """

    def __init__(
        self,
        folder: Path,
        position: int = 0,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        max_kept: int = MAX_KEPT_BYTES,
    ) -> None:
        self._folder = folder
        self._segment_bytes, self._max_kept = segment_bytes, max_kept
        self._lock = threading.Lock()
        self._buffer = bytearray()
        self._file: int | None = None
        self._file_bytes = 0
        self._missing = 0
        self.dropped = 0
        self.position = position
        self._end = max([position, *(start + size for start, size in self._segments())])

    @property
    def waiting(self) -> int:
        """The number of bytes that the reader has not taken."""
        return self._end + len(self._buffer) - self.position

    def add_lines(self, lines: bytes) -> None:
        """Add complete lines. Never raises."""
        with self._lock:
            if self.waiting + len(lines) > self._max_kept:
                if self._buffer:
                    self._flush()
                self._drop(lines)
                return
            self._buffer += lines
            if len(self._buffer) >= _FLUSH_BYTES:
                self._flush()

    def next_batch(self, max_bytes: int = MAX_BATCH_BYTES) -> bytes:
        """Return the next lines, at most `max_bytes` bytes of them, or empty bytes if no lines wait. Raises OSError.

        Only the last line of a killed process can be incomplete.
        """
        with self._lock:
            self._flush()
            start, size = next(((s, n) for s, n in self._segments() if s <= self.position < s + n), (0, 0))
        if not size:
            return b""
        with _path(self._folder, start).open("rb") as file:
            file.seek(self.position - start)
            content = file.read(max_bytes)
        end = content.rfind(b"\n") + 1
        return content[:end] if end else content

    def advance(self, size: int) -> None:
        """Move the reader forward by `size` bytes, and delete the files that it has finished."""
        with self._lock:
            self.position += size
            for start, length in self._segments():
                if start + length <= self.position:
                    self._forget(start, length)

    def close(self) -> None:
        """Write the lines in memory. If lines are missing, also write a line that says how many."""
        with self._lock:
            self._flush()
            self._close_file()

    def _forget(self, start: int, length: int) -> None:
        if self._file is not None and start + length == self._end:
            self._close_file()
        with suppress(OSError):
            _path(self._folder, start).unlink(missing_ok=True)

    def _flush(self) -> None:
        lines, self._buffer = bytes(self._buffer), bytearray()
        if not lines and not self._missing:
            return
        try:
            if self._file is None or self._file_bytes >= self._segment_bytes:
                self._open_file()
            self._write((_missing_line(self._missing) if self._missing else b"") + lines)
            self._missing = 0
        except OSError:
            self._drop(lines)

    def _write(self, content: bytes) -> None:
        """Write all of `content` or none of it."""
        assert self._file is not None
        written = 0
        try:
            while written < len(content):
                written += os.write(self._file, content[written:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._file_bytes)
            raise
        self._file_bytes += written
        self._end += written

    def _open_file(self) -> None:
        self._close_file()
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._file = os.open(_path(self._folder, self._end), flags, 0o600)
        self._file_bytes = 0

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _drop(self, lines: bytes) -> None:
        count = lines.count(b"\n")
        self._missing += count
        self.dropped += count

    def _segments(self) -> list[tuple[int, int]]:
        """Return the start position and the size of each file, in order."""
        with suppress(OSError):
            names = [path.name.removeprefix(_PREFIX) for path in self._folder.glob(f"{_PREFIX}*")]
            starts = sorted(int(name) for name in names if name.isascii() and name.isdecimal())
            return [(start, _path(self._folder, start).stat().st_size) for start in starts]
        return []


class LineSplitter:
    """Splits the bytes of a stream into complete lines, each of which ends with a line feed."""

    def __init__(self) -> None:
        self._rest = b""

    def add(self, chunk: bytes) -> bytes:
        """Return the lines that `chunk` completes. A line of more than 64 KiB is split between two characters."""
        lines, end, rest = chunk.rpartition(b"\n")
        if end:
            lines, self._rest = self._rest + lines + end, rest
        else:
            self._rest += rest
        while len(self._rest) >= MAX_LINE_BYTES:
            cut = _character_end(self._rest, MAX_LINE_BYTES - 1)
            lines, self._rest = lines + self._rest[:cut] + b"\n", self._rest[cut:]
        return lines

    def take_rest(self) -> bytes:
        """Return the last line with a line feed if it is incomplete, otherwise empty bytes."""
        rest, self._rest = self._rest, b""
        return rest + b"\n" if rest else b""


def _character_end(content: bytes, limit: int) -> int:
    """Return the end of the last UTF-8 character that ends at or before `limit`, or `limit` if there is none."""
    for end in range(limit, limit - 4, -1):
        if content[end] & 0xC0 != 0x80:  # noqa: PLR2004 - not a continuation byte
            return end
    return limit


def _missing_line(count: int) -> bytes:
    return f"[port-hook: {count} line{' is' if count == 1 else 's are'} missing here]\n".encode()


def _path(folder: Path, start: int) -> Path:
    return folder / f"{_PREFIX}{start:020d}"
