"""A search finds a text in every column and between any bytes, like `in` in Python."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.captures.database.conditions import lower_ascii, text_condition
from port_hook_cli.captures.database.opening import portable

SIGNS = "abAB%_!\\0Éé\n '"


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE captures (target TEXT, headers TEXT, body BLOB)")
        yield connection


def is_found(
    database: sqlite3.Connection, text: str, *, body: bytes = b"", headers: str = "", target: str = ""
) -> bool:
    database.execute("DELETE FROM captures")
    database.execute("INSERT INTO captures VALUES (?, ?, ?)", (target, headers, body))
    where = text_condition(text)
    sql = portable(f"SELECT count(*) FROM captures WHERE {where.sql}")  # noqa: S608 - the condition under test
    return bool(database.execute(sql, where.values).fetchone()[0])


@given(text=st.text(SIGNS, min_size=1, max_size=4), body=st.text(SIGNS + "\0", max_size=12))
def test_text_search_in_a_body_matches_python(database: sqlite3.Connection, text: str, body: str) -> None:
    expected = lower_ascii(text) in lower_ascii(body)
    assert is_found(database, text, body=body.encode()) is expected


def test_text_is_found_between_any_bytes(database: sqlite3.Connection) -> None:
    for around in [b"\xff\xe4", "é".encode(), b"\0\0a\0"]:
        assert is_found(database, "order 7%", body=around + b"ORDER 7%" + around)
        assert not is_found(database, "order 7%", body=around + b"ORDER 77" + around)


def test_long_text_is_found(database: sqlite3.Connection) -> None:
    for text in ["x" * 999, "%" * 60_000]:
        assert is_found(database, text, body=b"<" + text.encode() + b">")
        assert not is_found(database, text, body=text[1:].encode())


def test_text_is_found_in_headers_and_target(database: sqlite3.Connection) -> None:
    assert is_found(database, "x-Trace_1", headers='[["X-Trace_1","a"]]')
    assert is_found(database, "/hook", target="/Hook?a=1")
    assert not is_found(database, "x-trace_1", headers='[["X-TraceA1","a"]]')
