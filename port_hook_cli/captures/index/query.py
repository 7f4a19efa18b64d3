"""What captures to look for, and the SQL conditions that find them in the index. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from port_hook_cli.captures.database.conditions import Condition
from port_hook_cli.captures.database.rows import text_column
from port_hook_cli.invocations.models import Status

NO_RESPONSE = "none"
HANDLER_FAILED = "failed"
STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx")

AFTER_ANY = "\U0010ffff"
"""Appended to a prefix, it is the upper end of the range of texts with that prefix."""

TRIGRAM = 3
"""How many characters a text needs so that the full-text index helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureQuery:
    """A filter of captures; None and empty values match everything.

    `text` is searched in the target, the header fields and the body; ASCII letters match in either case.
    `response` and `handler` are one of STATUS_CLASSES or NO_RESPONSE, `handler` also HANDLER_FAILED. `since_s`
    (included) and `until_s` (excluded) are seconds since the epoch. `id_prefix` also matches the replays of the capture
    with that id.
    """

    text: str = ""
    action: str | None = None
    verdicts: tuple[Status, ...] = ()
    response: str | None = None
    handler: str | None = None
    run_id: str | None = None
    since_s: float | None = None
    until_s: float | None = None
    id_prefix: str | None = None


def index_conditions(query: CaptureQuery) -> list[Condition]:
    """Return the conditions of `query` on the columns of the index; all but that on the text."""
    return list(_conditions(query))


def match_expression(text: str) -> str | None:
    """Return the FTS5 expression for every capture that may have `text`; None for a text that is too short.

    The index has no positions, so it finds captures that have all trigrams of the text; `text_condition` decides.
    """
    trigrams = {text[start : start + TRIGRAM] for start in range(len(text) - TRIGRAM + 1)}
    quoted = ['"' + trigram.replace('"', '""') + '"' for trigram in sorted(trigrams) if "\0" not in trigram]
    return " AND ".join(quoted) or None


def _conditions(query: CaptureQuery) -> Iterator[Condition]:
    if query.verdicts:
        marks = ", ".join("?" * len(query.verdicts))
        yield Condition(f"rows.verdict IN ({marks})", tuple(status.value for status in query.verdicts))
    for sql, value in (
        ("rows.action = ?", text_column(query.action)),
        ("rows.run_id = ?", text_column(query.run_id)),
        ("rows.received_at >= ?", query.since_s),
        ("rows.received_at < ?", query.until_s),
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


def _handler_condition(handler: str) -> Condition:
    if handler == HANDLER_FAILED:
        return Condition("rows.fault IS NOT NULL")
    if handler == NO_RESPONSE:
        return Condition("rows.handler IS NULL AND rows.fault IS NULL")
    return _status_condition("rows.handler", handler)


def _status_condition(column: str, status: str) -> Condition:
    if status == NO_RESPONSE:
        return Condition(f"{column} IS NULL")
    first = int(status[0]) * 100
    return Condition(f"{column} BETWEEN ? AND ?", (first, first + 99))
