from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.store.reader import open_reader
from port_hook_cli.captures.store.recent import recent_captures
from port_hook_cli.errors import StoreError
from tests.databases import edit
from tests.factories import NOW, RUN_ID, a_capture, an_invocation


@pytest.mark.parametrize("show_only", [False, True])
def test_reader_does_not_create_a_store_and_finds_captures_saved_while_it_is_open(
    folder: Path, *, show_only: bool
) -> None:
    with pytest.raises(StoreError, match="Capture store not found:") as caught:
        open_reader(None, folder, show_only=show_only)
    assert "port-hook listen" in caught.value.hint
    assert not list(folder.iterdir())
    with ExitStack() as stack:
        store = stack.enter_context(open_store(None, folder, create=True))
        store.add([a_capture(an_invocation(id="aaaa"))])
        reader = stack.enter_context(open_reader(None, folder, show_only=show_only))
        assert reader.get("last").invocation.id == "aaaa"
        store.add([a_capture(an_invocation(id="bbbb"))])
        assert reader.get("last").invocation.id == "bbbb"
        assert [capture.id for capture in reader.listed()] == ["bbbb", "aaaa"]


def keep(folder: Path, count: int) -> Path:
    with open_store(None, folder, create=True) as store:
        store.add([a_capture(an_invocation(id=f"{number:012x}")) for number in range(count)])
    return folder / ".port-hook" / "captures.db"


def test_latest_captures_come_first_and_only_fifty_of_them(folder: Path) -> None:
    keep(folder, 60)
    found = recent_captures(None, folder)
    assert [capture.id for capture in found] == [f"{number:012x}" for number in range(59, 9, -1)]
    assert found[0][1:] == ("POST", "create_vm", RUN_ID, "valid", NOW)


def test_missing_or_empty_store_has_no_captures_and_is_not_changed(folder: Path) -> None:
    assert recent_captures(None, folder) == []
    assert recent_captures(Path("other.db"), folder) == []
    assert list(folder.iterdir()) == []


def test_captures_are_read_while_a_listener_writes_but_not_while_another_program_locks_the_store(folder: Path) -> None:
    path = keep(folder, 2)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert len(recent_captures(None, folder)) == 2
        writer.rollback()
        writer.execute("PRAGMA locking_mode = EXCLUSIVE")
        writer.execute("UPDATE captures SET method = 'PUT'")
        assert recent_captures(None, folder) == []
    assert len(recent_captures(None, folder)) == 2


def test_empty_store_has_no_captures_and_stays_empty(folder: Path) -> None:
    path = keep(folder, 0)
    path.unlink()
    path.touch()
    assert recent_captures(None, folder) == []
    assert path.read_bytes() == b""


def test_only_the_beginning_of_a_planted_text_is_read(folder: Path) -> None:
    path = keep(folder, 1)
    edit(path, "UPDATE captures SET action = ?", values=["a" * 1_000_000])
    (found,) = recent_captures(None, folder)
    assert found.action == "a" * 1_000
    edit(path, "CREATE VIEW planted AS SELECT 1")
    assert recent_captures(None, folder) == []
