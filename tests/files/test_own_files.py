"""port-hook's files in the home directory are private with any umask, and unused if others may have written them."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.doctor.check import CheckState
from port_hook_cli.doctor.examination import check_retargets
from port_hook_cli.errors import StoreError
from port_hook_cli.files.own_files import NotPrivateError, make_folders, make_own_folder, read_own_file
from port_hook_cli.files.settings_file import LOGINS
from port_hook_cli.inspector.door import InspectorAddress, recall, remember
from port_hook_cli.port_api.logins import KeptIn, Login, keep_login, read_logins
from port_hook_cli.reporting.kept_report import KeptReports, ReportState
from port_hook_cli.retarget.entry import Entry, write_entry
from port_hook_cli.retarget.journal import FOLDER, Journal
from port_hook_cli.sandbox.state_file import StateFile
from port_hook_cli.text.secret import Secret
from tests.conftest import Run
from tests.factories import RUN_ID, a_capture
from tests.hostile.fuzzing import chance, how_to_repeat, report, rounds
from tests.retargets import ONE, an_action

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX owners and permissions")
ROOT = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="changing an owner and mounting take root on Linux"
)
STRANGER = 12345
ENTRY = Entry(identifier="create_vm", api_url="http://127.0.0.1:9/v1", original=an_action(), urls=(ONE,), pid=1, at=2.0)
LOGIN = Login(name="a", client_id="i", api_url="https://api.port.io", kept_in=KeptIn.FILE, secret=Secret("a-secret"))
ADDRESS = InspectorAddress("t" * 43, 40_000)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def keep_a_login(home: Path, _: Path) -> None:
    keep_login(home, LOGIN, only=KeptIn.FILE)


def keep_an_entry(home: Path, _: Path) -> None:
    with Journal(home).claim("u", "id", "create_vm") as claim:
        claim.write(ENTRY)


def keep_a_report(home: Path, _: Path) -> None:
    kept = KeptReports(home).create(ReportState(run_id=RUN_ID, api_url="http://127.0.0.1:9", created_at=1.0), "abc")
    kept.spool.add_lines(b"a line\n")
    kept.release()


def keep_an_inspector(home: Path, folder: Path) -> None:
    remember(home, folder / "captures.db", ADDRESS)


def keep_captures(_: Path, folder: Path) -> None:
    for option in (None, Path("deep", "in", "folders", "captures.db")):
        with open_store(option, folder, create=True) as store:
            store.add([a_capture()])
            modes_of(folder, {".gitignore"})


def keep_a_state(_: Path, folder: Path) -> None:
    with StateFile.open(folder / "states" / "of" / "sandbox.db") as file:
        file.write([("run", "r", {})])


MAKERS = (keep_a_login, keep_an_entry, keep_a_report, keep_an_inspector, keep_captures, keep_a_state)


def modes_of(folder: Path, ignored: frozenset[str] | set[str] = frozenset()) -> None:
    """Check that everything in `folder` is accessible only to its owner."""
    for path in folder.rglob("*"):
        if path.name not in ignored:
            mode = stat.S_IMODE(path.stat().st_mode)
            assert not mode & 0o077, f"{path} has mode {mode:04o}"


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_new_folders_and_files_are_private_whatever_the_umask_is(
    tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    base = tmp_path / "base"
    with umask(0):
        make(base / "home", base / "work")
    modes_of(base)
    assert list(base.iterdir())


def test_files_are_private_with_any_umask_and_order_of_commands(tmp_path: Path) -> None:
    number = 0
    for number in rounds():
        draw = chance("umask", number)
        mask, makers = draw.randrange(0o100), draw.sample(MAKERS, len(MAKERS))
        base = tmp_path / str(number)
        base.mkdir(mode=0o700)
        try:
            with umask(mask):
                for make in makers:
                    make(base / "home", base / "work")
            modes_of(base)
        except AssertionError as error:
            raise AssertionError(
                how_to_repeat("umask", number, oct(mask), [make.__name__ for make in makers])
            ) from error
    report(f"umask: {number + 1} rounds")


def test_shared_home_folder_is_rejected_without_changing_its_mode(tmp_path: Path, run: Run) -> None:
    home = tmp_path / "home"
    for make in MAKERS[:4]:
        make(home, tmp_path)
    folder = home / ".port-hook"
    folder.chmod(0o777)
    advice = rf"others on this machine can write it \(mode 0777\)\. Check what is in it, then chmod 700 {folder}"
    with pytest.raises(StoreError, match=advice):
        Journal(home).claim("u", "id", "other")
    (kept,) = Journal(home).kept()
    assert kept.entry is None
    with pytest.raises(StoreError, match=advice):
        Journal(home).reclaim(kept)
    reports = KeptReports(home)
    with pytest.raises(StoreError, match=advice):
        reports.create(ReportState(run_id=RUN_ID, api_url="u", created_at=2.0), "def")
    with pytest.raises(StoreError, match=advice):
        reports.open(reports.folders()[0])
    assert recall(home, tmp_path / "captures.db") is None
    logins = read_logins(home)
    assert (logins.by_name, logins.is_refused) == ({}, True)
    result = run("logout", "--all")
    assert (result.code, result.out) == (ExitCode.SETTINGS, "")  # the output is not "No logins are saved."
    assert "logins.json is not used: others on this machine can write it" in result.err
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777


def plant_entry(home: Path) -> Path:
    keep_an_entry(home, home)
    (path,) = (home / FOLDER).glob("*.json")
    path.write_text(write_entry(ENTRY))
    return path


@ROOT
def test_journal_entry_of_another_user_is_not_restored(tmp_path: Path, run: Run) -> None:
    path = plant_entry(tmp_path / "home")
    for part in (path, path.parent, path.parent.parent):
        os.chown(part, STRANGER, STRANGER)
        result = run("restore", "--yes")
        assert result.code == ExitCode.STORE
        assert f"belongs to another user (uid {STRANGER})" in result.err
        assert path.exists()
        os.chown(part, os.geteuid(), os.getegid())


@ROOT
def test_report_of_another_user_is_not_sent(tmp_path: Path) -> None:
    keep_a_report(tmp_path, tmp_path)
    (folder,) = KeptReports(tmp_path).folders()
    for name in ("state.json", ""):
        os.chown(folder / name, STRANGER, STRANGER)
        with pytest.raises(StoreError, match="belongs to another user"):
            KeptReports(tmp_path).open(folder)
        os.chown(folder / name, os.geteuid(), os.getegid())


@ROOT
def test_logins_of_another_user_are_not_used(tmp_path: Path) -> None:
    keep_a_login(tmp_path, tmp_path)
    keep_an_inspector(tmp_path, tmp_path)
    os.chown((tmp_path / LOGINS).parent, STRANGER, STRANGER)
    logins = read_logins(tmp_path)
    assert (logins.by_name, logins.is_refused) == ({}, True)
    assert "belongs to another user" in logins.warning
    assert recall(tmp_path, tmp_path / "captures.db") is None


def test_link_or_pipe_in_the_place_of_a_journal_entry_is_rejected(tmp_path: Path) -> None:
    path = plant_entry(tmp_path)
    moved = tmp_path / "moved.json"
    path.rename(moved)
    for plant in (path.symlink_to, path.hardlink_to):
        plant(moved)
        (kept,) = Journal(tmp_path).kept()
        assert (kept.entry, bool(kept.fault)) == (None, True)
        path.unlink()
    os.mkfifo(path, 0o600)
    (kept,) = Journal(tmp_path).kept()
    assert (kept.entry, kept.fault) == (None, "it is not a regular file")


@pytest.mark.parametrize("name", ["retargets", ""])
def test_restore_and_doctor_report_an_unreadable_journal(tmp_path: Path, run: Run, name: str) -> None:
    """`Nothing to restore` would be false, because `sudo port-hook listen --retarget` may have made the directory."""
    block(tmp_path / "home", name)
    result = run("restore", "--yes")
    assert result.code == ExitCode.STORE
    assert "retargets cannot be read: Not a directory" in result.err
    assert "Nothing to restore" not in result.out + result.err
    assert check_retargets(tmp_path / "home").state is CheckState.WARNING


@pytest.mark.parametrize("name", ["reports", ""])
def test_unreadable_reports_folder_is_an_error(tmp_path: Path, name: str) -> None:
    block(tmp_path, name)
    with pytest.raises(StoreError, match="Not a directory"):
        KeptReports(tmp_path).folders()


def block(home: Path, *names: str) -> None:
    """Put a file in place of a directory, because root could read a directory with any mode."""
    path = Path(home, ".port-hook", *names)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")


def test_symbolic_link_as_a_lock_is_not_followed(tmp_path: Path) -> None:
    plant_entry(tmp_path)
    (path,) = (tmp_path / FOLDER).glob("*.json")
    (tmp_path / "elsewhere").mkdir()
    path.with_suffix(".lock").unlink(missing_ok=True)
    path.with_suffix(".lock").symlink_to(tmp_path / "elsewhere" / "made")
    with pytest.raises(StoreError):
        Journal(tmp_path).claim("u", "id", "create_vm")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_folders_are_made_level_by_level(tmp_path: Path) -> None:
    made = make_folders(tmp_path / "a" / "b" / "c")
    assert made == [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"]
    assert make_folders(tmp_path / "a" / "b") == []
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "x"):
        with pytest.raises(NotADirectoryError):
            make_folders(path)
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(OSError, match="link"):
        make_own_folder(tmp_path, Path("link"))


def test_file_writable_by_others_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(json.dumps({}))
    file.chmod(0o644)
    assert read_own_file(file, 1) == b"{"
    file.chmod(0o646)
    with pytest.raises(NotPrivateError, match=rf"Check its content, then chmod 600 {file}"):
        read_own_file(file, 1)
