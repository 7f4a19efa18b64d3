"""Stores that someone else created or changed, and read-only files."""

from __future__ import annotations

import json
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
from port_hook_cli.cli.commands import COMMANDS
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
def test_symbolic_link_instead_of_a_store_file_is_rejected(path: Path, folder: Path) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.write_bytes(b"precious")
    for name in ("captures.db-wal", "captures.db-shm", "captures.db-journal", "captures.db"):
        link = path.with_name(name)
        link.unlink(missing_ok=True)
        link.symlink_to(elsewhere)
        for opens in OPENINGS.values():
            with pytest.raises(StoreError, match=f"{name} is a symbolic link") as caught:
                opens(None, folder)
            assert "--store" in caught.value.hint
        link.unlink()
    assert elsewhere.read_bytes() == b"precious"


@POSIX
def test_symbolic_link_instead_of_the_store_folder_is_rejected(folder: Path) -> None:
    elsewhere = folder / "elsewhere"
    (folder / ".port-hook").symlink_to(elsewhere)
    for exists in (False, True):
        if exists:
            elsewhere.mkdir()
        with pytest.raises(StoreError, match="port-hook is a symbolic link"):
            open_store(None, folder, create=True)
    assert not list(elsewhere.iterdir())


@POSIX
def test_symbolic_link_instead_of_the_gitignore_is_rejected_and_not_followed(folder: Path) -> None:
    (folder / ".port-hook").mkdir(mode=0o700)
    (folder / ".port-hook" / ".gitignore").symlink_to(folder / "victim")
    with pytest.raises(StoreError, match="gitignore is a symbolic link"):
        open_store(None, folder, create=True)
    assert not (folder / "victim").exists()


@POSIX
def test_shared_store_is_made_private_and_reported(path: Path, folder: Path) -> None:
    for opens in OPENINGS.values():
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
def test_files_of_another_user_are_rejected(path: Path, folder: Path) -> None:
    for name in ("captures.db-wal", "captures.db", "."):
        file = path.parent / name
        if not file.exists():
            file.touch(0o600)
        os.chown(file, STRANGER, STRANGER)
        for opening in ("create", "write", "read"):
            with pytest.raises(StoreError, match="belongs to another user") as caught:
                OPENINGS[opening](None, folder)
            assert caught.value.hint.startswith("Pass another file with --store")  # and not "remove it"
        os.chown(file, os.geteuid(), os.getegid())


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
def test_pipe_or_file_with_a_second_hard_link_is_rejected(path: Path, folder: Path) -> None:
    os.mkfifo(folder / "captures.db", 0o600)
    with pytest.raises(StoreError, match="not a regular file"):
        open_store(Path("captures.db"), folder)
    os.link(path, folder / "second")
    with pytest.raises(StoreError, match="hard link"):
        open_store(None, folder)


# --- content of the database


ENDLESS_VIEW = "AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS seq FROM c"
STATISTIC = """INSERT INTO sqlite_master VALUES ('trigger', 'sqlite_stat_x', 'captures', 0,
    'CREATE TRIGGER sqlite_stat_x AFTER INSERT ON captures BEGIN DELETE FROM captures; END')"""
PLANTED = (
    ("trigger evil", "CREATE TRIGGER evil AFTER INSERT ON captures BEGIN DELETE FROM captures; END"),
    ("view evil", f"CREATE VIEW evil {ENDLESS_VIEW}"),
    ("table captures", "DROP TABLE captures", f"CREATE VIEW captures {ENDLESS_VIEW}"),
    ("table evil", "CREATE TABLE evil (a)"),
    ("index evil", "CREATE INDEX evil ON captures (id, upper(action))"),
    ("table captures", "ALTER TABLE captures ADD COLUMN bomb GENERATED ALWAYS AS (zeroblob(999999999))"),
    ("trigger sqlite_stat_x", "PRAGMA writable_schema = ON", STATISTIC),
)


@pytest.mark.parametrize(("planted", "statements"), [(name, rest) for name, *rest in PLANTED])
def test_database_with_unknown_objects_is_rejected_and_not_changed(
    path: Path, folder: Path, planted: str, statements: list[str]
) -> None:
    edit(path, *statements)
    before = path.read_bytes()
    for opens in OPENINGS.values():
        with pytest.raises(StoreError, match=f"{planted} that port-hook did not make"):
            opens(None, folder)
    assert path.read_bytes() == before


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


def test_damaged_row_is_reported(path: Path, folder: Path) -> None:
    whole = path.read_bytes()
    for change in [
        "delivery = '{}'",
        """delivery = '{"url":"u","status":200,"latency_ms":1,"headers":[]}', delivery_body = NULL""",
        """delivery = '{"url":"u","status":"200","latency_ms":1,"headers":[]}', delivery_body = x''""",
        """delivery = '{"url":1,"status":200,"latency_ms":1,"headers":[]}', delivery_body = x''""",
        """response = '{"status":200,"headers":[]}', response_body = NULL, delivery_body = NULL""",
        """response = '{"status":null,"headers":[]}', response_body = x''""",
        "headers = 'oops'",
        "headers = '{}'",
        "headers = '[[1,2]]'",
        """headers = '[["a","\\u2028"]]'""",
        "headers = x'00'",
        "headers = replace(hex(zeroblob(60000)), '00', '[')",
        "received_at = -1",
        "received_at = 'soon'",
        "status = 'fine'",
        "causes = '[1]'",
        """causes = '[{"slug":1,"words":"w","fix":"f"}]'""",
        "simulated = '[]'",
        """simulated = '{"dropped":1}'""",
        """simulated = '{"delay_s":1e999}'""",
        "age_s = 'old'",
        "body = 'text'",
        "method = x'ff'",
        "target = CAST(x'ff' AS TEXT)",
        "id = x'00'",
        "body_size = 9e999",
        "body_size = 10, body_sha256 = x'00'",
    ]:
        path.write_bytes(whole)
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
    ["port-agent", "last"],
    ["sign", "last"],
    ["captures", "--status", "5xx"],
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
    ["runs", "last"],
    ["replay", "--missed", "--yes", "--to", "9"],
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
        editor.execute("PRAGMA journal_mode = OFF")  # writes the value once, not first to a log
        editor.execute("PRAGMA cache_size = 100")
        value = "zeroblob(80000000)" if column != "headers" else "CAST(zeroblob(80000000) AS TEXT)"
        editor.execute(f"UPDATE captures SET {column} = {value}")
        editor.execute("PRAGMA journal_mode = WAL")
    editor.close()
    # SQLite itself has used the memory for the value, so what counts is the memory that is in use from now on.
    Path("/proc/self/clear_refs").write_text("5")
    before, codes = peak(), run_all("planted.db")
    after = peak()
    print("PLANTED", column, after - before, *codes)
"""


COLUMNS = ("body", "headers", "id", "response", "received_at", "signature")


@pytest.mark.extended
@pytest.mark.skipif(sys.platform != "linux", reason="resets the peak of its memory in /proc")
def test_planted_value_does_not_use_memory_in_any_command(folder: Path) -> None:
    with open_store(Path("mine.db"), folder, create=True) as store:
        store.add([a_capture()])
    done = subprocess.run(
        [sys.executable, "-c", READERS, *COLUMNS],
        cwd=folder,
        env=environment(folder, PYTHONPATH=str(TESTS_ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("PLANTED")]
    assert [column for column, *_ in found] == list(COLUMNS), done.stderr
    for column, growth, *codes in found:
        # To find an ID, SQLite itself reads an index with the signatures once.
        assert int(growth) < (90 if column == "signature" else 40), (column, growth)
        assert codes[0] == "8", (column, codes)
        assert not {"70", "1"} & set(codes[: len(READING)]), (column, codes)


def test_signatures_of_damaged_rows_are_skipped(path: Path, folder: Path) -> None:
    edit(path, "UPDATE captures SET signature = x'00'")
    with open_store(None, folder, create=True) as store:
        assert store.recent_signatures(0) == []


# --- files removed or emptied while a listener runs


@pytest.fixture
def store(folder: Path) -> CaptureStore:
    return open_store(None, folder, create=True)


def found(folder: Path) -> list[str]:
    with open_store(None, folder) as reader:
        return sorted(capture.invocation.id for capture in reader.select())


@POSIX
def test_listener_does_not_lose_captures_when_the_log_or_index_is_removed(store: CaptureStore, folder: Path) -> None:
    expected = []
    for number, removed in enumerate((("-wal",), ("-shm",), ("-wal", "-shm"))):
        store.add([a_capture(an_invocation(id=f"{number}a"))])
        for end in removed:
            store.path.with_name(f"captures.db{end}").unlink()
        store.add([a_capture(an_invocation(id=f"{number}b"))])
        expected += [f"{number}a", f"{number}b"]
        assert found(folder) == expected
    store.close()
    assert found(folder) == expected


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
@pytest.mark.parametrize(("names", "left"), [(["captures.db-shm"], 201), (["captures.db-shm", "captures.db-wal"], 1)])
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


# --- read-only files

READ_ONLY = """
import contextlib, io, json, os, subprocess, sys
from pathlib import Path
from port_hook_cli.cli.app import main
from port_hook_cli.runtime import Runtime

folder = Path(sys.argv[1])
for options in (["--bind", folder], ["-o", "remount,ro,bind"]):
    if subprocess.run(["mount", *options, folder], capture_output=True).returncode:
        sys.exit("cannot mount here")
os.chdir(folder)
results = []
for words in json.loads(sys.argv[2]):
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    runtime = Runtime(environ=os.environ, cwd=folder, home=folder, stdin=io.BytesIO(), stdout=out, stderr=err)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words, runtime)
    results.append([code, *(stream.buffer.getvalue().decode() for stream in (out, err))])
print(json.dumps(results))
"""


def read_only(folder: Path, *commands: str) -> list[Result]:
    """Run commands in `folder`, on a file system that cannot be written."""
    # Bash waits for the process, so that `--install-completion` finds its shell.
    bash = ("bash", "-c", '"$@"; exit $?', "bash")
    words = json.dumps([command.split() for command in commands])
    process = python(READ_ONLY, folder, words, before=("unshare", "-m", *bash))
    out, err = process.communicate(timeout=50)
    if "cannot mount" in err or "unshare" in err:
        pytest.skip("no right to mount a file system here")
    assert process.returncode == 0, err
    return [Result(code, out.encode(), err) for code, out, err in json.loads(out)]


@ROOT
def test_captures_are_shown_and_nothing_is_written_on_a_read_only_mount(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    for name in ("killed", "copy"):
        (folder / name).mkdir(mode=0o700)
    killed, empty = folder / "killed" / "captures.db", folder / "empty.db"
    killed.write_bytes(path.read_bytes())
    for file in (killed, killed.with_name("captures.db-wal"), killed.with_name("captures.db-shm"), empty):
        file.touch()
        file.chmod(0o600)
    listen = "listen --verify off --tunnel none --port 0 --stop-after 1"
    with open_store(Path("open.db"), folder, create=True) as store:
        store.add([a_capture(an_invocation(id="inthelog"))])
        for name in ("open.db", "open.db-wal"):  # without the log's index
            (folder / "copy" / name).write_bytes((folder / name).read_bytes())
            (folder / "copy" / name).chmod(0o600)
        *shown, copied, none, first, second, prune, init, completion = read_only(
            folder,
            "captures",
            "show last",
            "captures --store killed/captures.db",
            "captures --store open.db",
            "captures --store copy/open.db",
            "captures --since 1h --store empty.db",
            listen,
            f"{listen} --store killed/captures.db",
            "prune --keep 0 --yes",
            "init",
            "--install-completion",
        )
    assert [(result.code, result.err) for result in shown] == [(0, "")] * 4
    for result, name in zip(shown, ["0123456789ab"] * 3 + ["inthelog"], strict=True):
        assert name in result.out
    assert copied.code == 0, copied.err
    assert "inthelog" in copied.out or "the latest captures may be missing" in copied.err
    assert (none.code, "No captures yet" in none.err, empty.read_bytes()) == (0, True, b"")
    for result, message in (
        (first, "captures.db is read-only."),
        (second, "captures.db is read-only."),
        (prune, "captures.db is read-only."),
        (init, "./port-hook.toml cannot be written: Read-only file system."),
        (completion, "cannot be read or written: Read-only file system."),
    ):
        assert (result.code, result.out, message in result.err) == (ExitCode.STORE, "", True), result.err


@ROOT
def test_read_only_store_of_another_user_is_shown_with_a_note_but_not_replayed_or_inspected(
    path: Path, folder: Path
) -> None:
    for file in (path.parent, *path.parent.iterdir()):
        os.chown(file, STRANGER, STRANGER)
        file.chmod(0o755 if file.is_dir() else 0o644)
    shown, *others = read_only(
        folder,
        "captures",
        "replay last --to 1 --as-captured",
        "inspect",
    )
    assert shown.code == 0
    assert "0123456789ab" in shown.out
    assert f"note: {path} belongs to another user" in shown.err
    for result in others:
        assert (result.code, "belongs to another user" in result.err) == (8, True)


# The end of a rollback journal that contains the name of another file: page number, name, length, checksum and magic.
def journal_that_names(victim: str) -> bytes:
    name = victim.encode()
    magic = bytes.fromhex("d9d505f920a163d7")
    tail = struct.pack(">I", 0x40000000 // 4096 + 1) + name + struct.pack(">II", len(name), sum(name)) + magic
    return (magic + struct.pack(">5I", 0, 1, 2, 512, 4096)).ljust(512, b"\0") + tail


def test_journal_with_another_file_name_is_rejected_and_does_not_delete_files(path: Path, folder: Path) -> None:
    victim = folder / "victim"
    victim.write_text("precious")
    content = bytearray(path.read_bytes())
    content[18] = content[19] = 1  # makes it a database without a write-ahead log
    path.write_bytes(content)
    path.with_name("captures.db-journal").write_bytes(journal_that_names(str(victim)))
    for opens in OPENINGS.values():
        with pytest.raises(StoreError, match="specifies another file, which SQLite would delete"):
            opens(None, folder)
    assert victim.read_text() == "precious"


def test_capture_with_a_number_outside_the_valid_range_is_rejected(path: Path, folder: Path) -> None:
    for number in [2**63 - 1, 0, -5]:
        edit(path, "UPDATE captures SET seq = ?", values=[number])
        with pytest.raises(StoreError, match=f"a capture with the number {number} that port-hook did not make"):
            open_store(None, folder)
