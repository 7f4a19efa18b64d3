"""The conversion of SQLite's errors to errors for the user."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from port_hook_cli.captures.database.opening import StoreLocked, store_problem

PATH = Path("/somewhere/captures.db")


def an_error(code: int, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    error = kind("SQLite's words")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        (
            sqlite3.SQLITE_FULL,
            f"No space is left for {PATH}.",
            "Free some space, or pass another store with --store.",
        ),
        (
            sqlite3.SQLITE_IOERR_SHORT_READ,
            f"{PATH} could not be read or written: SQLite's words.",
            "Check whether the disk is full or missing, or pass another store with --store.",
        ),
        (
            sqlite3.SQLITE_READONLY_DBMOVED,
            f"{PATH} is read-only.",
            "Make it and its directory writable, or pass another store with --store.",
        ),
        (
            sqlite3.SQLITE_CANTOPEN_ISDIR,
            f"{PATH} could not be opened.",
            "Check the permissions of the file and its directory, or pass another store with --store.",
        ),
        (
            sqlite3.SQLITE_BUSY_SNAPSHOT,
            f"Another program locked {PATH} for too long.",
            "Close the program that uses it (a database browser?), or pass another store with --store.",
        ),
        (
            sqlite3.SQLITE_CORRUPT_INDEX,
            f"{PATH} is damaged: SQLite's words.",
            "Move it to another directory. port-hook then creates a new store.",
        ),
        (
            sqlite3.SQLITE_NOTADB,
            f"{PATH} is not a capture store.",
            "Pass the right file with --store, or move this file to another directory.",
        ),
        (
            sqlite3.SQLITE_ERROR,
            f"{PATH} could not be read or written: SQLite's words.",
            "Move it to another directory, or pass another store with --store.",
        ),
    ],
)
def test_sqlite_error_has_a_message_and_a_hint(code: int, message: str, hint: str) -> None:
    problem = store_problem(an_error(code), PATH)
    assert (problem.message, problem.hint) == (message, hint)
    assert isinstance(problem, StoreLocked) is (code == sqlite3.SQLITE_BUSY_SNAPSHOT)


def test_sqlite_module_error_is_a_store_problem() -> None:
    problem = store_problem(sqlite3.ProgrammingError("closed"), PATH)
    assert problem.message == f"{PATH} could not be read or written: closed."


def test_interrupted_statement_raises_keyboard_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt):
        store_problem(an_error(sqlite3.SQLITE_INTERRUPT), PATH)
