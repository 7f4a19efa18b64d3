"""A text search in a large store skips parts without a match, and still finds every match."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.reader import open_reader
from port_hook_cli.captures.store.scanning import PART, parts_to_read
from port_hook_cli.captures.store.statements import Numbers, StoreFilter
from port_hook_cli.errors import StoreError
from tests.databases import edit
from tests.factories import RUN_ID, a_capture
from tests.processes import python
from tests.stores import add_copies

NEEDLE = StoreFilter(text="a Needle")
COUNT = 3 * PART + 500


def store_with(folder: Path, *numbers: int) -> Path:
    """Create a store in which only the captures with the given numbers contain the text, and return its path."""
    with open_store(None, folder, create=True) as store:
        store.add([a_capture()])
    add_copies(store.path, COUNT - 1)
    for number in numbers:
        edit(store.path, "UPDATE captures SET body = ? WHERE seq = ?", values=[b'{"note": "a NEEDLE"}', number])
    return store.path


def found(folder: Path, wanted: StoreFilter, limit: int | None = None) -> list[str]:
    with open_reader(None, folder, show_only=True) as store:
        listed = [capture.id for capture in store.listed(wanted, limit=limit)]
        assert listed == [capture.invocation.id for capture in store.select(wanted, limit=limit)]
    return listed


def ids(numbers: Sequence[int]) -> list[str]:
    return [f"{number:012x}" for number in sorted(numbers, reverse=True)]


def parts(path: Path, wanted: StoreFilter = NEEDLE, *, threads: int = 2) -> list[Numbers]:
    return list(parts_to_read(path, wanted, 1, COUNT, threads=threads))


def test_captures_of_all_parts_are_found_latest_first(folder: Path) -> None:
    numbers = [2, 499, 500, 501, 502, PART + 500, PART + 501, 2 * PART, 2 * PART + 500, 2 * PART + 501, COUNT]
    store_with(folder, *numbers)
    for limit in (None, 1, 2, 4, 50):
        assert found(folder, NEEDLE, limit) == ids(numbers)[:limit]


def test_more_matches_than_a_page_are_found_in_every_part(folder: Path) -> None:
    path = store_with(folder)
    edit(path, "UPDATE captures SET target = '/needles' WHERE seq % 40 = 0")
    assert found(folder, StoreFilter(text="NEEDLES")) == ids(range(40, COUNT + 1, 40))


def test_only_parts_with_a_match_are_read_from_their_latest_match_on(folder: Path) -> None:
    path = store_with(folder, COUNT, PART + 7, PART + 3)
    first, second, third = COUNT - PART, COUNT - 2 * PART, COUNT - 3 * PART
    assert parts(path) == [Numbers(after=first), Numbers(after=third, upto=PART + 7)]
    assert second > PART + 7 > third


def test_absent_text_is_searched_only_in_the_first_part(folder: Path) -> None:
    assert parts(store_with(folder)) == [Numbers(after=COUNT - PART)]


@pytest.mark.parametrize(
    "wanted",
    [
        StoreFilter(text="a needle", run_id=RUN_ID),
        StoreFilter(text="a needle", replay_of="0123456789ab"),
        StoreFilter(text="a needle", numbers=Numbers(after=COUNT - 5)),
        StoreFilter(text="a needle", numbers=Numbers(among=(1, 2))),
        StoreFilter(text="a needle", numbers=Numbers(upto=PART)),
    ],
)
def test_search_of_few_captures_does_not_start_threads(tmp_path: Path, wanted: StoreFilter) -> None:
    assert parts(tmp_path / "never opened", wanted) == [wanted.numbers]


def test_one_core_searches_the_store_as_one_part(tmp_path: Path) -> None:
    assert parts(tmp_path / "never opened", threads=1) == [Numbers()]


def test_store_is_searched_by_the_open_connection_when_it_cannot_be_reopened(tmp_path: Path) -> None:
    assert parts(tmp_path / "missing") == [Numbers()]


def test_store_replaced_during_a_search_is_searched_completely(folder: Path) -> None:
    path = store_with(folder, COUNT, PART, 2)
    with open_reader(None, folder, show_only=True) as store:
        listed = store.listed(NEEDLE)
        assert next(listed).id == ids([COUNT])[0]
        path.parent.rename(folder / "moved")
        with open_store(None, folder, create=True) as another:
            another.add([a_capture()])
        assert [capture.id for capture in listed] == ids([PART, 2])


WITHOUT_THREADS = """
import resource, sys
from pathlib import Path
from port_hook_cli.captures.store.reader import open_reader
from port_hook_cli.captures.store.statements import StoreFilter
with open_reader(None, Path(), show_only=True) as store:
    listed = store.listed(StoreFilter(text="a needle"))
    print(next(listed).id)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    # Less than the stack of a thread.
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 6 * 2**20, resource.RLIM_INFINITY))
    print(*(capture.id for capture in listed))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_search_is_complete_when_threads_cannot_be_started(folder: Path) -> None:
    store_with(folder, COUNT, PART, 2)
    process = python(WITHOUT_THREADS, cwd=folder)
    out, err = process.communicate(timeout=30)
    assert (out.split(), err) == (ids([COUNT, PART, 2]), "")


def test_distant_numbers_result_in_few_parts(folder: Path) -> None:
    path = store_with(folder, 2)
    edit(path, "UPDATE captures SET seq = ? WHERE seq = ?", values=[2**52, COUNT])
    scanned = list(parts_to_read(path, NEEDLE, 1, 2**52, threads=2))
    assert [part.upto for part in scanned] == [None, 2]
    assert found(folder, NEEDLE) == ids([2])


def test_part_with_a_large_value_is_searched_by_the_open_connection(folder: Path) -> None:
    path = store_with(folder)
    edit(path, "UPDATE captures SET body = ? WHERE seq = ?", values=[b"x" * 5_000_000 + b"a needle", PART])
    assert Numbers(after=COUNT - 3 * PART, upto=COUNT - 2 * PART) in parts(path)
    assert found(folder, NEEDLE) == ids([PART])


def test_damage_in_an_older_part_is_reported_after_newer_captures(folder: Path) -> None:
    path = store_with(folder, COUNT, 2 * PART, 1)
    with open_reader(None, folder, show_only=True) as store:
        middle = path.stat().st_size // 4096 // 4
        with path.open("r+b") as file:
            file.seek(middle * 4096)
            file.write(bytes(4096 * 60))
        listed = store.listed(NEEDLE)
        assert [next(listed).id, next(listed).id] == ids([COUNT, 2 * PART])
        with pytest.raises(StoreError, match="damaged"):
            next(listed)


def test_damaged_oldest_capture_does_not_matter_if_newer_captures_are_enough(folder: Path) -> None:
    path = store_with(folder, COUNT, 2 * PART)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'captures'").fetchone()
    overwrite_first_leaf(path, root)
    with open_reader(None, folder, show_only=True) as store:
        assert [capture.id for capture in store.listed(NEEDLE, limit=2)] == ids([COUNT, 2 * PART])
        with pytest.raises(StoreError, match="damaged"):
            list(store.listed(NEEDLE))


def overwrite_first_leaf(path: Path, page: int) -> None:
    """Overwrite the page with the first rows of the table that begins at `page`."""
    with path.open("r+b") as file:
        while True:  # https://www.sqlite.org/fileformat2.html#b_tree_pages
            file.seek((page - 1) * 4096)
            content = file.read(4096)
            if content[0] == 13:
                break
            cell = int.from_bytes(content[12:14])
            page = int.from_bytes(content[cell : cell + 4])
        file.seek((page - 1) * 4096)
        file.write(b"\x07" * 4096)


def test_threads_end_with_the_list(folder: Path) -> None:
    path = store_with(folder, 2 * PART, PART, 2)
    with closing(parts_to_read(path, NEEDLE, 1, COUNT, threads=2)) as some:
        assert [next(some), next(some).upto] == [Numbers(after=COUNT - PART), 2 * PART]
        assert any(thread.name.startswith("scan") for thread in threading.enumerate())
    assert not any(thread.name.startswith("scan") for thread in threading.enumerate())
