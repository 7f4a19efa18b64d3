"""The index over a capture store in SQL: conditions of queries, tables, and the statements that fill them.

This module is pure.

Any program may have written the store, so every column is converted and truncated to a form that the index can use.
Pass the SQL to `opening.portable`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from port_hook_cli.captures.database.conditions import (
    DROPPED,
    FAULT,
    HANDLER,
    LATENCY,
    RESPONSE,
    Condition,
    bounded,
    handler_failed,
    has_at_most,
)
from port_hook_cli.captures.database.rows import CAPTURE_COLUMNS, text_column
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Payload, Status
from port_hook_cli.invocations.payload import read_payload

NO_RESPONSE = "none"
HANDLER_FAILED = "failed"
HANDLER_SILENT = "no-response"
STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx")

AFTER_ANY = "\U0010ffff"
"""A character that marks the end of a range: all texts with a prefix are below the prefix with this character."""

TRIGRAM = 3
"""The minimum number of characters in a text for which the full-text index is useful."""


@frozen(kw_only=True)
class CaptureQuery:
    """A filter for captures. None and empty values match everything.

    `text` is searched in the target, the headers and the body. For ASCII letters, the search ignores case. `response`
    and `handler` are a status such as "502", one of STATUS_CLASSES, or NO_RESPONSE. `handler` can also be
    HANDLER_FAILED (`Capture.handler_failed`), or HANDLER_SILENT for a handler that did not respond. `slower_ms` matches
    handlers that took longer. `since_s` (inclusive) and `until_s` (exclusive) are seconds since the epoch. `id_prefix`
    also matches the replays of the capture with that ID. `user`, `entity`, `workflow` and `node` are payload facts
    (`PAYLOAD_FACTS`).
    """

    text: str = ""
    action: str | None = None
    verdicts: tuple[Status, ...] = ()
    response: str | None = None
    handler: str | None = None
    slower_ms: float | None = None
    run_id: str | None = None
    user: str | None = None
    entity: str | None = None
    workflow: str | None = None
    node: str | None = None
    since_s: float | None = None
    until_s: float | None = None
    id_prefix: str | None = None

    @property
    def has_payload_facts(self) -> bool:
        """Whether the query compares facts that only the body contains."""
        return any(getattr(self, name) is not None for name in PAYLOAD_FACTS)


def index_conditions(query: CaptureQuery) -> Iterator[Condition]:
    """Yield the conditions of `query` on the index's columns: all except the conditions on texts and payloads."""
    if query.verdicts:
        marks = ", ".join("?" * len(query.verdicts))
        yield Condition(f"rows.verdict IN ({marks})", tuple(status.value for status in query.verdicts))
    for sql, value in (
        ("rows.action = ?", text_column(query.action)),
        ("rows.run_id = ?", text_column(query.run_id)),
        ("rows.received_at >= ?", query.since_s),
        ("rows.received_at < ?", query.until_s),
        ("rows.latency > ?", query.slower_ms),
    ):
        if value is not None:
            yield Condition(sql, (value,))
    if query.response is not None:
        yield _status_condition("rows.response", query.response)
    if query.handler is not None:
        yield _handler_condition(query.handler)
    if query.id_prefix is not None:
        first, last = (text_column(text) for text in (query.id_prefix, query.id_prefix + AFTER_ANY))
        yield Condition("(rows.id >= ? AND rows.id < ? OR rows.replay_of = ?)", (first, last, first))


def payload_conditions(query: CaptureQuery, *, is_filled: bool) -> Iterator[Condition]:
    """Yield the conditions of `query` on payload facts. They use the index if `is_filled`, otherwise the bodies."""
    for name in PAYLOAD_FACTS:
        value = text_column(getattr(query, name))
        if value is not None:
            column = f"rows.{name}" if is_filled else f"{PAYLOAD_FACT}('{name}', {_READ_PAYLOAD})"
            yield Condition(f"{column} = ?", (value,))


def match_expression(text: str) -> str | None:
    """Return the FTS5 expression for captures that may contain `text`, or None if the text is too short.

    The index has no positions, so FTS5 finds the captures that have all trigrams of the text. `text_condition` decides.
    """
    trigrams = {text[start : start + TRIGRAM] for start in range(len(text) - TRIGRAM + 1)}
    quoted = ['"' + trigram.replace('"', '""') + '"' for trigram in sorted(trigrams) if "\0" not in trigram]
    return " AND ".join(quoted) or None


_HANDLER_FAILED = handler_failed(
    handler="rows.handler",
    fault="rows.fault",
    response="rows.response",
    dropped="rows.dropped",
    received_at="rows.received_at",
)


def _handler_condition(handler: str) -> Condition:
    if handler == HANDLER_FAILED:
        return Condition(_HANDLER_FAILED)
    if handler == HANDLER_SILENT:
        return Condition("rows.fault IS NOT NULL")
    if handler == NO_RESPONSE:
        return Condition("rows.handler IS NULL AND rows.fault IS NULL")
    return _status_condition("rows.handler", handler)


def _status_condition(column: str, status: str) -> Condition:
    if status == NO_RESPONSE:
        return Condition(f"{column} IS NULL")
    first, last = (int(status.replace("x", digit)) for digit in "09")
    return Condition(f"{column} BETWEEN ? AND ?", (first, last))


PAYLOAD_FACTS = ("user", "entity", "workflow", "node")
"""The fields of `Payload` that a query can compare."""

LONGEST_FACT = 1_000
"""The maximum number of characters in a fact. The index would store a longer fact twice, and no query compares it."""

PAYLOAD_FACT = "payload_fact"
"""The name of the function `payload_fact` in SQL."""

SEARCHABLE = "searchable"
"""The name of the function `searchable` in SQL."""

LARGEST_BODY_OF_A_ROW = 256 * 1024
"""A row shows who invoked it, which is in the body. If a body is larger than this, only its beginning is read."""

# Filters read payloads only up to this size.
_LARGEST_FILTERED_BODY = 1024 * 1024
# Targets, headers and bodies are indexed up to this size. The rest of a longer text is searched in the store itself.
_INDEXED_BYTES = 1024 * 1024
_MAX_ID = 200
_MAX_NAME = 1_000
_LATEST_S = 2.5e11


def _start(column: str, length: int) -> str:
    return f"CASE WHEN {has_at_most(column)} THEN substr({column}, 1, {length}) END"


_OUTCOME = f"{RESPONSE} AS response, {HANDLER} AS handler, {FAULT} AS fault, {LATENCY} AS latency"
# The payload of a truncated body is not read.
_IS_READ = f"""
    typeof(captures.body_size) = 'null' AND {has_at_most("captures.headers")}
    AND {has_at_most("captures.body", _LARGEST_FILTERED_BODY)}
"""
_READ_PAYLOAD = ", ".join(
    f"CASE WHEN {_IS_READ} THEN CAST({name} AS BLOB) END" for name in ("captures.headers", "captures.body")
)
_MOMENT = f"""
    CASE WHEN typeof(received_at) IN ('real', 'integer') AND received_at BETWEEN 0 AND {_LATEST_S} THEN received_at
         ELSE 0.0 END
"""
_IS_LONG = f"""
    octet_length(body) > {_INDEXED_BYTES} OR octet_length(headers) > {_INDEXED_BYTES}
    OR octet_length(target) > {_INDEXED_BYTES}
"""

# The index ends with the process, so nothing has to survive a crash.
SETTINGS = (
    "PRAGMA seen.journal_mode = OFF",
    "PRAGMA seen.synchronous = OFF",
    "PRAGMA seen.cache_size = -49152",
)
# Queries read the rows in the order of their numbers, or use the index `moments` in the order of time. The columns that
# filters compare come first, because SQLite reads past all earlier columns to find a column.
TABLES = (
    """
    CREATE TABLE seen.rows (
        seq INTEGER PRIMARY KEY, verdict TEXT, action TEXT, response INTEGER, handler INTEGER, fault INTEGER,
        latency REAL, received_at REAL, is_verified INTEGER, is_long INTEGER, dropped INTEGER, id TEXT, replay_of TEXT,
        run_id TEXT, user TEXT, entity TEXT, workflow TEXT, node TEXT
    )
    """,
    "CREATE INDEX seen.open_rows ON rows (seq) WHERE response IS NULL AND fault IS NULL",
    "CREATE INDEX seen.long_rows ON rows (seq) WHERE is_long",
    "CREATE INDEX seen.moments ON rows (received_at, is_verified, response, fault, verdict, action, handler, latency)",
    "CREATE INDEX seen.ids ON rows (id)",
    "CREATE INDEX seen.runs ON rows (run_id) WHERE run_id IS NOT NULL",
    "CREATE INDEX seen.replays ON rows (replay_of) WHERE replay_of IS NOT NULL",
    *(f"CREATE INDEX seen.rows_{name} ON rows ({name}) WHERE {name} IS NOT NULL" for name in PAYLOAD_FACTS),
)
TEXTS = "CREATE VIRTUAL TABLE seen.texts USING fts5(text, content='', tokenize='trigram', detail='none', columnsize=0)"
DROP_TEXTS = "DROP TABLE seen.texts"
_FILL = f"""
    INSERT INTO seen.rows
    SELECT seq, {_start("status", _MAX_ID)}, {_start("action", _MAX_NAME)}, {RESPONSE}, {HANDLER}, {FAULT},
        {LATENCY}, {_MOMENT}, {bounded("is_verified")} IS NOT 0, {_IS_LONG}, {DROPPED},
        {_start("id", _MAX_ID)}, {_start("replay_of", _MAX_ID)}, {_start("run_id", _MAX_NAME)}, NULL, NULL, NULL, NULL
    FROM main.captures
"""  # noqa: S608 - our own names
FILL_NEW = f"{_FILL} WHERE seq > ? ORDER BY seq LIMIT ?"
# The rows are inserted in ascending order. In descending order, SQLite would leave half of each page empty.
FILL_OLD = f"""
    {_FILL} WHERE seq IN (SELECT seq FROM main.captures WHERE seq < ? ORDER BY seq DESC LIMIT ?) ORDER BY seq
"""  # noqa: S608
FILL_TEXTS = f"""
    INSERT INTO seen.texts (rowid, text)
    SELECT seq, {SEARCHABLE}(
        CAST({_start("target", _INDEXED_BYTES)} AS BLOB), CAST({_start("headers", _INDEXED_BYTES)} AS BLOB),
        CAST({_start("body", _INDEXED_BYTES)} AS BLOB)
    )
    FROM main.captures WHERE seq BETWEEN ? AND ?
"""  # noqa: S608
# This reads a payload only once for all of its facts, as JSON. An UPDATE with FROM would read all rows for each part.
_ALL_FACTS = "all"
READ_FACTS = f"""
    SELECT {PAYLOAD_FACT}('{_ALL_FACTS}', {_READ_PAYLOAD}) AS facts, seq FROM main.captures AS captures
    WHERE seq BETWEEN ? AND ?
"""  # noqa: S608
_FROM_FACTS = ", ".join(f"{name} = json_extract(?1, '$[{at}]')" for at, name in enumerate(PAYLOAD_FACTS))
FILL_FACTS = f"UPDATE seen.rows SET {_FROM_FACTS} WHERE seq = ?2"  # noqa: S608
REFRESH = f"""
    UPDATE seen.rows
    SET response = found.response, handler = found.handler, fault = found.fault, latency = found.latency
    FROM (
        SELECT seq, {_OUTCOME} FROM main.captures
        WHERE seq IN (SELECT seq FROM seen.rows INDEXED BY open_rows
                      WHERE response IS NULL AND fault IS NULL AND seq > ?)
          AND (typeof(response) <> 'null' OR typeof(delivery) <> 'null')
    ) AS found
    WHERE rows.seq = found.seq RETURNING rows.seq
"""  # noqa: S608
# Numbers are reused after the latest captures are deleted. The latest row in the index then belongs to another capture.
IS_REUSED = f"""
    SELECT {_start("captures.id", _MAX_ID)} IS NOT rows.id FROM seen.rows AS rows
    CROSS JOIN main.captures AS captures ON captures.seq = rows.seq WHERE rows.seq = ?
"""  # noqa: S608
FORGET_DROPPED = "DELETE FROM seen.rows WHERE seq NOT IN (SELECT seq FROM main.captures)"
COUNT_BETWEEN = "SELECT count(*) FROM seen.rows WHERE seq BETWEEN ? AND ?"


def _column_of_a_row(name: str) -> str:
    if name == "body":
        return f"CASE WHEN octet_length(body) <= {LARGEST_BODY_OF_A_ROW} THEN body ELSE x'' END"
    if name in {"delivery_body", "response_body"}:
        return f"CASE WHEN typeof({name}) = 'null' THEN NULL ELSE x'' END"
    return bounded(name)


ROW_COLUMNS = ", ".join(map(_column_of_a_row, CAPTURE_COLUMNS))
SIZE = "CASE WHEN typeof(body_size) = 'integer' THEN body_size ELSE octet_length(body) END"
WHOLE_COLUMNS = ", ".join(map(bounded, CAPTURE_COLUMNS))


def searchable(*parts: bytes | None) -> str:
    """Return the text of a capture for the full-text part, without NULs, which would end the text."""
    return "\n".join((part or b"").decode("utf-8", "replace") for part in parts).replace("\0", " ")


def payload_fact(name: str, headers: bytes | None, body: bytes | None) -> str | None:
    """Return a fact of a payload, or all of its facts as JSON.

    A fact that is too long, or that SQLite cannot store as text, counts as missing.
    """
    if headers is None or body is None:
        return None
    try:
        payload = read_payload(body, Headers(tuple((str(name), str(value)) for name, value in json.loads(headers))))
    except (ValueError, TypeError, RecursionError):  # any program may have written the headers
        return None
    return json.dumps([_fact(payload, each) for each in PAYLOAD_FACTS]) if name == _ALL_FACTS else _fact(payload, name)


def _fact(payload: Payload, name: str) -> str | None:
    value: str | None = getattr(payload, name)
    if value is None or len(value) > LONGEST_FACT or "\0" in value:
        return None
    return value if isinstance(text_column(value), str) else None


def decoded(value: bytes) -> str | bytes:
    """Return text from the store, or bytes if the text is not UTF-8. The row then counts as damaged."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value
