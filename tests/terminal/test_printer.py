"""Printing from a thread into real pipes: read items, unread items, and omitted items."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TextIO

import pytest

from port_hook_cli.terminal.printer import COMPACT_ABOVE, COUNT_ABOVE, BackgroundWriter, Part

MOST_PENDING = 4_000


@dataclass
class Pipe:
    """A pipe whose writing end is a text stream, as stdout is. `read` waits for so many bytes or the end."""

    reading: int
    stream: TextIO
    broken: threading.Event = field(default_factory=threading.Event)

    def writer(self, **options: Any) -> BackgroundWriter:
        options = {"summarize": "({} left out)\n".format, "on_broken": self.broken.set} | options
        return BackgroundWriter(self.stream, **options)

    def read(self, until: bytes = b"") -> str:
        """Read until `until` or the end."""
        got = b""
        while not (until and until in got) and (part := os.read(self.reading, 65536)):
            got += part
        return got.decode()

    def leave(self) -> None:
        """Close the reading end, like `| head`."""
        reading, self.reading = self.reading, -1
        os.close(reading)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w", encoding="utf-8")
    it = Pipe(reading, stream)
    try:
        yield it
    finally:
        if it.reading >= 0:
            os.close(it.reading)  # first: a thread that is stuck in a write ends with it
        with suppress(OSError):
            stream.close()


def part(number: int) -> Part:
    """Return an item that renders the form in which it was requested."""
    return lambda is_compact: f"{'compact' if is_compact else 'full'} {number}\n"


def queue(writer: BackgroundWriter, count: int, *, held: int = 0) -> None:
    """Queue this many items while an earlier item blocks the thread, so that all of them are pending together."""
    gate, reached = threading.Event(), threading.Event()

    def hold(_: bool) -> str:
        reached.set()
        assert gate.wait(30)
        return ""

    writer.put(hold)
    assert reached.wait(30)
    for number in range(count):
        writer.put(part(number), held=held)
    gate.set()


def written(pipe: Pipe, writer: BackgroundWriter) -> list[str]:
    writer.close(10)
    pipe.stream.close()
    return pipe.read().splitlines()


@pytest.mark.parametrize("count", [1, COMPACT_ABOVE])
def test_few_pending_items_are_written_in_full_and_in_order(pipe: Pipe, count: int) -> None:
    writer = pipe.writer()
    queue(writer, count)
    assert written(pipe, writer) == [f"full {number}" for number in range(count)]


@pytest.mark.parametrize("count", [COMPACT_ABOVE + 1, COUNT_ABOVE])
def test_many_pending_items_are_written_in_compact_form(pipe: Pipe, count: int) -> None:
    writer = pipe.writer()
    queue(writer, count)
    assert written(pipe, writer) == [f"compact {number}" for number in range(count)]


@pytest.mark.parametrize("count", [COUNT_ABOVE + 1, MOST_PENDING + 25])
def test_latest_items_are_written_and_the_rest_counted_when_very_many_are_pending(pipe: Pipe, count: int) -> None:
    writer = pipe.writer()
    queue(writer, count)
    assert written(pipe, writer) == [
        f"({count - COMPACT_ABOVE} left out)",
        *(f"compact {number}" for number in range(count - COMPACT_ABOVE, count)),
    ]


def test_large_items_are_counted_instead_of_written_sooner(pipe: Pipe) -> None:
    writer = pipe.writer()
    queue(writer, 10, held=8 * 2**20)
    assert written(pipe, writer) == ["(8 left out)", "full 8", "full 9"]


def test_items_are_written_in_full_again_after_a_burst(pipe: Pipe) -> None:
    writer = pipe.writer()
    queue(writer, 100)
    assert "compact 99" in pipe.read(until=b"compact 99\n")
    writer.put(part(100))
    assert written(pipe, writer) == ["full 100"]


def test_lossless_writer_writes_everything_in_full(pipe: Pipe) -> None:
    writer = pipe.writer(lossless=True)
    queue(writer, 1000)
    assert written(pipe, writer) == [f"full {number}" for number in range(1000)]


def test_items_beyond_the_capacity_of_the_queue_are_counted(pipe: Pipe) -> None:
    writer = pipe.writer(lossless=True)
    queue(writer, MOST_PENDING + 25)
    lines = written(pipe, writer)
    assert lines[-1] == "(25 left out)"
    assert lines[-2].endswith(f" {MOST_PENDING - 1}")


def test_item_is_written_without_waiting_for_another(pipe: Pipe) -> None:
    writer = pipe.writer()
    writer.put(part(1))
    assert pipe.read(until=b"\n") == "full 1\n"
    writer.close(10)


def test_stalled_reader_blocks_neither_put_nor_close(pipe: Pipe) -> None:
    writer = pipe.writer(lossless=True)
    started = time.monotonic()
    for _ in range(20_000):
        writer.put(lambda _: "x" * 1000)
    writer.close(0.1)
    assert time.monotonic() - started < 30  # guards against a hang
    assert not pipe.broken.is_set()
    pipe.leave()  # and with it its thread: the next pipe may have the same number
    assert pipe.broken.wait(30)


def test_closed_reader_is_reported_once_and_stops_the_writer(pipe: Pipe) -> None:
    calls = []

    def note() -> None:
        calls.append(1)
        pipe.broken.set()

    writer = pipe.writer(on_broken=note)
    pipe.leave()
    writer.put(part(1))
    assert pipe.broken.wait(30)
    for number in range(MOST_PENDING + 10):
        writer.put(part(number))
    writer.close(10)
    assert calls == [1]


def test_reader_closing_during_a_blocked_write_is_reported(pipe: Pipe) -> None:
    writer = pipe.writer(lossless=True)
    writer.put(lambda _: "x" * 10_000_000)
    os.read(pipe.reading, 1)
    pipe.leave()
    assert pipe.broken.wait(30)
    writer.close(10)


def test_text_longer_than_the_pipe_buffer_is_written_completely(pipe: Pipe) -> None:
    text = "ü" * 1_000_000
    writer = pipe.writer()
    writer.put(lambda _: text + "\n")
    assert pipe.read(until=b"\n") == text + "\n"
    writer.close(10)


def test_characters_outside_the_encoding_of_the_stream_are_escaped() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="ascii") as stream, os.fdopen(reading, "rb") as end:
        writer = BackgroundWriter(stream, summarize=str, on_broken=lambda: None)
        writer.put(lambda _: "ü\ud800\n")
        assert end.readline() == b"\\xfc\\ud800\n"
        writer.close(10)


def test_items_from_several_threads_are_all_written(pipe: Pipe) -> None:
    writer = pipe.writer(lossless=True)

    def put_hundred(first: int) -> None:
        for number in range(first, first + 100):
            writer.put(part(number))

    threads = [threading.Thread(target=put_hundred, args=(first,)) for first in range(0, 400, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(written(pipe, writer)) == sorted(f"full {number}" for number in range(400))


def test_writer_writes_after_pending_items_of_the_followed_writer(pipe: Pipe) -> None:
    is_waited_for = threading.Event()

    class Followed(BackgroundWriter):
        def wait_for(self, queued: int) -> None:
            is_waited_for.set()
            super().wait_for(queued)

    first = Followed(pipe.stream, summarize=str, on_broken=pipe.broken.set)
    second = pipe.writer(follows=first)
    first.put(lambda _: "first\n" if is_waited_for.wait(30) else "late\n")
    second.put(part(2))
    second.close(10)
    assert written(pipe, first) == ["first", "full 2"]


def test_writer_does_not_wait_for_a_blocked_followed_writer(pipe: Pipe) -> None:
    gate = threading.Event()
    first = pipe.writer()
    second = pipe.writer(follows=first)
    first.put(lambda _: "first\n" if gate.wait(30) else "late\n")
    second.put(part(2))
    assert pipe.read(until=b"\n") == "full 2\n"
    gate.set()
    second.close(10)
    assert written(pipe, first) == ["first"]


class WindowsConsole(io.StringIO):
    """A console of Windows: Python's stream can write any character, but bytes are read in a code page."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor


def test_windows_console_gets_text_instead_of_bytes(pipe: Pipe) -> None:
    console = WindowsConsole(pipe.stream.fileno())
    writer = BackgroundWriter(console, summarize="{}".format, on_broken=pipe.broken.set, platform="win32")
    writer.put(lambda _: "zoë → ok\n")
    writer.close(5)
    assert console.getvalue() == "zoë → ok\n"
    pipe.stream.close()
    assert pipe.read() == ""
