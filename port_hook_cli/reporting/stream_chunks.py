"""Reads a byte stream, such as stdin, in a thread, and joins its chunks into log messages."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import io
import os
import threading
from collections.abc import AsyncIterator
from typing import BinaryIO

from port_hook_cli.errors import UsageError
from port_hook_cli.reporting.report import Chunks

_CHUNK_BYTES = 64 * 1024
_MAX_CHUNKS_AHEAD = 16
FLUSH_EVERY_S = 0.5
FLUSH_AT_BYTES = 64 * 1024


class StreamChunks:
    """Reads `stream` as its bytes arrive, at most 16 chunks ahead of `get`. Create it in a running event loop.

    The thread is a daemon and takes no lock of the stream, so that an endless stream does not keep the process alive.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[bytes | OSError] = asyncio.Queue()
        self._ended = False
        self._ahead = threading.Semaphore(_MAX_CHUNKS_AHEAD)
        threading.Thread(target=self._read_all, name="stream-chunks", daemon=True).start()

    async def get(self) -> bytes:
        """Return the next chunk, empty at the end; raises UsageError if the stream cannot be read."""
        if self._ended:
            return b""
        chunk = await self._queue.get()
        self._ahead.release()
        self._ended = isinstance(chunk, OSError) or not chunk
        if isinstance(chunk, OSError):
            raise UsageError(f"The log could not be read: {chunk}.", hint="Pipe the log lines into port-hook.")
        return chunk

    async def drain(self) -> None:
        """Read and discard the rest, so that the writing program gets no broken pipe."""
        while await self.get():
            pass

    def _read_all(self) -> None:
        chunk: bytes | OSError = b"-"
        # The loop is closed when no one waits for chunks anymore.
        with contextlib.suppress(RuntimeError):
            while chunk and not isinstance(chunk, OSError):
                self._ahead.acquire()
                chunk = self._read()
                self._loop.call_soon_threadsafe(self._queue.put_nowait, chunk)

    def _read(self) -> bytes | OSError:
        try:
            try:
                descriptor = self._stream.fileno()
            except io.UnsupportedOperation:
                return self._stream.read(_CHUNK_BYTES)
            # Not the buffered reader: if a daemon thread has its lock, the interpreter aborts at exit.
            return os.read(descriptor, _CHUNK_BYTES)
        except OSError as problem:
            return problem


async def log_batches(
    chunks: Chunks, *, every_s: float = FLUSH_EVERY_S, at_bytes: int = FLUSH_AT_BYTES
) -> AsyncIterator[str]:
    """Yield the text of `chunks` in messages of whole lines, in order, each without its last line break.

    A message is complete `every_s` seconds after its first byte, at about `at_bytes` bytes, or at the end of the
    stream. Bytes that are not UTF-8 become U+FFFD. An incomplete line stays for a later message until it has
    `at_bytes`. Blank messages are omitted, because Port rejects empty logs.
    """
    pending = _Pending()
    deadline: float | None = None
    chunk: bytes | None = None
    while chunk != b"":
        chunk = await _next_chunk(chunks, deadline)
        if chunk is not None:
            pending.add(chunk)
        if chunk:
            deadline = deadline or asyncio.get_running_loop().time() + every_s
            if pending.size < at_bytes:
                continue
        deadline = None
        message = pending.take_all() if chunk == b"" else pending.take_lines(max_bytes=at_bytes)
        if message.strip():
            yield message


async def _next_chunk(chunks: Chunks, deadline: float | None) -> bytes | None:
    """Return the next chunk, empty at the end, or None at the `deadline`, in the loop's time."""
    try:
        async with asyncio.timeout_at(deadline):
            return await chunks.get()
    except TimeoutError:
        return None


class _Pending:
    """Text that is not in a message yet; `size` is in bytes."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self.size = 0

    def add(self, chunk: bytes) -> None:
        """Add a chunk. The empty chunk, at the end, also adds the rest of an incomplete character."""
        self._text += self._decoder.decode(chunk, final=not chunk)
        self.size += len(chunk)

    def take_lines(self, *, max_bytes: int) -> str:
        """Take the whole lines. An incomplete last line stays, unless it alone has `max_bytes` bytes."""
        lines, end, rest = self._text.rpartition("\n")
        if not end and self.size >= max_bytes:
            return self.take_all()
        self._text, self.size = rest, len(rest.encode())
        return lines.rstrip("\r\n")

    def take_all(self) -> str:
        """Take everything; the start of an incomplete character stays in the decoder."""
        text, self._text, self.size = self._text, "", 0
        return text.rstrip("\r\n")
