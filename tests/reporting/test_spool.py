from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.reporting.spool import MAX_BATCH_BYTES, MAX_LINE_BYTES, LineSplitter, Spool


def take_all(spool: Spool, max_bytes: int = MAX_BATCH_BYTES) -> list[bytes]:
    batches = []
    while batch := spool.next_batch(max_bytes):
        batches.append(batch)
        spool.advance(len(batch))
    return batches


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Limit the size of the files that this process writes to `size` bytes. Writing beyond the limit fails."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_spool_returns_whole_lines_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add_lines(b"one\ntwo\n")
    spool.add_lines(b"three\n")
    assert take_all(spool, 10) == [b"one\ntwo\n", b"three\n"]
    assert spool.waiting == 0
    spool.close()


def test_spool_returns_a_batch_again_until_it_is_advanced_and_keeps_it_private(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add_lines(b"one\n")
    assert spool.next_batch() == spool.next_batch() == b"one\n"
    spool.close()
    (path,) = tmp_path.glob("log-*")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_spool_continues_at_its_position_in_another_process(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=8)
    for number in range(100):
        spool.add_lines(b"line %d\n" % number)
        spool.next_batch()  # writes the line to a file
    first = spool.next_batch(8)
    spool.advance(len(first))
    spool.close()
    again = Spool(tmp_path, len(first))
    assert b"".join([first, *take_all(again)]) == b"".join(b"line %d\n" % number for number in range(100))


def test_spool_deletes_read_files(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=8)
    for _ in range(10):
        spool.add_lines(b"x" * 9 + b"\n")
        spool.next_batch()
    assert len(list(tmp_path.glob("log-*"))) == 10
    take_all(spool)
    assert list(tmp_path.glob("log-*")) == []
    spool.add_lines(b"after\n")
    assert take_all(spool) == [b"after\n"]
    spool.close()


def test_spool_counts_the_lines_beyond_its_limit_and_marks_their_place(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_kept=10)
    for line in (b"one\n", b"two\n", b"three\n", b"four\n"):
        spool.add_lines(line)
    assert take_all(spool) == [b"one\ntwo\n[port-hook: 2 lines are missing here]\n"]
    assert spool.dropped == 2
    spool.add_lines(b"five\n")
    assert take_all(spool) == [b"five\n"]
    spool.close()


def test_spool_counts_unwritable_lines_and_continues(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    spool = Spool(folder)
    spool.add_lines(b"one\n")
    assert spool.next_batch() == b""
    folder.mkdir()
    spool.add_lines(b"two\n")
    assert take_all(spool) == [b"[port-hook: 1 line is missing here]\ntwo\n"]
    spool.close()


def test_spool_drops_whole_lines_when_there_is_no_space(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add_lines(b"one\n")
    assert spool.next_batch() == b"one\n"
    with files_of_at_most(1_000):
        spool.add_lines(b"two" * 1_000 + b"\n")
        assert spool.next_batch() == b"one\n"
    spool.add_lines(b"three\n")
    assert take_all(spool) == [b"one\n[port-hook: 1 line is missing here]\nthree\n"]
    spool.close()


def test_spool_loses_no_line_while_threads_append(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=10_000)

    def append(name: bytes) -> None:
        for number in range(5_000):
            spool.add_lines(b"%s %d\n" % (name, number))

    threads = [threading.Thread(target=append, args=(name,)) for name in (b"a", b"b")]
    for thread in threads:
        thread.start()
    read = []
    while any(thread.is_alive() for thread in threads):
        read += take_all(spool)
    lines = b"".join(read + take_all(spool)).splitlines()
    for name in (b"a", b"b"):
        assert [line for line in lines if line.startswith(name)] == [b"%s %d" % (name, n) for n in range(5_000)]
    assert spool.dropped == 0
    spool.close()


def test_line_splitter_cuts_a_long_line_between_characters() -> None:
    splitter = LineSplitter()
    text = "ä€😀" * (MAX_LINE_BYTES // 3)
    lines = splitter.add(text.encode()) + splitter.take_rest()
    assert all(len(line) <= MAX_LINE_BYTES for line in lines.splitlines())
    assert lines.decode().replace("\n", "") == text


@given(st.binary(max_size=200), st.lists(st.integers(1, 20), max_size=30))
def test_line_splitter_returns_all_bytes_in_whole_lines(content: bytes, sizes: list[int]) -> None:
    splitter, rest, lines = LineSplitter(), iter(content), b""
    for size in sizes:
        added = splitter.add(bytes(islice(rest, size)))
        assert not added or added.endswith(b"\n")
        lines += added
    lines += splitter.add(bytes(rest)) + splitter.take_rest()
    assert lines == content + (b"" if content.endswith(b"\n") or not content else b"\n")
