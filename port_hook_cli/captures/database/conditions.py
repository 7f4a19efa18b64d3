"""Conditions in SQL: a capture contains a text, or has an outcome. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

LARGEST_VALUE = 64 * 1024 * 1024
"""Bytes of the largest value that port-hook saves: a body (`--max-body`), or a part of a sandbox's state."""

_LARGEST_COLUMN = 2 * 1024 * 1024  # no listener writes more into any column but the body
_LARGE_COLUMNS = frozenset({"body"})


def bounded(column: str, most: int = 0) -> str:
    """Return SQL for the value of a column, or infinity if it has more than `most` bytes.

    The default is the most that port-hook writes there. SQLite finds the length without reading the value. Pass the
    statement to `opening.portable`.
    """
    most = most or (LARGEST_VALUE if column in _LARGE_COLUMNS else _LARGEST_COLUMN)
    return f"CASE WHEN octet_length({column}) > {most} THEN 9e999 ELSE {column} END"


def _status_in(column: str) -> str:
    # Nested, as SQLite promises no order for AND, and json_type() fails for text that is not JSON.
    found = f"CASE json_type({column}, '$.status') WHEN 'integer' THEN json_extract({column}, '$.status') END"
    return f"CASE WHEN json_valid({column}) THEN {found} END"


RESPONSE, HANDLER = _status_in("answer"), _status_in("delivery")
"""SQL for the status of the response and of the handler; NULL without one."""
FAULT = f"CASE WHEN delivery IS NOT NULL AND ({HANDLER}) IS NULL THEN 1 END"
"""SQL for 1 if a request was forwarded and the handler did not respond, else NULL."""


class Condition(NamedTuple):
    """A condition in SQL, and the values of its parameters."""

    sql: str
    values: tuple[Any, ...] = ()


def joined(conditions: Sequence[Condition]) -> Condition:
    """Return one condition that is true if all are."""
    if not conditions:
        return Condition("1")
    values = tuple(value for condition in conditions for value in condition.values)
    return Condition(" AND ".join(condition.sql for condition in conditions), values)


def text_condition(text: str) -> Condition:
    """Return the condition that a capture has `text` in its target, header fields or body."""
    wanted = _lower_ascii(text)
    columns = ("body", "headers", "target")
    found = " OR ".join(f"instr(lower(CAST(captures.{column} AS TEXT)), ?)" for column in columns)
    return Condition(f"({found})", (wanted,) * len(columns))


def _lower_ascii(text: str) -> str:
    """Return `text` as SQLite's lower() would: only ASCII letters change."""
    return "".join(character.lower() if character.isascii() else character for character in text)
