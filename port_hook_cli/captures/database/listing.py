"""Read the rows of a list: only the columns that the list shows, and as little of their JSON as possible.

A list may contain all captures of a store, and reading all columns would take three times as long.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from port_hook_cli.captures.database.conditions import bounded
from port_hook_cli.captures.database.rows import maybe_text, parsed, reject_large
from port_hook_cli.captures.documents.capture_fields import (
    DELIVERY,
    NOT_WHOLE,
    RESPONSE,
    SIMULATED,
    NotACapture,
    Shape,
    read_bytes,
    read_headers,
    read_moment,
    read_status,
    read_text,
)
from port_hook_cli.captures.listed import ListedCapture
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Payload, Status
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.invocations.probes import PROBE_AGENT, is_probe

LISTED_COLUMNS = (
    "id",
    "received_at",
    "replay_of",
    "run_id",
    "action",
    "status",
    "body_size",
    "kafka",
    "simulated",
    "headers",
    "delivery",
    "response",
    "body",
)

# SQL for the name of a damaged body column. SQLite knows the type of a value without reading the value. A response
# without its own body has the delivery's body.
_DAMAGED_BODY = """
    CASE
        WHEN (delivery IS NOT NULL OR (response IS NOT NULL AND response_body IS NULL))
            AND typeof(delivery_body) <> 'blob' THEN 'delivery_body'
        WHEN response IS NOT NULL AND typeof(response_body) NOT IN ('null', 'blob') THEN 'response_body'
    END
"""
LISTED = ", ".join([*map(bounded, LISTED_COLUMNS), _DAMAGED_BODY])
"""The SQL columns that `read_listed` reads."""

_DELIVERY = Shape(Delivery, *DELIVERY.only("url", "status", "fault"))
_RESPONSE: Shape[dict[str, Any]] = Shape(dict, *RESPONSE.only("status"))
_NO_HEADERS = Headers()
_STATUSES = {str(status): status for status in Status}


def read_listed(row: Sequence[Any]) -> ListedCapture:
    """Return a listed capture from a row of the `LISTED` columns. Raises ValueError for a damaged row."""
    if math.inf in row:
        reject_large(dict(zip(LISTED_COLUMNS, row, strict=False)))
    try:
        return _read(row)
    except (ArithmeticError, RecursionError) as error:
        raise NotACapture(str(error) or type(error).__name__) from error


def _read(row: Sequence[Any]) -> ListedCapture:
    (
        capture_id,
        received_at,
        replay_of,
        run_id,
        action,
        status,
        body_size,
        kafka,
        simulated,
        headers,
        delivery,
        response,
        body,
        damaged_body,
    ) = row
    if damaged_body is not None:
        read_bytes(None, damaged_body)
    fields = _telling_headers(read_text(headers, "headers"))
    delivered = _DELIVERY.maybe(parsed(delivery, "delivery"), "delivery", headers=_NO_HEADERS)
    responded = None if response is None else _response_status(response)
    payload = (
        read_payload(read_bytes(body, "body"), fields)
        if body_size is None
        else Payload(run_id=maybe_text(run_id, "run_id"), problem=NOT_WHOLE)
    )
    return ListedCapture(
        read_text(capture_id, "id"),
        read_moment(received_at, "received_at_s"),
        maybe_text(replay_of, "replay_of"),
        _STATUSES.get(status) or read_status(status, "status"),
        kafka is not None,
        fields is not _NO_HEADERS and is_probe(fields),
        body_size is not None,
        payload.called(maybe_text(action, "action")),
        responded,
        None if delivered is None else delivered.outcome,
        SIMULATED.maybe(parsed(simulated, "simulated"), "simulated"),
    )


@lru_cache(maxsize=4)  # a listener often sends the same response, which can have up to 2 MiB
def _response_status(written: Any) -> int | None:
    """Return the HTTP status in the column of a response. Raises ValueError."""
    found = _RESPONSE.maybe(parsed(written, "response"), "response")
    return None if found is None else found["status"]


def _telling_headers(written: str) -> Headers:
    """Return the headers, or `_NO_HEADERS` if a list shows nothing from them. Raises ValueError."""
    found = parsed(written, "headers")
    is_telling = PROBE_AGENT in written or "run_id" in written.lower()
    return read_headers(found, "headers") if is_telling else _NO_HEADERS
