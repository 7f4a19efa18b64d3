"""A sandbox rejects state files from someone else with an error, whatever they contain, and quickly."""

from __future__ import annotations

import json
import random
import sqlite3
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.errors import StoreError
from port_hook_cli.sandbox.state import InitialData, SandboxState
from port_hook_cli.sandbox.state_file import StateFile
from tests.conftest import Run
from tests.databases import edit
from tests.factories import RUN_ID
from tests.hostile.fuzzing import chance, how_to_repeat, report, rounds

CASES = 100  # of a round
NOTHING = InitialData(actions=(), runs=(RUN_ID,))
COLUMNS = "kind TEXT NOT NULL, key TEXT NOT NULL, document TEXT NOT NULL"
BOMB = "length(hex(zeroblob(300000000)))"
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"
# Each replaces the table, or is added to it. The expressions would take seconds or gigabytes.
TABLES = {
    "a generated column": f"CREATE TABLE part ({COLUMNS}, bomb GENERATED ALWAYS AS ({BOMB}), UNIQUE (kind, key))",
    "a generated column with the name of its own": (
        "CREATE TABLE part (kind TEXT NOT NULL, key TEXT NOT NULL, "
        f"document TEXT GENERATED ALWAYS AS ({BOMB}), UNIQUE (kind, key))"
    ),
    "a CHECK": f"CREATE TABLE part ({COLUMNS}, UNIQUE (kind, key), CHECK ({BOMB}))",
    "another key": f"CREATE TABLE part ({COLUMNS}, PRIMARY KEY (kind, key)) WITHOUT ROWID",
    "a view": f"CREATE VIEW part (kind, key, document) AS {ENDLESS.replace('SELECT x FROM', 'SELECT x, x, x FROM')}",
    "no table": "CREATE TABLE other (a)",
}
OBJECTS = {
    "an index on an expression": f"CREATE INDEX bomb ON part ({BOMB.replace('300000000', 'length(kind)')})",
    "a trigger": "CREATE TRIGGER bomb AFTER INSERT ON part BEGIN DELETE FROM part; END",
    "a view": f"CREATE VIEW bomb AS {ENDLESS}",
    "a table": "CREATE TABLE bomb (a)",
    "a full-text table": "CREATE VIRTUAL TABLE bomb USING fts5(a)",
}


@pytest.fixture
def file(folder: Path) -> Path:
    """A state file with one of each."""
    path = folder / "state.db"
    with StateFile.open(path) as opened:
        state = SandboxState(now=lambda: 1.0)
        state.begin(NOTHING)
        state.add_log(state.runs[RUN_ID], {"message": "hi"})
        state.set_entity("vm", "e", {"identifier": "e"})
        opened.write(state.changes())
    return path


def take_up(path: Path) -> None:
    """Open a state file and load it, like the sandbox. Raises StoreError."""
    with StateFile.open(path) as opened:
        state = SandboxState(now=lambda: 1.0)
        state.begin(NOTHING, list(opened.rows()))
        opened.write(state.changes())


@pytest.mark.parametrize("statement", TABLES.values(), ids=TABLES.keys())
def test_state_file_with_another_table_is_rejected_without_running_code(run: Run, file: Path, statement: str) -> None:
    edit(file, "PRAGMA journal_mode = DELETE", "DROP TABLE part", statement)
    assert_rejected(run, file)


@pytest.mark.parametrize("statement", OBJECTS.values(), ids=OBJECTS.keys())
def test_state_file_with_other_objects_is_rejected_without_running_code(run: Run, file: Path, statement: str) -> None:
    edit(file, "PRAGMA journal_mode = DELETE", statement)
    assert_rejected(run, file)


def assert_rejected(run: Run, file: Path) -> None:
    before, started = file.read_bytes(), time.monotonic()
    result = run("sandbox", "--port", "0", "--state", str(file))
    assert (result.code, result.out) == (ExitCode.STORE, "")
    assert "that port-hook did not create" in result.err
    assert time.monotonic() - started < 30  # guards against a hang
    assert file.read_bytes() == before


@pytest.mark.parametrize("kind", ["action", "log"])
def test_nested_json_in_a_state_file_is_an_error(run: Run, file: Path, kind: str) -> None:
    edit(file, "UPDATE part SET document = ? WHERE kind = ?", values=["[" * 100_000 + "]" * 100_000, kind])
    result = run("sandbox", "--port", "0", "--state", str(file))
    assert (result.code, result.out) == (ExitCode.STORE, "")
    assert "is damaged: its JSON is nested too deeply." in result.err


@pytest.mark.extended  # it needs much memory
@pytest.mark.skipif(sys.platform != "linux", reason="resets the peak of its memory in /proc")
@pytest.mark.parametrize(
    ("column", "form"),
    [("document", "TEXT"), ("key", "BLOB")],
)
def test_huge_value_in_a_state_file_is_rejected_and_not_read(file: Path, column: str, form: str) -> None:
    edit(file, f"UPDATE part SET {column} = CAST(zeroblob(80000000) AS {form}) WHERE kind = 'action'",  # noqa: S608
         "PRAGMA wal_checkpoint(TRUNCATE)")  # fmt: skip
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mib()
    with pytest.raises(StoreError, match=r"has more than 256 MiB, or 64 MiB in one part|too big"):
        take_up(file)
    assert peak_mib() - before < 40


@pytest.mark.extended  # it needs much memory
@pytest.mark.skipif(sys.platform != "linux", reason="resets the peak of its memory in /proc")
def test_state_file_with_too_many_values_is_rejected_and_not_parsed(file: Path) -> None:
    lists = "'[' || replace(hex(zeroblob(9000000)), '00', '[],') || '1]'"
    edit(file, f"UPDATE part SET document = {lists} WHERE kind = 'action'",  # noqa: S608
         "PRAGMA wal_checkpoint(TRUNCATE)")  # fmt: skip
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mib()
    with pytest.raises(StoreError, match="is damaged: it has too many values"):
        take_up(file)
    assert peak_mib() - before < 200  # parsed, it would take 600


def peak_mib() -> int:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


def a_value(rng: random.Random, depth: int = 0) -> Any:
    kinds: list[Any] = [None, True, 0, -1, 2**70, 1e308, float("inf"), float("nan"), "", "x" * 300, "\ud800", "PENDING"]
    if depth < 3:
        kinds += [[a_value(rng, depth + 1)], {rng.choice(NAMES): a_value(rng, depth + 1) for _ in range(4)}]
    return rng.choice(kinds)


NAMES = (
    *("id", "secret", "run", "nodeRun", "number", "workflow", "identifier", "nodes", "connections", "config", "phase"),
    *("status", "created_at", "updated_at", "ended_at", "payload", "entities", "action", "settings", "config", "type"),
)
KINDS = ("credentials", "organization", "action", "blueprint", "integration", "entity", "run", "log", "workflow",
         "workflow_run", "node_run", "node_report", "idea", "")  # fmt: skip


def plant(rng: random.Random, path: Path) -> None:
    """Change some rows or some bytes of a state file."""
    if rng.random() < 0.3:
        content = bytearray(path.read_bytes())
        for _ in range(rng.choice([1, 3, 30, 300])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content[: rng.choice([len(content)] * 3 + [rng.randrange(len(content))])])
        return
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as editor,
        suppress(sqlite3.Error, ValueError, RecursionError),
    ):
        for _ in range(rng.randint(1, 3)):
            kind, key, document = rng.choice(editor.execute("SELECT * FROM part ORDER BY rowid").fetchall())
            changed = json.loads(document)
            if isinstance(changed, dict) and rng.random() < 0.7:
                changed[rng.choice([*changed, *NAMES])] = a_value(rng)
            else:
                changed = a_value(rng)
            texts = [json.dumps(changed), "[" * rng.choice([10, 900, 5_000]), b"\xff\x00", 7, json.dumps(changed)[:-1]]
            row = [rng.choice([kind, rng.choice(KINDS)]), rng.choice([key, json.dumps(a_value(rng)), "x"])]
            editor.execute(
                "INSERT OR REPLACE INTO part (kind, key, document) VALUES (?, ?, ?)",
                [*row, rng.choice(texts[:2] + texts)],
            )


def test_any_state_file_is_loaded_or_rejected(file: Path) -> None:
    good = file.read_bytes()
    loaded = refused = number = 0
    for number in rounds():
        for case in range(CASES):
            for suffix in ("-wal", "-shm", "-journal"):
                file.with_name(file.name + suffix).unlink(missing_ok=True)
            file.write_bytes(good)
            plant(chance("state", number, case), file)
            try:
                take_up(file)
                loaded += 1
            except StoreError:
                refused += 1
            except Exception as error:
                raise AssertionError(how_to_repeat("state", number, case)) from error
    report(f"state files: {loaded} loaded, {refused} refused, {number + 1} rounds")
    assert loaded > CASES // 20
    assert refused > CASES // 5
