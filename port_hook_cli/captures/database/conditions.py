"""Parts of SQL statements: values of limited size, outcomes, and conditions such as a text match.

This module is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from port_hook_cli.invocations.models import FAILED_FROM
from port_hook_cli.invocations.probes import PROBE_AGENT

LARGEST_VALUE = 64 * 1024 * 1024
"""The maximum size of a value that port-hook saves, in bytes: a body (`--max-body`), or a part of a sandbox's state."""

OPEN_FOR_S = 60
"""The number of seconds in which a request without an outcome counts as still being in the handler."""

_LARGEST_COLUMN = 2 * 1024 * 1024  # listeners write less than this into every column except bodies


def bounded(column: str, most: int = 0) -> str:
    """Return SQL for the value of a column, or for infinity if the value is longer than `most` bytes.

    By default, `most` is the maximum that port-hook writes into the column. SQLite finds the length without reading the
    value. Pass the resulting statement to `opening.portable`.
    """
    return f"CASE WHEN octet_length({column}) > {most or largest(column)} THEN 9e999 ELSE {column} END"


def has_at_most(column: str, most: int = 0) -> str:
    """Return the SQL condition that a column's value has at most `most` bytes. The parameters are as for `bounded`."""
    return f"octet_length({column}) <= {most or largest(column)}"


def largest(column: str) -> int:
    """Return the maximum number of bytes that port-hook writes into a column of the captures table."""
    return LARGEST_VALUE if column.removeprefix("captures.") == "body" else _LARGEST_COLUMN


def _status_in(column: str) -> str:
    # The conditions are nested because SQLite may evaluate the sides of an AND in any order, and json_type() fails for
    # text that is not JSON.
    found = f"CASE json_type({column}, '$.status') WHEN 'integer' THEN json_extract({column}, '$.status') END"
    return f"CASE WHEN {has_at_most(column)} THEN CASE WHEN json_valid({column}) THEN {found} END END"


RESPONSE, HANDLER = _status_in("response"), _status_in("delivery")
"""SQL for the HTTP status of the response and of the handler, or NULL without a status."""
# This uses typeof() because "delivery IS NOT NULL" would read the value.
FAULT = f"CASE WHEN typeof(delivery) <> 'null' AND ({HANDLER}) IS NULL THEN 1 END"
"""SQL for 1 if a request was forwarded but the handler did not respond, otherwise NULL."""
_LATENCY = "json_extract(delivery, '$.latency_ms')"
LATENCY = f"""
    CASE WHEN {has_at_most("delivery")} THEN CASE WHEN json_valid(delivery) THEN
        CASE WHEN json_type(delivery, '$.latency_ms') IN ('integer', 'real') THEN {_LATENCY} END END END
"""
"""SQL for the milliseconds until the handler responded or failed, or NULL if nothing was forwarded."""

# The text is searched first, because few captures contain it. The conditions are the same as in `probes.probed_check`.
_IS_PROBE = f"""
    CASE WHEN {has_at_most("headers")} THEN
        CASE WHEN instr(CAST(headers AS TEXT), '"{PROBE_AGENT}') > 0 AND json_valid(headers) THEN EXISTS (
            SELECT 1 FROM json_each(headers) AS field
            WHERE CASE WHEN field.type = 'array' THEN CASE WHEN json_type(field.value, '$[1]') = 'text' THEN
                lower(json_extract(field.value, '$[0]')) = 'user-agent'
                AND json_extract(field.value, '$[1]') GLOB '{PROBE_AGENT}[a-z]*'
                AND NOT substr(json_extract(field.value, '$[1]'), {len(PROBE_AGENT) + 1}) GLOB '*[^a-z-]*'
            END END
        ) END
    END
"""  # noqa: S608 - our own names
ARRIVED = f"replay_of IS NULL AND coalesce(({_IS_PROBE}), 0) = 0"
"""SQL for whether a capture arrived from outside: it is neither a replay nor a request of `check`."""
DROPPED = f"""
    CASE WHEN {has_at_most("simulated")} THEN
        CASE WHEN json_valid(simulated) THEN json_extract(simulated, '$.dropped') IS 1 END
    END
"""
"""SQL for whether `listen --respond drop` closed the connection of a request, or NULL without a simulation."""


_IS_OLD = f"received_at < CAST(strftime('%s', 'now') AS INTEGER) - {OPEN_FOR_S}"
_HAS_NO_OUTCOME = f"({RESPONSE}) IS NULL AND ({HANDLER}) IS NULL AND ({DROPPED}) IS NOT 1 AND {_IS_OLD}"
FAILED_IN_HANDLER = f"(({FAULT}) IS 1 OR coalesce(({HANDLER}), 0) >= {FAILED_FROM} OR ({_HAS_NO_OUTCOME}))"
"""SQL for whether the handler failed to process a capture, as `Capture.handler_failed` defines it.

A request without an outcome does not count as failed in its first minute: the handler may still be working on it, and
would do the work twice.
"""

FAILED = f"({FAILED_IN_HANDLER} OR coalesce(({RESPONSE}), 0) >= {FAILED_FROM} OR ({DROPPED}) IS 1)"
"""SQL for whether the handler failed to process a capture, or its sender got a 4xx, a 5xx or no response."""


TARGET_OF_THE_LAST_SESSION = f"SELECT {bounded('forward_to', 64 * 1024)} FROM main.last_session LIMIT 1"  # noqa: S608
"""SQL for the target of the store's last listener."""


Statement = tuple[str, Sequence[Any]]
"""SQL, and the values for its parameters."""


class Condition(NamedTuple):
    """A condition in SQL, and the values for its parameters."""

    sql: str
    values: tuple[Any, ...] = ()


def joined(conditions: Iterable[Condition]) -> Condition:
    """Return one condition that is true if all of the given conditions are true."""
    found = list(conditions)
    values = tuple(value for condition in found for value in condition.values)
    return Condition(" AND ".join(condition.sql for condition in found) or "1", values)


_LONGEST_PATTERN = 1_000  # SQLite rejects patterns of more than 50,000 bytes
_SEARCHED = ("captures.body", "captures.headers", "captures.target")


def text_condition(text: str) -> Condition:
    """Return the condition that a capture contains `text` in its target, headers or body."""
    wanted = lower_ascii(text)
    if not text.isascii() or "\0" in text or len(text) > _LONGEST_PATTERN:
        found = " OR ".join(f"CASE WHEN {has_at_most(column)} THEN {_contains(column)} END" for column in _SEARCHED)
        return Condition(f"({found})", (wanted,) * len(_SEARCHED))
    # LIKE takes half as long as lower() and instr(), but it stops at a NUL, like printf(). Only a body can contain a
    # NUL. The expressions are nested because SQLite would evaluate both sides of an AND.
    has_nul = "length(CAST(printf('%s', captures.body) AS BLOB)) < octet_length(captures.body)"
    body, *others = _SEARCHED
    in_body = f"{_is_like(body)} OR CASE WHEN {has_nul} THEN {_contains(body)} END"
    in_body = f"CASE WHEN {has_at_most(body)} THEN {in_body} END"
    in_others = [f"CASE WHEN {has_at_most(column)} THEN {_is_like(column)} END" for column in others]
    pattern = f"%{_escaped(wanted)}%"
    return Condition(f"({' OR '.join([in_body, *in_others])})", (pattern, wanted, *(pattern,) * len(others)))


def _contains(column: str) -> str:
    return f"instr(lower(CAST({column} AS TEXT)), ?)"


def _is_like(column: str) -> str:
    return f"CAST({column} AS TEXT) LIKE ? ESCAPE '!'"


def _escaped(text: str) -> str:
    """Escape text for a LIKE pattern, with `!` as the escape character."""
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def lower_ascii(text: str) -> str:
    """Return `text` in lowercase like SQLite's lower(): only ASCII letters change."""
    return "".join(character.lower() if character.isascii() else character for character in text)
