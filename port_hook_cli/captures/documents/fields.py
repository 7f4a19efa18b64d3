"""The fields of an untrusted JSON document: a value of the expected type, or an error that says what is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from port_hook_cli.invocations.models import LATEST_TIMESTAMP_MS, MessageOrigin, Simulated

Fields = Mapping[str, Any]

_MAX_OFFSET = 2**63 - 1
_MAX_PARTITION = 2**31 - 1
_HTTP_STATUSES = range(100, 1000)


class NotACapture(ValueError):
    """The document is not a capture, or a damaged one; the message says what is wrong."""


def section(document: Fields, name: str) -> Fields | None:
    """Return the object under `name`, or None if it is missing; raises NotACapture."""
    value = document.get(name)
    if value is not None and not isinstance(value, dict):
        raise NotACapture(f'its "{name}" is not an object')
    return value


def maybe_text(fields: Fields, name: str) -> str | None:
    """Return the string under `name`, or None if it is missing; raises NotACapture."""
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise NotACapture(f'its "{name}" is not a string')
    return value


def text(fields: Fields, name: str, default: str | None = None) -> str:
    """Return the string under `name`, or `default`; raises NotACapture if it is missing and has no default."""
    value = maybe_text(fields, name)
    if value is None:
        value = default
    if value is None:
        raise NotACapture(f'it has no "{name}"')
    return value


def maybe_number(fields: Fields, name: str) -> float | None:
    """Return the finite number under `name`, or None if it is missing; raises NotACapture."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise NotACapture(f'its "{name}" is not a number')
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise NotACapture(f'its "{name}" is not a finite number')
    return number


def maybe_status(fields: Fields) -> int | None:
    """Return the HTTP status under `status`, or None if it is missing; raises NotACapture."""
    value = fields.get("status")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value not in _HTTP_STATUSES):
        raise NotACapture('its "status" is not an HTTP status')
    return value


def read_origin(topic: Any, partition: Any, offset: Any, timestamp_ms: Any) -> MessageOrigin:
    """Return the place of a message in Kafka; raises NotACapture if the values are not one."""
    if not (
        isinstance(topic, str)
        and _is_whole(partition, _MAX_PARTITION)
        and _is_whole(offset, _MAX_OFFSET)
        and (timestamp_ms is None or _is_whole(timestamp_ms, LATEST_TIMESTAMP_MS))
    ):
        raise NotACapture('its "kafka" is not the place of a message')
    return MessageOrigin(topic, partition, offset, timestamp_ms)


def _is_whole(value: Any, largest: int) -> bool:
    return type(value) is int and 0 <= value <= largest


def listed(fields: Fields, name: str) -> list[Any]:
    """Return the list under `name`, empty if it is missing; raises NotACapture."""
    value = fields.get(name, [])
    if not isinstance(value, list):
        raise NotACapture(f'its "{name}" is not a list')
    return value


def simulated_fields(simulated: Simulated) -> dict[str, Any]:
    """Return what was simulated for a request, as the store and capture files keep it."""
    return {"failure": simulated.failure, "dropped": simulated.dropped, "delay_s": simulated.delay_s}


def read_simulated(fields: Fields | None) -> Simulated | None:
    """Return what was simulated for a request, None for nothing; raises NotACapture."""
    if fields is None:
        return None
    dropped = fields.get("dropped", False)
    if not isinstance(dropped, bool):
        raise NotACapture('its "dropped" is neither true nor false')
    return Simulated(
        failure=maybe_text(fields, "failure"), dropped=dropped, delay_s=maybe_number(fields, "delay_s") or 0.0
    )
