"""The filters of the page in SQL: the conditions of a query on the columns of a store.

This module is pure.

Any program may have written the store, so conditions compare only values of a size that port-hook writes.
Pass the SQL to `opening.portable`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from port_hook_cli.captures.database.conditions import (
    FAILED_IN_HANDLER,
    FAULT,
    HANDLER,
    LATENCY,
    RESPONSE,
    Condition,
    bounded,
    has_at_most,
    joined,
    text_condition,
)
from port_hook_cli.captures.database.rows import CAPTURE_COLUMNS, text_column
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import FAILED_FROM, Status
from port_hook_cli.invocations.payload import read_payload

NO_RESPONSE = "none"
HANDLER_FAILED = "failed"
HANDLER_SILENT = "no-response"
STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx")

AFTER_ANY = "\U0010ffff"
"""A character that marks the end of a range: all texts with a prefix are below the prefix with this character."""


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
    def reads_bodies(self) -> bool:
        """Whether the bodies of captures decide."""
        return bool(self.text) or any(getattr(self, name) is not None for name in PAYLOAD_FACTS)

    @property
    def is_lasting(self) -> bool:
        """Whether a capture with an outcome matches forever or never.

        Without an outcome, a capture counts as failed after a minute, and a capture can be marked as a replay later.
        """
        return self.handler != HANDLER_FAILED and self.id_prefix is None


class FoundCapture(NamedTuple):
    """A capture that matches a query: its number, its time in seconds since the epoch, and how it ended.

    `is_failed` means that the verification failed, the handler did not respond, or the sender got a 4xx or 5xx.
    `is_rejected` means that the verification failed.
    """

    seq: int
    received_at: float
    is_failed: int
    is_rejected: int


def condition_of(query: CaptureQuery) -> Condition:
    """Return the condition that a capture matches a query. The slowest parts come last."""
    return joined(_conditions(query))


def _conditions(query: CaptureQuery) -> Iterator[Condition]:
    yield from _column_conditions(query)
    if query.response is not None:
        yield _status_condition(RESPONSE, query.response)
    if query.handler is not None:
        yield _handler_condition(query.handler)
    if query.text:
        yield text_condition(query.text)
    for name in PAYLOAD_FACTS:
        value = text_column(getattr(query, name))
        if value is not None:
            yield Condition(f"{PAYLOAD_FACT}('{name}', {_READ_PAYLOAD}) = ?", (value,))


def _column_conditions(query: CaptureQuery) -> Iterator[Condition]:
    if query.verdicts:
        marks = ", ".join("?" * len(query.verdicts))
        yield Condition(f"{bounded('status')} IN ({marks})", tuple(status.value for status in query.verdicts))
    for sql, value in (
        (f"{bounded('action')} = ?", text_column(query.action)),
        (f"{bounded('run_id')} = ?", text_column(query.run_id)),
        (f"{_MOMENT} >= ?", query.since_s),
        (f"{_MOMENT} < ?", query.until_s),
        (f"{LATENCY} > ?", query.slower_ms),
    ):
        if value is not None:
            yield Condition(sql, (value,))
    if query.id_prefix is not None:
        first, last = (text_column(text) for text in (query.id_prefix, query.id_prefix + AFTER_ANY))
        capture_id, original = bounded("id"), bounded("replay_of")
        yield Condition(f"({capture_id} >= ? AND {capture_id} < ? OR {original} = ?)", (first, last, first))


def _handler_condition(handler: str) -> Condition:
    if handler == HANDLER_FAILED:
        return Condition(FAILED_IN_HANDLER)
    if handler == HANDLER_SILENT:
        return Condition(f"({FAULT}) IS NOT NULL")
    if handler == NO_RESPONSE:
        return Condition(f"({HANDLER}) IS NULL AND ({FAULT}) IS NULL")
    return _status_condition(HANDLER, handler)


def _status_condition(column: str, status: str) -> Condition:
    if status == NO_RESPONSE:
        return Condition(f"({column}) IS NULL")
    first, last = (int(status.replace("x", digit)) for digit in "09")
    return Condition(f"({column}) BETWEEN ? AND ?", (first, last))


PAYLOAD_FACTS = ("user", "entity", "workflow", "node")
"""The fields of `Payload` that a query can compare."""

PAYLOAD_FACT = "payload_fact"
"""The name of the function `payload_fact` in SQL."""

LARGEST_BODY_OF_A_ROW = 256 * 1024
"""The size up to which a row's body is read in full. A row shows the user, who is in the body."""

# Filters read payloads only up to this size.
_LARGEST_FILTERED_BODY = 1024 * 1024
_LATEST_S = 2.5e11

_MOMENT = f"""
    CASE WHEN typeof(received_at) IN ('real', 'integer') AND received_at BETWEEN 0 AND {_LATEST_S} THEN received_at
         ELSE 0.0 END
"""
_IS_REJECTED = f"({bounded('is_verified')}) IS 0"
_IS_FAILED = f"{_IS_REJECTED} OR coalesce(({RESPONSE}) >= {FAILED_FROM} OR ({FAULT}), 0)"
# The payload of a truncated body is not read.
_IS_READ = f"""
    typeof(captures.body_size) = 'null' AND {has_at_most("captures.headers")}
    AND {has_at_most("captures.body", _LARGEST_FILTERED_BODY)}
"""
_READ_PAYLOAD = ", ".join(
    f"CASE WHEN {_IS_READ} THEN CAST({name} AS BLOB) END" for name in ("captures.headers", "captures.body")
)

FOUND = f"json_group_array(json_array(seq, {_MOMENT}, {_IS_FAILED}, {_IS_REJECTED}))"
"""SQL for a list of `FoundCapture` as JSON.

One JSON value avoids a wait for the busy event loop at each row.
"""


def _column_of_a_row(name: str) -> str:
    if name == "body":
        return f"CASE WHEN octet_length(body) <= {LARGEST_BODY_OF_A_ROW} THEN body ELSE x'' END"
    if name in {"delivery_body", "response_body"}:
        return f"CASE WHEN typeof({name}) = 'null' THEN NULL ELSE x'' END"
    return bounded(name)


ROW_COLUMNS = ", ".join(map(_column_of_a_row, CAPTURE_COLUMNS))
BYTES = "coalesce(octet_length(body) + octet_length(headers), 0)"
SIZE = "CASE WHEN typeof(body_size) = 'integer' THEN body_size ELSE octet_length(body) END"


def payload_fact(name: str, headers: bytes | None, body: bytes | None) -> str | None:
    """Return a fact of a payload, or None if the payload cannot be read or SQLite cannot store the fact as text."""
    if headers is None or body is None:
        return None
    try:
        payload = read_payload(body, Headers(tuple((str(name), str(value)) for name, value in json.loads(headers))))
    except (ValueError, TypeError, RecursionError):  # any program may have written the headers
        return None
    value: str | None = getattr(payload, name)
    return value if isinstance(text_column(value), str) else None


def decoded(value: bytes) -> str | bytes:
    """Return text from the store, or bytes if the text is not UTF-8. The row then counts as damaged."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value
