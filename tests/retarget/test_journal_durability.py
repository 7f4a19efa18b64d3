"""The journal survives a power cut: when the operating system is asked to write which files to the disk."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from port_hook_cli.retarget.entry import Entry, write_entry
from port_hook_cli.retarget.journal import FOLDER, Journal
from tests.retargets import ONE, an_action

ENTRY = Entry(identifier="create_vm", api_url="u", original=an_action(), urls=(ONE,), pid=1, at=2.0)
KEY = ("u", "action_1", "create_vm")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot sync folders")


@dataclass
class Syncs:
    """The calls of `os.fsync`: for a file its bytes at that moment, for a folder the names in it."""

    folder: Path
    calls: list[bytes | set[str]] = field(default_factory=list)

    def __call__(self, handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            self.calls.append({path.suffix for path in self.folder.iterdir()} if self.folder.exists() else set())
            return
        # On Linux, the file has no name yet.
        named = [path for path in self.folder.iterdir() if path.stat().st_ino == os.fstat(handle).st_ino]
        (written,) = named or [Path(f"/proc/self/fd/{handle}")]
        self.calls.append(written.read_bytes())


@pytest.fixture
def syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Syncs:
    recorder = Syncs(tmp_path / FOLDER)
    monkeypatch.setattr(os, "fsync", recorder)
    return recorder


def test_entry_is_synced_before_it_is_renamed_and_its_folder_after(tmp_path: Path, syncs: Syncs) -> None:
    with Journal(tmp_path).claim(*KEY) as claim:
        syncs.calls.clear()
        claim.write(ENTRY)
        content, names = syncs.calls
        assert content == write_entry(ENTRY).encode() == claim.path.read_bytes()
        assert names == {".json", ".lock"}


def test_finish_syncs_the_folder_of_a_deleted_entry(tmp_path: Path, syncs: Syncs) -> None:
    claim = Journal(tmp_path).claim(*KEY)
    claim.write(ENTRY)
    syncs.calls.clear()
    claim.finish()
    assert syncs.calls == [{".lock"}]


def test_claim_syncs_the_parents_of_new_folders(tmp_path: Path, syncs: Syncs) -> None:
    Journal(tmp_path).claim(*KEY).release()
    assert len(syncs.calls) == 2
    Journal(tmp_path).claim(*KEY).release()
    assert len(syncs.calls) == 2


def test_entry_without_a_lock_file_is_a_leftover_and_can_be_reclaimed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with journal.claim(*KEY) as claim:
        claim.write(ENTRY)
    claim.path.with_suffix(".lock").unlink()
    assert journal.count_leftovers() == 1
    (kept,) = journal.kept()
    assert (kept.is_held, kept.entry) == (False, ENTRY)
    again = journal.reclaim(kept)
    assert again is not None
    assert again.read() == ENTRY
    again.finish()
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_release_deletes_all_files_when_no_entry_was_written(tmp_path: Path) -> None:
    claim = Journal(tmp_path).claim(*KEY)
    claim.path.with_suffix(".new").write_text("{")
    claim.release()
    assert list((tmp_path / FOLDER).iterdir()) == []
