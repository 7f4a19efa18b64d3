"""The conversion of SQLite's errors to errors for the user."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from port_hook_cli.captures.database.opening import StoreLocked, store_problem

PATH = Path("/somewhere/captures.db")


def an_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("SQLite's words")
    error.sqlite_errorcode = code
    return error


def test_sqlite_error_has_a_message_and_a_hint() -> None:
    unknown = f"{PATH} could not be read or written: SQLite's words."
    another, check = "or pass another store with --store.", "Check the permissions of the file and its directory"
    for code, message, hint in (
        (sqlite3.SQLITE_FULL, f"No space is left for {PATH}.", f"Free some space, {another}"),
        (sqlite3.SQLITE_IOERR_SHORT_READ, unknown, f"Check whether the disk is full or missing, {another}"),
        (sqlite3.SQLITE_READONLY_DBMOVED, f"{PATH} is read-only.", f"Make it and its directory writable, {another}"),
        (sqlite3.SQLITE_CANTOPEN_ISDIR, f"{PATH} could not be opened.", f"{check}, {another}"),
        (
            sqlite3.SQLITE_BUSY_SNAPSHOT,
            f"Another program locked {PATH} for too long.",
            f"Close the program that uses it (a database browser?), {another}",
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
        (sqlite3.SQLITE_ERROR, unknown, f"Move it to another directory, {another}"),
    ):
        problem = store_problem(an_error(code), PATH)
        assert (problem.message, problem.hint) == (message, hint)
        assert isinstance(problem, StoreLocked) is (code == sqlite3.SQLITE_BUSY_SNAPSHOT)
    of_the_module = store_problem(sqlite3.ProgrammingError("closed"), PATH)
    assert of_the_module.message == f"{PATH} could not be read or written: closed."
    with pytest.raises(KeyboardInterrupt):
        store_problem(an_error(sqlite3.SQLITE_INTERRUPT), PATH)
