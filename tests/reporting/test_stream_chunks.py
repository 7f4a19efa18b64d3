from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path

import pytest

from port_hook_cli.errors import UsageError
from port_hook_cli.reporting.report import StreamChunks


async def test_stream_returns_chunks_as_written_and_then_the_end_repeatedly() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream:
        chunks = StreamChunks(stream)
        os.write(writing, b"one")
        assert await asyncio.wait_for(chunks.get(), 5) == b"one"
        os.write(writing, b"two")
        assert await asyncio.wait_for(chunks.get(), 5) == b"two"
        os.close(writing)
        assert await asyncio.wait_for(chunks.get(), 5) == b""
        assert await asyncio.wait_for(chunks.get(), 5) == b""


async def test_stream_without_a_descriptor_is_read() -> None:
    chunks = StreamChunks(io.BytesIO(b"x" * 100_000))
    assert len(await chunks.get() + await chunks.get()) == 100_000
    assert await chunks.get() == b""


async def test_drain_reads_to_the_end() -> None:
    stream = io.BytesIO(b"x" * 2**22)
    chunks = StreamChunks(stream)
    await chunks.get()
    await asyncio.wait_for(chunks.drain(), 5)
    assert stream.tell() == 2**22
    await asyncio.wait_for(chunks.drain(), 5)


async def test_unreadable_stream_is_reported_once(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)  # the stdin of a command with `< .`

    class Folder(io.BytesIO):
        def fileno(self) -> int:
            return folder

    try:
        chunks = StreamChunks(Folder())
        with pytest.raises(UsageError, match="cannot read"):
            await asyncio.wait_for(chunks.get(), 5)
        assert await chunks.get() == b""
    finally:
        os.close(folder)
