from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from port_hook_cli.errors import RetargetError, StoreError
from port_hook_cli.retarget.entry import Entry, write_entry
from port_hook_cli.retarget.journal import FOLDER, Journal
from tests.retargets import ONE, an_action, journal_files

ENTRY = Entry(identifier="create_vm", api_url="u", original=an_action(), urls=(ONE,), pid=1, at=2.0)
KEY = ("u", "action_1", "create_vm")
# Claims an action, writes its entry, reports that, and waits to be killed.
OWNER = """
import sys
from pathlib import Path
from port_hook_cli.retarget.journal import Journal
from port_hook_cli.retarget.entry import Entry
claim = Journal(Path(sys.argv[1])).claim("u", "action_1", "create_vm")
claim.write(Entry(identifier="create_vm", api_url="u", original={"identifier": "create_vm"}))
print("written", flush=True)
sys.stdin.read()
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_entry_is_private_and_deleted_when_it_is_finished(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    claim = journal.claim(*KEY)
    assert claim.read() is None
    claim.write(ENTRY)
    claim.write(ENTRY.intending("x"))
    assert claim.read() == ENTRY.intending("x")
    assert {mode(path) for path in journal_files(tmp_path)} == {0o600}
    assert (mode(tmp_path / FOLDER), mode((tmp_path / FOLDER).parent)) == (0o700, 0o700)
    claim.finish()
    claim.release()
    assert journal_files(tmp_path) == []


def test_reading_the_journal_creates_no_files(tmp_path: Path) -> None:
    assert Journal(tmp_path).kept() == ()
    assert Journal(tmp_path).count_leftovers() == 0
    assert not (tmp_path / ".port-hook").exists()


def test_claim_is_rejected_when_another_listener_has_the_action(tmp_path: Path) -> None:
    with Journal(tmp_path).claim(*KEY) as held:
        with pytest.raises(RetargetError) as refusal:
            Journal(tmp_path).claim(*KEY)
        assert "create_vm" in refusal.value.message
        for other in (("v", *KEY[1:]), ("u", "action_2", "create_vm"), ("u", "action_1", "delete_vm")):
            Journal(tmp_path).claim(*other).release()
        held.write(ENTRY)
    Journal(tmp_path).claim(*KEY).release()


@pytest.mark.parametrize("has_lock_file", [True, False])
def test_released_entry_is_a_leftover_and_can_be_reclaimed(tmp_path: Path, has_lock_file: bool) -> None:
    journal = Journal(tmp_path)
    claim = journal.claim(*KEY)
    claim.write(ENTRY)
    assert (journal.count_leftovers(), [kept.is_held for kept in journal.kept()]) == (0, [True])
    assert journal.reclaim(journal.kept()[0]) is None
    claim.release()
    if not has_lock_file:
        claim.path.with_suffix(".lock").unlink()
    assert (journal.count_leftovers(), [kept.is_held for kept in journal.kept()]) == (1, [False])
    (kept,) = journal.kept()
    assert kept.entry == ENTRY
    again = journal.reclaim(kept)
    assert again is not None
    assert again.read() == ENTRY
    again.finish()
    assert journal_files(tmp_path) == []


def test_claim_is_released_when_its_process_is_killed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"written\n"
        assert journal.count_leftovers() == 0
        with pytest.raises(RetargetError):
            journal.claim(*KEY)
    finally:
        owner.kill()
        owner.communicate()
    assert journal.count_leftovers() == 1
    with journal.claim(*KEY) as claim:
        assert claim.read() is not None


def test_unreadable_entry_is_reported_and_not_deleted(tmp_path: Path) -> None:
    with Journal(tmp_path).claim(*KEY) as claim:
        claim.write(ENTRY)
        claim.path.write_bytes(b"\xff{")
        with pytest.raises(StoreError):
            claim.read()
        claim.path.write_text("{}")
        with pytest.raises(StoreError) as problem:
            claim.read()
        assert str(claim.path) in problem.value.message
    (kept,) = Journal(tmp_path).kept()
    assert (kept.entry, bool(kept.fault)) == (None, True)
    assert Journal(tmp_path).count_leftovers() == 1


def test_claim_raises_store_error_when_the_folder_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / ".port-hook").write_text("a file")
    with pytest.raises(StoreError) as problem:
        Journal(tmp_path).claim(*KEY)
    assert "retargets" in problem.value.message


def test_partially_written_entry_is_deleted(tmp_path: Path) -> None:
    with Journal(tmp_path).claim(*KEY) as claim:
        claim.path.with_suffix(".new").write_text("{")
        claim.write(ENTRY)
        assert claim.read() == ENTRY
        claim.path.with_suffix(".new").write_text("{")
        claim.finish()
    assert journal_files(tmp_path) == []


def test_only_one_of_many_threads_has_the_claim(tmp_path: Path) -> None:
    # Lock files are deleted while other threads open them, and a lock on a deleted file is worthless.
    inside, seen = [0], []

    def listen() -> int:
        claimed = 0
        for _ in range(150):
            with suppress(RetargetError), Journal(tmp_path).claim(*KEY) as claim:
                inside[0] += 1
                seen.append(inside[0])
                for _ in range(5):
                    claim.read()  # lets the other threads in
                claimed += 1
                inside[0] -= 1
        return claimed

    with ThreadPoolExecutor(4) as threads:
        claimed = sum(future.result() for future in [threads.submit(listen) for _ in range(4)])
    assert claimed > 4
    assert set(seen) == {1}


def test_release_deletes_all_files_when_no_entry_was_written(tmp_path: Path) -> None:
    claim = Journal(tmp_path).claim(*KEY)
    claim.path.with_suffix(".new").write_text("{")
    claim.release()
    assert list((tmp_path / FOLDER).iterdir()) == []


# A power failure: which files are synced to the disk, and when.


@dataclass
class Syncs:
    """The calls of `os.fsync`: a file's bytes at that moment, or the names in a folder."""

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
    if sys.platform == "win32":
        pytest.skip("Windows cannot sync folders")
    recorder = Syncs(tmp_path / FOLDER)
    monkeypatch.setattr(os, "fsync", recorder)
    return recorder


def test_entry_is_synced_before_it_is_renamed_and_its_folder_after_each_change(tmp_path: Path, syncs: Syncs) -> None:
    with Journal(tmp_path).claim(*KEY) as claim:
        syncs.calls.clear()
        claim.write(ENTRY)
        content, names = syncs.calls
        assert content == write_entry(ENTRY).encode() == claim.path.read_bytes()
        assert names == {".json", ".lock"}
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
