"""A text search in a large store skips parts without a match, and still finds every match."""

from __future__ import annotations

import shutil
import sqlite3
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
from tests.stores import add_copies

NEEDLE = StoreFilter(text="a Needle")
COUNT = 3 * PART + 500


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of `COUNT` captures without the text."""
    folder = tmp_path_factory.mktemp("copied")
    with open_store(None, folder, create=True) as store:
        store.add([a_capture()])
    add_copies(store.path, COUNT - 1)
    return folder


@pytest.fixture
def folder(folder: Path, copied: Path) -> Path:
    return shutil.copytree(copied, folder, dirs_exist_ok=True)


def store_with(folder: Path, *numbers: int) -> Path:
    """Write the text into the captures with the given numbers, and return the path of the folder's store."""
    with open_store(None, folder) as store:
        path = store.path
    for number in numbers:
        edit(path, "UPDATE captures SET body = ? WHERE seq = ?", values=[b'{"note": "a NEEDLE"}', number])
    return path


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
    path = store_with(folder, *numbers)
    for limit in (None, 1, 4):
        assert found(folder, NEEDLE, limit) == ids(numbers)[:limit]
    edit(path, "UPDATE captures SET target = '/needles' WHERE seq % 40 = 0")  # more than a page in every part
    assert found(folder, StoreFilter(text="NEEDLES")) == ids(range(40, COUNT + 1, 40))


def test_only_parts_with_a_match_are_read_from_their_latest_match_on(folder: Path) -> None:
    path = store_with(folder, COUNT, PART + 7, PART + 3)
    first, second, third = COUNT - PART, COUNT - 2 * PART, COUNT - 3 * PART
    assert parts(path) == [Numbers(after=first), Numbers(after=third, upto=PART + 7)]
    assert second > PART + 7 > third
    assert parts(path, StoreFilter(text="absent")) == [Numbers(after=first)]
    edit(path, "UPDATE captures SET body = ? WHERE seq = ?", values=[b"x" * 5_000_000 + b"a needle", PART + 400])
    # A part with a large value is searched by the open connection.
    assert Numbers(after=third, upto=second) in parts(path)
    assert found(folder, NEEDLE) == ids([COUNT, PART + 400, PART + 7, PART + 3])


def test_search_without_threads_reads_the_store_as_one_part(tmp_path: Path) -> None:
    for narrow in (
        StoreFilter(text="a needle", run_id=RUN_ID),
        StoreFilter(text="a needle", replay_of="0123456789ab"),
        StoreFilter(text="a needle", numbers=Numbers(after=COUNT - 5)),
        StoreFilter(text="a needle", numbers=Numbers(among=(1, 2))),
        StoreFilter(text="a needle", numbers=Numbers(upto=PART)),
    ):
        assert parts(tmp_path / "never opened", narrow) == [narrow.numbers]
    assert parts(tmp_path / "never opened", threads=1) == [Numbers()]
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


def test_distant_numbers_result_in_few_parts(folder: Path) -> None:
    path = store_with(folder, 2)
    edit(path, "UPDATE captures SET seq = ? WHERE seq = ?", values=[2**52, COUNT])
    scanned = list(parts_to_read(path, NEEDLE, 1, 2**52, threads=2))
    assert [part.upto for part in scanned] == [None, 2]
    assert found(folder, NEEDLE) == ids([2])


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
