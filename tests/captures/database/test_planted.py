"""Stores that someone else created or changed, and read-only files."""

from __future__ import annotations

import os
import signal
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import CaptureStore, open_store
from port_hook_cli.captures.store.reader import StoreReader, open_reader
from port_hook_cli.cli.app import COMMANDS
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.errors import StoreError
from tests.conftest import Result
from tests.databases import edit
from tests.factories import a_capture, an_invocation
from tests.options import options
from tests.processes import environment, python

TESTS_ROOT = Path(__file__).parents[3]
POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX owners and permissions")
ROOT = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="changing an owner and mounting take root on Linux"
)
Opens = Callable[[Path | None, Path], StoreReader]
OPENINGS: dict[str, Opens] = {
    "create": partial(open_store, create=True),
    "write": open_store,
    "read": open_reader,
    "show": partial(open_reader, show_only=True),
}
every_opening = pytest.mark.parametrize("opens", OPENINGS.values(), ids=OPENINGS.keys())
STRANGER = 12345


@pytest.fixture
def path(folder: Path) -> Path:
    """Return the path of a closed store with one capture in it."""
    with open_store(None, folder, create=True) as store:
        store.add([a_capture()])
    return store.path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- links and permissions


@POSIX
@every_opening
@pytest.mark.parametrize("name", ["captures.db", "captures.db-wal", "captures.db-shm", "captures.db-journal"])
def test_symbolic_link_instead_of_a_store_file_is_rejected(path: Path, folder: Path, name: str, opens: Opens) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.write_bytes(b"precious")
    link = path.with_name(name)
    link.unlink(missing_ok=True)
    link.symlink_to(elsewhere)
    with pytest.raises(StoreError, match=f"{name} is a symbolic link") as caught:
        opens(None, folder)
    assert "--store" in caught.value.hint
    assert elsewhere.read_bytes() == b"precious"


@POSIX
@pytest.mark.parametrize("exists", [True, False])
def test_symbolic_link_instead_of_the_store_folder_is_rejected(folder: Path, exists: bool) -> None:
    if exists:
        (folder / "elsewhere").mkdir()
    (folder / ".port-hook").symlink_to(folder / "elsewhere")
    with pytest.raises(StoreError, match="port-hook is a symbolic link"):
        open_store(None, folder, create=True)
    assert not exists or not list((folder / "elsewhere").iterdir())


@POSIX
def test_symbolic_link_instead_of_the_gitignore_is_rejected_and_not_followed(folder: Path) -> None:
    (folder / ".port-hook").mkdir(mode=0o700)
    (folder / ".port-hook" / ".gitignore").symlink_to(folder / "victim")
    with pytest.raises(StoreError, match="gitignore is a symbolic link"):
        open_store(None, folder, create=True)
    assert not (folder / "victim").exists()


@POSIX
@every_opening
def test_shared_store_is_made_private_and_reported(path: Path, folder: Path, opens: Opens) -> None:
    path.parent.chmod(0o777)
    path.chmod(0o644)
    with opens(None, folder) as store:
        assert [mode(path.parent), mode(path)] == [0o700, 0o600]
        first, second = store.warnings
    assert first.endswith("could be written by other users (mode 0777). port-hook made it private")
    assert second.endswith("could be read by other users (mode 0644). port-hook made it private")
    with opens(None, folder) as store:
        assert store.warnings == ()


@POSIX
def test_explicit_store_works_in_a_world_writable_folder(folder: Path) -> None:
    shared = folder / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    for _ in range(2):
        with open_store(shared / "mine.db", folder, create=True) as store:
            store.add([a_capture()])
            assert store.warnings == ()
    assert mode(shared) == 0o1777


@ROOT
@pytest.mark.parametrize("name", [".", "captures.db", "captures.db-wal"])
def test_files_of_another_user_are_rejected(path: Path, folder: Path, name: str) -> None:
    file = path.parent / name
    if not file.exists():
        file.touch(0o600)
    os.chown(file, STRANGER, STRANGER)
    for opening in ("create", "write", "read"):
        with pytest.raises(StoreError, match="belongs to another user"):
            OPENINGS[opening](None, folder)


@ROOT
def test_files_of_another_user_are_shown_unless_more_users_may_write_them(path: Path, folder: Path) -> None:
    os.chown(path, STRANGER, STRANGER)
    with open_reader(None, folder, show_only=True) as store:
        assert store.get("last") == a_capture()
        assert "belongs to another user, who may have written anything" in store.warnings[0]
    path.chmod(0o666)
    with pytest.raises(StoreError, match="belongs to another user"):
        open_reader(None, folder, show_only=True)


@POSIX
def test_pipe_instead_of_the_store_is_rejected(folder: Path) -> None:
    os.mkfifo(folder / "captures.db", 0o600)
    with pytest.raises(StoreError, match="not a regular file"):
        open_store(Path("captures.db"), folder)


# --- content of the database

PLANTED = {
    "a trigger": "CREATE TRIGGER evil AFTER INSERT ON captures BEGIN DELETE FROM captures; END",
    "a view": "CREATE VIEW evil AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT * FROM c",
    "a table": "CREATE TABLE evil (a)",
    "an index": "CREATE INDEX evil ON captures (id, upper(action))",
}


@every_opening
@pytest.mark.parametrize("statement", PLANTED.values(), ids=PLANTED.keys())
def test_database_with_unknown_objects_is_rejected_and_not_changed(
    path: Path, folder: Path, statement: str, opens: Opens
) -> None:
    edit(path, statement)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="evil that port-hook did not make"):
        opens(None, folder)
    assert path.read_bytes() == before


def test_database_with_a_view_instead_of_the_table_is_rejected(path: Path, folder: Path) -> None:
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS seq FROM c"
    edit(path, "DROP TABLE captures", f"CREATE VIEW captures AS {endless}")
    with pytest.raises(StoreError, match="captures that port-hook did not make"):
        open_store(None, folder)


def test_table_with_a_generated_column_is_rejected(path: Path, folder: Path) -> None:
    edit(path, "ALTER TABLE captures ADD COLUMN bomb GENERATED ALWAYS AS (zeroblob(999999999))")
    with pytest.raises(StoreError, match="table captures that port-hook did not make"):
        open_store(None, folder)


def test_statistics_of_a_database_browser_are_accepted(path: Path, folder: Path) -> None:
    edit(path, "ANALYZE")
    with open_store(None, folder) as store:
        assert store.get("last") == a_capture()


ENDLESS = """
import sqlite3, sys
from port_hook_cli.captures.database.opening import end_at_ctrl_c
from port_hook_cli.captures.database.opening import store_problem

connection = sqlite3.connect(":memory:")
end_at_ctrl_c(connection)
try:
    print("ready", flush=True)
    try:
        connection.execute("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c")
    except sqlite3.Error as error:
        store_problem(error, None)
except KeyboardInterrupt:
    print("interrupted")
"""


@POSIX
def test_ctrl_c_ends_an_endless_statement() -> None:
    process = python(ENDLESS)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("interrupted\n", "", 0)


# --- damaged rows


@pytest.mark.parametrize(
    "change",
    [
        "delivery = '{}'",
        "delivery = '[]'",
        """delivery = '{"url":"u","status":200,"latency_ms":1,"headers":[]}', delivery_body = NULL""",
        """delivery = '{"url":"u","status":"200","latency_ms":1,"headers":[]}', delivery_body = x''""",
        """delivery = '{"url":1,"status":200,"latency_ms":1,"headers":[]}', delivery_body = x''""",
        """response = '{"status":200,"headers":[]}', response_body = NULL, delivery_body = NULL""",
        """response = '{"status":200,"headers":[]}', response_body = 'text'""",
        """response = '{"status":null,"headers":[]}', response_body = x''""",
        "headers = 'oops'",
        "headers = 'null'",
        "headers = '{}'",
        "headers = '[[1,2]]'",
        """headers = '[["a","\\u2028"]]'""",
        "headers = x'00'",
        "headers = replace(hex(zeroblob(60000)), '00', '[')",
        "received_at = 1e300",
        "received_at = -1",
        "received_at = 'soon'",
        "status = 'fine'",
        "causes = '[1]'",
        """causes = '[{"slug":1,"words":"w","fix":"f"}]'""",
        "simulated = '[]'",
        """simulated = '{"dropped":1}'""",
        """simulated = '{"delay_s":1e999}'""",
        "age_s = 'old'",
        "body = 7",
        "body = 'text'",
        "method = x'ff'",
        "target = CAST(x'ff' AS TEXT)",
        "id = x'00'",
        "body_size = 'large'",
        "body_size = 9e999",
        "body_size = 10, body_sha256 = x'00'",
    ],
)
def test_damaged_row_is_reported(path: Path, folder: Path, change: str) -> None:
    edit(path, f"UPDATE captures SET {change}")  # noqa: S608 - the test's own
    with open_store(None, folder) as store, pytest.raises(StoreError, match=r"damaged|could not be read"):
        store.get("last")


# These commands cannot read a planted value, and end with the exit code for that.
READING = (
    ["show", "last", "--json"],
    ["show", "0123456789ab"],
    ["show", "last", "--body"],
    ["captures"],
    ["captures", "--json"],
    ["captures", "--search", "vm"],
    ["captures", "--failed"],
    ["captures", "--jq", ".payload"],
    ["export", "last", "--format", "curl"],
    ["diff", "last", "last"],
    ["verify", "last"],
    ["decrypt", "last"],
    ["agent", "last"],
    ["sign", "last"],
    ["captures", "--status-code", "5xx"],
    ["show", "last-replay"],
    ["report-run", "last", "--status", "success", "--dry-run"],
)
# These commands may also fail for other reasons, such as a handler that does not run.
OTHERS = (
    ["replay", "last", "--to", "9"],
    ["replay", "--failed", "--to", "9"],
    ["check", "--to", "9"],
    ["check", "last", "--to", "9"],
    ["prune", "--keep", "5", "--yes"],
    ["doctor"],
)
# These commands with a store are in neither list, with the reason.
WITHOUT = {
    "listen": "recent_captures, called below, is all that it reads",
    "inspect": "serves until it is stopped",
    "mcp": "serves; its tools read the store as `show` does",
}


def test_every_command_with_a_store_is_tested() -> None:
    reading = {name for name in COMMANDS for option in options(name) if "--store" in option.opts}
    tried = {command[0] for command in (*READING, *OTHERS)}
    assert reading == tried | WITHOUT.keys(), (
        "add the command to READING in this file, with each option that reads more"
    )


# This script runs every command that reads a store, with one capture that has a planted value. It prints by how many
# MiB the value raised the peak of the memory. The commands first run without the value, which loads the modules.
READERS = """
import shutil, sqlite3, sys
from pathlib import Path
from port_hook_cli.captures.store.recent import recent_captures
from tests.captures.database.test_planted import OTHERS, READING
from tests.cli.test_file_paths import an_exit_code

folder = Path.cwd()
def run_all(name):
    codes = [an_exit_code([*command, "--store", name]) for command in (*READING, *OTHERS)]
    recent_captures(Path(name), folder)
    return codes

def peak():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024

run_all("mine.db")
for column in sys.argv[1:]:
    shutil.copy("mine.db", "planted.db")
    with sqlite3.connect("planted.db", isolation_level=None) as editor:
        editor.execute("PRAGMA journal_mode = WAL")
        editor.execute("PRAGMA cache_size = 100")
        editor.execute("PRAGMA wal_autocheckpoint = 100")
        value = "zeroblob(80000000)" if column != "headers" else "CAST(zeroblob(80000000) AS TEXT)"
        editor.execute(f"UPDATE captures SET {column} = {value}")
        editor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    editor.close()
    # SQLite itself has used the memory for the value, so what counts is the memory that is in use from now on.
    Path("/proc/self/clear_refs").write_text("5")
    before, codes = peak(), run_all("planted.db")
    after = peak()
    print("PLANTED", column, after - before, *codes)
"""
SOME_COLUMNS = ("body", "headers")
OTHER_COLUMNS = ("id", "response", "delivery_body", "received_at", "signature", "run_id")


@pytest.mark.skipif(sys.platform != "linux", reason="resets the peak of its memory in /proc")
@pytest.mark.parametrize("columns", [SOME_COLUMNS, pytest.param(OTHER_COLUMNS, marks=pytest.mark.extended)], ids=len)
def test_planted_value_does_not_use_memory_in_any_command(folder: Path, columns: tuple[str, ...]) -> None:
    with open_store(Path("mine.db"), folder, create=True) as store:
        store.add([a_capture()])
    done = subprocess.run(
        [sys.executable, "-c", READERS, *columns],
        cwd=folder,
        env=environment(folder, PYTHONPATH=str(TESTS_ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("PLANTED")]
    assert [column for column, *_ in found] == list(columns), done.stderr
    for column, growth, *codes in found:
        # To find an ID, SQLite itself reads an index with the signatures once.
        assert int(growth) < (90 if column == "signature" else 40), (column, growth)
        assert codes[0] == "8", (column, codes)
        assert not {"70", "1"} & set(codes[: len(READING)]), (column, codes)


def test_signatures_of_damaged_rows_are_skipped(path: Path, folder: Path) -> None:
    edit(path, "UPDATE captures SET signature = x'00'")
    with open_store(None, folder, create=True) as store:
        assert store.recent_signatures(0) == []


def test_non_unicode_name_does_not_match_a_capture(path: Path, folder: Path) -> None:
    with open_store(None, folder) as store, pytest.raises(StoreError, match="Capture not found"):
        store.get("\udcff")


# --- files removed or emptied while a listener runs


@pytest.fixture
def store(folder: Path) -> CaptureStore:
    return open_store(None, folder, create=True)


def found(folder: Path) -> list[str]:
    with open_store(None, folder) as reader:
        return sorted(capture.invocation.id for capture in reader.select())


@POSIX
@pytest.mark.parametrize("removed", [("-wal",), ("-shm",), ("-wal", "-shm")], ids=["log", "index", "both"])
def test_listener_does_not_lose_captures_when_the_log_or_index_is_removed(
    store: CaptureStore, folder: Path, removed: tuple[str, ...]
) -> None:
    store.add([a_capture(an_invocation(id="aa"))])
    for end in removed:
        store.path.with_name(f"captures.db{end}").unlink()
    store.add([a_capture(an_invocation(id="bb"))])
    assert found(folder) == ["aa", "bb"]
    store.close()
    assert found(folder) == ["aa", "bb"]


EMPTIED = """
import os, sys
from pathlib import Path
from port_hook_cli.captures.store.capture_store import open_store
from tests.factories import a_capture, an_invocation

store = open_store(None, Path.cwd(), create=True)
for number in range(200):
    store.add([a_capture(an_invocation(id=f"before{number:03}"))])
for name in sys.argv[1:]:
    os.truncate(store.path.with_name(name), 0)
store.add([a_capture(an_invocation(id="after"))])
print(store.get("last").invocation.id)
store.close()
"""


@POSIX
@pytest.mark.parametrize(
    ("names", "left"),
    [(["captures.db-shm"], 201), (["captures.db-wal"], 1), (["captures.db-shm", "captures.db-wal"], 1)],
)
def test_listener_survives_when_the_index_or_log_is_emptied(folder: Path, names: list[str], left: int) -> None:
    process = python(EMPTIED, *names, cwd=folder)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("after\n", "", 0)
    assert len(found(folder)) == left  # the loss is limited to the captures that were only in the log


AS_NOBODY = """
import os, sys
from pathlib import Path
from port_hook_cli.captures.store.reader import open_reader
from port_hook_cli.errors import StoreError

if os.geteuid() == 0:
    os.setuid(65534)
try:
    open_reader(None, Path(sys.argv[1]))
except StoreError as problem:
    print(problem.message, problem.hint)
"""


@POSIX
def test_store_without_permission_is_rejected_without_advice_to_remove_it(path: Path, folder: Path) -> None:
    path.parent.chmod(0)
    try:
        told, _ = python(AS_NOBODY, folder).communicate(timeout=50)
    finally:
        path.parent.chmod(0o700)
    assert "could not be opened: Permission denied. Check the permissions of its directory." in told
    assert "Remove it" not in told


@ROOT
def test_store_of_another_user_is_rejected_without_advice_to_remove_it(path: Path, folder: Path) -> None:
    os.chown(path, STRANGER, STRANGER)
    with pytest.raises(StoreError, match="belongs to another user") as caught:
        open_reader(None, folder)
    assert caught.value.hint.startswith("Pass another file with --store")


# --- read-only files

READ_ONLY = """
import os, subprocess, sys
from pathlib import Path
from port_hook_cli.cli.app import main

folder = Path(sys.argv[1])
if subprocess.run(["mount", "--bind", str(folder), str(folder)]).returncode:
    sys.exit("cannot mount here")
if subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)]).returncode:
    sys.exit("cannot mount here")
os.chdir(folder)
sys.exit(main(sys.argv[2:]))
"""


def read_only(folder: Path, *command: str) -> Result:
    # Bash waits for the process, so that `--install-completion` finds its shell.
    bash = ("bash", "-c", '"$@"; exit $?', "bash")
    process = python(READ_ONLY, folder, *command, before=("unshare", "-m", *bash))
    out, err = process.communicate(timeout=50)
    if "cannot mount" in err or "unshare" in err:
        pytest.skip("no right to mount a file system here")
    return Result(process.returncode, out.encode(), err)


@ROOT
@pytest.mark.parametrize("command", [("captures",), ("show", "last")])
def test_captures_are_listed_and_shown_on_a_read_only_mount(path: Path, folder: Path, command: tuple[str, ...]) -> None:
    result = read_only(folder, *command)
    assert (result.code, result.err) == (0, "")
    assert "0123456789ab" in result.out


@ROOT
@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("listen", "--no-verify", "--tunnel", "none", "--stop-after", "0"), "captures.db is read-only."),
        (("init",), "./port-hook.toml cannot be written: Read-only file system."),
        (("--install-completion",), "cannot be read or written: Read-only file system."),
    ],
)
def test_command_that_writes_ends_with_8_on_a_read_only_mount(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], message: str
) -> None:
    for suffix in ("-wal", "-shm"):  # as a killed listener leaves them
        path.with_name(path.name + suffix).touch()
    monkeypatch.setenv("HOME", str(folder))
    result = read_only(folder, *command)
    assert (result.code, result.out) == (ExitCode.STORE, "")
    assert message in result.err


@ROOT
def test_captures_are_shown_read_only_while_the_log_has_content(folder: Path) -> None:
    with open_store(None, folder, create=True) as store:
        store.add([a_capture()])
        result = read_only(folder, "captures")
        assert result.code == 0
        assert "0123456789ab" in result.out


@ROOT
def test_log_without_its_index_is_skipped_and_reported_on_a_read_only_mount(path: Path, folder: Path) -> None:
    store = open_store(None, folder, create=True)
    store.add([a_capture(an_invocation(id="inthelog"))])
    copy = folder / "copy"
    copy.mkdir(mode=0o700)
    for name in ("captures.db", "captures.db-wal"):
        (copy / name).write_bytes((path.parent / name).read_bytes())
        (copy / name).chmod(0o600)
    result = read_only(folder, "captures", "--store", "copy/captures.db")
    assert result.code == 0, result.err
    assert "0123456789ab" in result.out
    assert "inthelog" in result.out or "the latest captures may be missing" in result.err
    store.close()


@ROOT
def test_empty_store_is_shown_on_a_read_only_mount_and_stays_empty(folder: Path) -> None:
    path = folder / "captures.db"
    path.touch(0o600)
    result = read_only(folder, "captures", "--store", "captures.db")
    assert result.code == 0
    assert "No captures yet" in result.err
    assert path.read_bytes() == b""


@ROOT
def test_read_only_store_of_another_user_is_shown_with_a_note_but_not_replayed_or_inspected(
    path: Path, folder: Path
) -> None:
    for file in (path.parent, *path.parent.iterdir()):
        os.chown(file, STRANGER, STRANGER)
        file.chmod(0o755 if file.is_dir() else 0o644)
    shown = read_only(folder, "captures")
    assert shown.code == 0
    assert "0123456789ab" in shown.out
    assert f"note: {path} belongs to another user" in shown.err
    replayed = read_only(folder, "replay", "last", "--to", "1", "--as-captured")
    assert replayed.code == 8
    assert "belongs to another user" in replayed.err
    published = read_only(folder, "trigger", "0123456789ab", "--kafka", "127.0.0.1:1", "--no-sign")
    assert published.code == 8
    assert "belongs to another user" in published.err
    inspected = read_only(folder, "inspect")
    assert inspected.code == 8
    assert "belongs to another user" in inspected.err


@ROOT
def test_listener_rejects_a_read_only_store(path: Path, folder: Path) -> None:
    result = read_only(folder, "listen", "--no-verify", "--tunnel", "none", "--port", "0", "--stop-after", "1")
    assert result.code == 8
    assert "captures.db" in result.err


# The end of a rollback journal that contains the name of another file: page number, name, length, checksum and magic.
def journal_that_names(victim: str) -> bytes:
    name = victim.encode()
    magic = bytes.fromhex("d9d505f920a163d7")
    tail = struct.pack(">I", 0x40000000 // 4096 + 1) + name + struct.pack(">II", len(name), sum(name)) + magic
    return (magic + struct.pack(">5I", 0, 1, 2, 512, 4096)).ljust(512, b"\0") + tail


@every_opening
def test_journal_with_another_file_name_is_rejected_and_does_not_delete_files(
    path: Path, folder: Path, opens: Opens
) -> None:
    victim = folder / "victim"
    victim.write_text("precious")
    content = bytearray(path.read_bytes())
    content[18] = content[19] = 1  # makes it a database without a write-ahead log
    path.write_bytes(content)
    path.with_name("captures.db-journal").write_bytes(journal_that_names(str(victim)))
    with pytest.raises(StoreError, match="specifies another file, which SQLite would delete"):
        opens(None, folder)
    assert victim.read_text() == "precious"


@every_opening
def test_trigger_with_the_name_of_a_statistic_is_rejected(path: Path, folder: Path, opens: Opens) -> None:
    planted = """INSERT INTO sqlite_master VALUES ('trigger', 'sqlite_stat_x', 'captures', 0,
        'CREATE TRIGGER sqlite_stat_x AFTER INSERT ON captures BEGIN DELETE FROM captures; END')"""
    edit(path, "PRAGMA writable_schema = ON", planted)
    with pytest.raises(StoreError, match="has a trigger sqlite_stat_x that port-hook did not make"):
        opens(None, folder)


@pytest.mark.parametrize("number", [2**63 - 1, 0, -5])
def test_capture_with_a_number_outside_the_valid_range_is_rejected(path: Path, folder: Path, number: int) -> None:
    edit(path, "UPDATE captures SET seq = ?", values=[number])
    with pytest.raises(StoreError, match=f"a capture with the number {number} that port-hook did not make"):
        open_store(None, folder)


@POSIX
def test_store_with_a_second_hard_link_is_rejected(path: Path, folder: Path) -> None:
    os.link(path, folder / "second")
    with pytest.raises(StoreError, match="hard link"):
        open_store(None, folder)
