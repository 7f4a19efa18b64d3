from __future__ import annotations

import os
import re
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from port_hook_cli.captures.database.opening import execute_patiently, require_sqlite
from port_hook_cli.captures.database.schema import migrate
from port_hook_cli.captures.store.capture_store import CaptureStore, open_store
from port_hook_cli.captures.store.statements import StoreFilter
from port_hook_cli.errors import StoreError, UsageError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Delivery, Partition, Response, Status, Verdict
from port_hook_cli.text.safe import brief
from tests.any_texts import any_texts
from tests.captures.capture_strategies import captures, outcomes
from tests.databases import edit
from tests.factories import NOW, RUN_ID, a_body, a_capture, a_document, an_invocation, signed
from tests.processes import python

POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions and signals")


@pytest.fixture
def store(folder: Path) -> Iterator[CaptureStore]:
    with open_store(None, folder, create=True) as store:
        yield store


def named(capture_id: str, *, body: bytes | None = None, at: float = NOW, **overrides: Any) -> Capture:
    return a_capture(an_invocation(body, id=capture_id, received_at=at), **overrides)


def ids(captures: Iterator[Capture]) -> list[str]:
    return [capture.invocation.id for capture in captures]


# --- the file


def test_last_target_is_the_target_of_the_latest_session(tmp_path: Path) -> None:
    with open_store(None, tmp_path, create=True) as store:
        assert store.last_target() is None
        for target in ("http://127.0.0.1:8000", "http://127.0.0.1:9000", None):
            store.record_session(target)
            with open_store(None, tmp_path) as reader:
                assert reader.last_target() == target


def test_store_folder_is_ignored_by_git(store: CaptureStore, folder: Path) -> None:
    assert (folder / ".port-hook" / ".gitignore").read_text() == "*\n"


def test_store_in_an_existing_folder_does_not_get_a_gitignore(folder: Path) -> None:
    open_store(Path("mine/captures.db"), folder, create=True).close()
    assert [path.name for path in (folder / "mine").iterdir()] == ["captures.db"]


@POSIX
def test_store_files_are_readable_only_by_their_owner(store: CaptureStore, folder: Path) -> None:
    store.add([named("aa")])
    kept = folder / ".port-hook"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in kept.glob("captures.db*")}
    assert modes == {"captures.db": 0o600, "captures.db-wal": 0o600, "captures.db-shm": 0o600}


def test_file_of_another_program_is_rejected_and_not_changed(folder: Path) -> None:
    notes, database = folder / "notes.txt", folder / "other.db"
    notes.write_text("remember the milk\n" * 100)
    edit(database, "CREATE TABLE captures (of_butterflies TEXT)")
    for path, words in ((notes, "is not a capture store"), (database, "database of another program")):
        before = path.read_bytes()
        for create in (True, False):
            with pytest.raises(StoreError, match=words):
                open_store(path, folder, create=create)
        assert path.read_bytes() == before
    assert sorted(entry.name for entry in folder.iterdir()) == ["notes.txt", "other.db"]


def test_open_store_fails_when_its_path_is_or_is_in_no_folder(folder: Path) -> None:
    for name in (Path(), Path(".."), folder):
        with pytest.raises(UsageError, match="--store needs the path of a file"):
            open_store(name, folder)
    (folder / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be created"):
        open_store(Path("file/captures.db"), folder, create=True)


def test_old_sqlite_is_rejected_with_a_hint() -> None:
    require_sqlite((3, 33, 0))
    with pytest.raises(StoreError, match=r"SQLite 3\.26\.0.* needs 3\.33") as caught:
        require_sqlite((3, 26, 0))
    assert "another Python" in caught.value.hint


def test_opening_waits_for_a_reader_blocking_write_ahead_logging(folder: Path) -> None:
    path = folder / "captures.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as reader:
        migrate(reader)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM captures").fetchall()
        leave = threading.Timer(0.1, lambda: reader.execute("COMMIT"))
        leave.start()
        with open_store(path, folder, create=True) as store:
            store.add([named("aa")])
            assert ids(store.select()) == ["aa"]
        leave.join()


def test_execute_patiently_waits_for_a_lock_only(tmp_path: Path) -> None:
    paths = [tmp_path / "two.db"] * 2
    holder, other = (sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False) for path in paths)
    with closing(holder), closing(other):
        with pytest.raises(sqlite3.OperationalError, match="syntax"):
            execute_patiently(other, "nonsense", timeout_s=3600)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            execute_patiently(other, "CREATE TABLE made (a)", timeout_s=0.05)
        release = threading.Timer(0.1, lambda: holder.execute("COMMIT"))
        release.start()
        execute_patiently(other, "CREATE TABLE made (a)")
        release.join()
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("made",)]


# --- saved and read captures are equal


# These are the IDs that a listener creates.
CAPTURE_IDS = st.text("0123456789abcdef", min_size=12, max_size=12)


@settings(suppress_health_check=[*settings().suppress_health_check, HealthCheck.function_scoped_fixture])
@given(captures(ids=CAPTURE_IDS, targets=any_texts(8)), outcomes())
def test_capture_read_from_the_store_equals_the_saved_capture(
    store: CaptureStore, capture: Capture, outcome: dict[str, Any]
) -> None:
    store.add([capture])
    assert next(store.select()) == capture
    completed = replace(capture, **outcome)
    store.complete([completed])
    assert next(store.select()) == completed


SECRETS = (("Authorization", "Bearer abc123"), ("Cookie", "session=abc123"), ("Set-Cookie", "session=abc123"))


def with_secrets() -> Capture:
    headers = signed(a_body()).plus(*SECRETS)
    return a_capture(
        an_invocation(headers=headers),
        delivery=Delivery(url="http://127.0.0.1", status=200, headers=Headers(SECRETS)),
        response=Response(status=200, headers=Headers(SECRETS)),
    )


def test_credentials_in_headers_are_masked_and_the_signature_is_not(store: CaptureStore, folder: Path) -> None:
    capture = with_secrets()
    store.add([replace(capture, delivery=None, response=None)])
    store.complete([capture])
    kept = store.get("last")
    assert kept.delivery is not None
    assert kept.response is not None
    for headers in (kept.invocation.headers, kept.delivery.headers, kept.response.headers):
        assert [headers.get(name) for name, _ in SECRETS] == ["***"] * 3
    for name in ("x-port-signature", "x-port-timestamp"):
        assert kept.invocation.headers.get(name) == capture.invocation.headers.get(name)
    assert not [path for path in folder.rglob("*") if path.is_file() and b"abc123" in path.read_bytes()]


def test_store_saves_credentials_with_keep_secrets(folder: Path) -> None:
    with open_store(None, folder, create=True, keep_secrets=True) as store:
        store.add([with_secrets()])
        assert store.get("last") == with_secrets()


def test_response_body_is_truncated_to_64_kib_and_stored_once_with_an_equal_delivery_body(
    store: CaptureStore, folder: Path
) -> None:
    body = os.urandom(100_000)
    delivery = Delivery(url="http://127.0.0.1", status=200, body=body)
    store.add([named("aa", delivery=delivery, response=Response(status=200, body=body))])
    kept = store.get("aa")
    assert kept.delivery is not None
    assert kept.response is not None
    assert kept.delivery.body == kept.response.body == body[:65_536]
    assert sum(path.stat().st_size for path in folder.rglob("*") if "shm" not in path.name) < 130_000


def test_outcome_of_a_deleted_capture_is_ignored(store: CaptureStore) -> None:
    store.add([named("aa")])
    store.complete([named("bb", response=Response(status=200)), named("aa", response=Response(status=201))])
    assert ids(store.select()) == ["aa"]
    assert store.get("aa").response == Response(status=201)


def test_captures_beyond_the_limit_of_one_statement_are_all_saved(store: CaptureStore, folder: Path) -> None:
    captures = [named(f"{number:04x}") for number in range(100)]
    store.add(captures)
    store.complete([replace(capture, response=Response(status=200)) for capture in captures])
    with open_store(None, folder) as reader:
        assert ids(reader.select()) == [capture.invocation.id for capture in reversed(captures)]
        assert all(capture.response == Response(status=200) for capture in reader.select())


def test_failed_transaction_does_not_save_anything(store: CaptureStore) -> None:
    rows = [store.row(named(f"{number:04x}")) for number in range(40)]
    no_body = (*rows[-1][:-1], None)
    with pytest.raises(StoreError, match="NOT NULL"):
        store.write([*rows, no_body], [])
    assert ids(store.select()) == []
    store.write(rows, [])
    assert len(ids(store.select())) == 40


def test_damaged_file_raises_store_error(store: CaptureStore, folder: Path) -> None:
    store.add([named(f"{number:04x}") for number in range(200)])
    store.close()
    with store.path.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xa5" * 30 * 4096)
    with open_store(None, folder) as damaged, pytest.raises(StoreError, match="damaged"):
        list(damaged.select())
    with pytest.raises(StoreError, match="could not be read"):
        store.get("last")  # of a closed store


def test_store_error_is_raised_when_session_or_positions_cannot_be_saved(store: CaptureStore) -> None:
    edit(store.path, "DROP TABLE last_session", "DROP TABLE kafka_positions")
    with pytest.raises(StoreError, match="no such table: last_session"):
        store.record_session("http://localhost:8000")
    with pytest.raises(StoreError, match="no such table: kafka_positions"):
        store.keep_positions({Partition("cluster", "topic", 0): 1})


# --- finding


@pytest.fixture
def several(store: CaptureStore) -> CaptureStore:
    other = a_body(a_document(action="delete_vm", context={"runId": "r_0000000000000000"}))
    store.add(
        [
            named("ab01", at=NOW),
            named("ab02", at=NOW + 10, body=other, verdict=Verdict(status=Status.INVALID)),
            a_capture(an_invocation(b"{}", id="cd03", received_at=NOW + 20, headers=Headers())),
        ]
    )
    return store


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["cd03", "ab02", "ab01"]),
        ({"action": "delete_vm"}, ["ab02"]),
        ({"action": "\ud800"}, []),
        ({"status": Status.VALID}, ["cd03", "ab01"]),
        ({"run_id": RUN_ID}, ["ab01"]),
        ({"since_s": NOW + 10}, ["cd03", "ab02"]),
        ({"with_run": True}, ["ab02", "ab01"]),
        ({"status": Status.VALID, "action": "create_vm", "since_s": NOW + 1}, []),
    ],
)
def test_captures_are_found_latest_first(several: CaptureStore, filters: dict[str, Any], found: list[str]) -> None:
    wanted = StoreFilter(**filters)
    assert ids(several.select(wanted)) == found
    assert ids(several.select(wanted, limit=1)) == found[:1]


def test_get_finds_an_exact_id_or_a_unique_prefix_and_lists_at_most_5_matches(several: CaptureStore) -> None:
    several.add([named("ab01ff"), *(named(f"ef{number}") for number in range(9))])
    assert several.get("ab01").invocation.id == "ab01"
    assert several.get("cd").invocation.id == "cd03"
    with pytest.raises(StoreError, match=r"several capture IDs: ab02, ab01, ab01ff\.") as caught:
        several.get("ab")
    assert "more characters of the ID" in caught.value.hint
    with pytest.raises(StoreError, match=r"(ef\d, ){5}…\."):
        several.get("ef")
    for name in ("ff", "ab01fff", "AB", "%", "last2", "\udcff"):
        with pytest.raises(
            StoreError, match=rf"Capture not found: {re.escape(brief(name))}\. No ID in .* starts with it"
        ):
            several.get(name)


def test_empty_store_raises_store_error(store: CaptureStore) -> None:
    for name in ("last", "ab01", RUN_ID):
        with pytest.raises(StoreError, match="has no captures yet"):
            store.get(name)


def test_recent_signatures_returns_accepted_signatures_with_their_times(several: CaptureStore) -> None:
    first = several.get("ab01").invocation.headers.get("x-port-signature")
    assert several.recent_signatures(NOW) == [(first, NOW, NOW - 0.25)]
    assert several.recent_signatures(NOW + 5) == []


def test_opening_a_store_to_read_does_not_delete_captures(folder: Path) -> None:
    with open_store(None, folder, create=True) as store:
        store.add([named(f"{number:04x}") for number in range(10)])
    with open_store(None, folder, create=True, max_captures=2) as store:
        assert len(ids(store.select())) == 10
    with open_store(None, folder) as store:
        assert len(ids(store.select())) == 10


# --- others


WRITE = """
import sys
from pathlib import Path
from port_hook_cli.captures.store.capture_store import open_store
from tests.factories import a_capture, an_invocation

name, count = sys.argv[1], int(sys.argv[2])
with open_store(None, Path.cwd(), create=True) as store:
    for number in range(count):
        store.add([a_capture(an_invocation(id=f"{name}{number:04}"))])
"""


def test_several_processes_create_and_write_one_store_concurrently(folder: Path) -> None:
    writers = [python(WRITE, name, 150, cwd=folder) for name in "abc"]
    assert [(writer.communicate(timeout=50), writer.returncode) for writer in writers] == [(("", ""), 0)] * 3
    with open_store(None, folder) as store:
        assert sorted(ids(store.select())) == [f"{name}{number:04}" for name in "abc" for number in range(150)]


@POSIX
def test_store_removed_while_a_listener_runs_is_created_again(store: CaptureStore, folder: Path) -> None:
    store.add([named("aa")])
    for path in (folder / ".port-hook").iterdir():
        path.unlink()
    (folder / ".port-hook").rmdir()
    store.add([named("bb")])
    with open_store(None, folder) as reader:
        assert ids(reader.select()) == ["bb"]


FILL_UP = """
import resource
from pathlib import Path
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.errors import StoreError
from tests.factories import a_capture, an_invocation

store = open_store(None, Path.cwd(), create=True)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
saved = []
try:
    for number in range(1000):
        store.add([a_capture(an_invocation(id=f"{number:04}", body=b"x" * 5000))])
        saved.append(f"{number:04}")
except StoreError as problem:
    print(problem.message)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
store.add([a_capture(an_invocation(id="after"))])
saved.append("after")
store.close()
print(*saved)
"""


@POSIX
def test_write_beyond_the_file_size_limit_fails_without_losing_captures(folder: Path) -> None:
    process = python(FILL_UP, cwd=folder)
    problem, saved = process.communicate(timeout=50)[0].splitlines()
    assert process.returncode == 0
    assert "could not be" in problem
    assert len(saved.split()) > 5
    with open_store(None, folder) as store:
        assert ids(store.select()) == saved.split()[::-1]


def test_store_written_by_another_program_is_writable(tmp_path: Path) -> None:
    with open_store(None, tmp_path, create=True) as store, closing(sqlite3.connect(store.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.check_writable()
        other.rollback()
        store.check_writable()
        store.add([a_capture()])  # the check doesn't hold a lock
