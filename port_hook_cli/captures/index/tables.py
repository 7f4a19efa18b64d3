"""The tables of the index over a capture store, and the SQL that fills them. Pure.

Any program may have written the store, so every column is converted and cut to a form that the index can use. Pass the
SQL to `opening.portable`.
"""

from __future__ import annotations

from port_hook_cli.captures.database.conditions import FAULT, HANDLER, RESPONSE, bounded, has_at_most
from port_hook_cli.captures.database.rows import CAPTURE_COLUMNS

SEARCHABLE = "searchable"
"""The name in SQL of the function `searchable`."""

# A row shows who invoked it, which is in the body. Larger bodies are not read for a row of a list.
_LARGEST_BODY_OF_A_ROW = 256 * 1024
# Target, header fields and body are indexed up to here. The rest of a longer one is searched in the store itself.
_INDEXED_BYTES = 1024 * 1024
_MAX_ID = 200
_MAX_NAME = 1_000
_LATEST_S = 2.5e11


def _start(column: str, length: int) -> str:
    return f"CASE WHEN {has_at_most(column)} THEN substr({column}, 1, {length}) END"


_OUTCOME = f"{RESPONSE} AS response, {HANDLER} AS handler, {FAULT} AS fault"
_MOMENT = f"""
    CASE WHEN typeof(received_at) IN ('real', 'integer') AND received_at BETWEEN 0 AND {_LATEST_S} THEN received_at
         ELSE 0.0 END
"""
_IS_LONG = f"""
    octet_length(body) > {_INDEXED_BYTES} OR octet_length(headers) > {_INDEXED_BYTES}
    OR octet_length(target) > {_INDEXED_BYTES}
"""

# The index is lost with the process, so nothing has to survive a crash.
SETTINGS = (
    "PRAGMA seen.journal_mode = OFF",
    "PRAGMA seen.synchronous = OFF",
    "PRAGMA seen.cache_size = -49152",
)
# Queries read the two indexes `facts` and `moments` instead of the larger rows: `facts` is in the order of the
# numbers, `moments` in the order of time.
TABLES = (
    """
    CREATE TABLE seen.rows (
        seq INTEGER PRIMARY KEY, received_at REAL, id TEXT, replay_of TEXT, run_id TEXT, action TEXT,
        verdict TEXT, is_verified INTEGER, response INTEGER, handler INTEGER, fault INTEGER, is_long INTEGER
    )
    """,
    "CREATE INDEX seen.open_rows ON rows (seq) WHERE response IS NULL AND fault IS NULL",
    "CREATE INDEX seen.long_rows ON rows (seq) WHERE is_long",
    "CREATE INDEX seen.facts ON rows (seq, received_at, verdict, action, response, handler, fault)",
    "CREATE INDEX seen.moments ON rows (received_at, is_verified, response, fault, verdict, action, handler)",
    "CREATE INDEX seen.ids ON rows (id)",
    "CREATE INDEX seen.runs ON rows (run_id) WHERE run_id IS NOT NULL",
    "CREATE INDEX seen.replays ON rows (replay_of) WHERE replay_of IS NOT NULL",
)
TEXTS = "CREATE VIRTUAL TABLE seen.texts USING fts5(text, content='', tokenize='trigram', detail='none', columnsize=0)"
DROP_TEXTS = "DROP TABLE seen.texts"
_FILL = f"""
    INSERT INTO seen.rows
    SELECT seq, {_MOMENT}, {_start("id", _MAX_ID)}, {_start("replay_of", _MAX_ID)}, {_start("run_id", _MAX_NAME)},
        {_start("action", _MAX_NAME)}, {_start("status", _MAX_ID)}, {bounded("is_verified")} IS NOT 0,
        {RESPONSE}, {HANDLER}, {FAULT}, {_IS_LONG}
    FROM main.captures
"""  # noqa: S608 - names of our own
FILL_NEW = f"{_FILL} WHERE seq > ? ORDER BY seq LIMIT ?"
FILL_OLD = f"{_FILL} WHERE seq < ? ORDER BY seq DESC LIMIT ?"
FILL_TEXTS = f"""
    INSERT INTO seen.texts (rowid, text)
    SELECT seq, {SEARCHABLE}(
        CAST({_start("target", _INDEXED_BYTES)} AS BLOB), CAST({_start("headers", _INDEXED_BYTES)} AS BLOB),
        CAST({_start("body", _INDEXED_BYTES)} AS BLOB)
    )
    FROM main.captures WHERE seq BETWEEN ? AND ?
"""  # noqa: S608
REFRESH = f"""
    UPDATE seen.rows SET response = found.response, handler = found.handler, fault = found.fault
    FROM (
        SELECT seq, {_OUTCOME} FROM main.captures
        WHERE seq IN (SELECT seq FROM seen.rows INDEXED BY open_rows
                      WHERE response IS NULL AND fault IS NULL AND seq > ?)
          AND (typeof(response) <> 'null' OR typeof(delivery) <> 'null')
    ) AS found
    WHERE rows.seq = found.seq RETURNING rows.seq
"""  # noqa: S608
FORGET_DROPPED = "DELETE FROM seen.rows WHERE seq NOT IN (SELECT seq FROM main.captures)"
COUNT_BETWEEN = "SELECT count(*) FROM seen.rows WHERE seq BETWEEN ? AND ?"


def _column_of_a_row(name: str) -> str:
    if name == "body":
        return f"CASE WHEN octet_length(body) <= {_LARGEST_BODY_OF_A_ROW} THEN body ELSE x'' END"
    if name in {"delivery_body", "response_body"}:
        return f"CASE WHEN typeof({name}) = 'null' THEN NULL ELSE x'' END"
    return bounded(name)


ROW_COLUMNS = ", ".join(map(_column_of_a_row, CAPTURE_COLUMNS))
SIZE = "CASE WHEN typeof(body_size) = 'integer' THEN body_size ELSE octet_length(body) END"
WHOLE_COLUMNS = ", ".join(map(bounded, CAPTURE_COLUMNS))


def searchable(*parts: bytes | None) -> str:
    """Return the text of a capture for the full-text part, which would end at a NUL."""
    return "\n".join((part or b"").decode("utf-8", "replace") for part in parts).replace("\0", " ")


def decoded(value: bytes) -> str | bytes:
    """Return a text of the store, as bytes if it is not UTF-8: then the row that has it counts as damaged."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value
