"""Reads a byte stream, such as stdin, in a thread, so that chunks can be awaited."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import threading
from typing import BinaryIO

from port_hook_cli.errors import UsageError

_CHUNK_BYTES = 64 * 1024
_MAX_CHUNKS_AHEAD = 16


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
