"""A byte stream, such as stdin, read in a thread and awaited chunk by chunk."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import threading
from typing import BinaryIO

from port_hook_cli.errors import UsageError

_CHUNK_BYTES = 64 * 1024
_MOST_CHUNKS_AHEAD = 16


class StreamChunks:
    """Reads `stream` as its bytes come, at most 16 chunks ahead of `get`; make it inside a running loop.

    The thread is a daemon and holds no lock of the stream, so a stream that never ends keeps no process alive.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[bytes | OSError] = asyncio.Queue()
        self._ended = False
        self._ahead = threading.Semaphore(_MOST_CHUNKS_AHEAD)
        threading.Thread(target=self._read_all, name="stream-chunks", daemon=True).start()

    async def get(self) -> bytes:
        """Return the next chunk, empty at the end; raises UsageError when the stream cannot be read."""
        if self._ended:
            return b""
        chunk = await self._queue.get()
        self._ahead.release()
        self._ended = isinstance(chunk, OSError) or not chunk
        if isinstance(chunk, OSError):
            raise UsageError(f"The log could not be read: {chunk}.", hint="Pipe the log lines into port-hook.")
        return chunk

    async def drain(self) -> None:
        """Read to the end and keep nothing, so that the program that writes is not cut off."""
        while await self.get():
            pass

    def _read_all(self) -> None:
        chunk: bytes | OSError = b"-"
        # The loop is closed when nobody waits for chunks any more.
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
            # Not the buffered reader: its lock, held by a daemon thread, would abort the interpreter's exit.
            return os.read(descriptor, _CHUNK_BYTES)
        except OSError as problem:
            return problem
