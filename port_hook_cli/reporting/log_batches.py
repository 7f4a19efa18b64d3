"""Bytes that trickle in, gathered into log messages of whole lines."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterator

from port_hook_cli.reporting.protocols import Chunks

FLUSH_EVERY_S = 0.5
FLUSH_AT_BYTES = 64 * 1024


async def log_batches(
    chunks: Chunks, *, every_s: float = FLUSH_EVERY_S, at_bytes: int = FLUSH_AT_BYTES
) -> AsyncIterator[str]:
    """Yield the text of `chunks` in messages of whole lines, in order, each without its last line's end.

    A message goes out `every_s` seconds after its first byte, at about `at_bytes` bytes, and at the end. Bytes that
    are no UTF-8 become U+FFFD; a line without an end waits for it, unless it grows to `at_bytes`. Blank messages
    are left out: Port takes no empty log.
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
        message = pending.take_all() if chunk == b"" else pending.take_lines(longest=at_bytes)
        if message.strip():
            yield message


async def _next_chunk(chunks: Chunks, deadline: float | None) -> bytes | None:
    """Return the next chunk, empty at the end, or None when `deadline`, in the loop's time, comes first."""
    try:
        async with asyncio.timeout_at(deadline):
            return await chunks.get()
    except TimeoutError:
        return None


class _Pending:
    """Text that has come and not gone out yet; `size` is in bytes."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self.size = 0

    def add(self, chunk: bytes) -> None:
        """Add a chunk; the empty one, which is the end, also shows what is left of a cut character."""
        self._text += self._decoder.decode(chunk, final=not chunk)
        self.size += len(chunk)

    def take_lines(self, *, longest: int) -> str:
        """Take the whole lines; a last line that is still open stays, unless it has `longest` bytes by itself."""
        lines, end, rest = self._text.rpartition("\n")
        if not end and self.size >= longest:
            return self.take_all()
        self._text, self.size = rest, len(rest.encode())
        return lines.rstrip("\r\n")

    def take_all(self) -> str:
        """Take everything; the start of a character that is still incomplete stays in the decoder."""
        text, self._text, self.size = self._text, "", 0
        return text.rstrip("\r\n")
