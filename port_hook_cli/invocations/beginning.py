"""Read the beginning of a large body: the user and the action, from the values that are complete."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Kind, Payload
from port_hook_cli.invocations.payload import read_payload

BEGINNING_BYTES = 16 * 1024
"""The number of bytes to read from a large body. Port sends the trigger and the context before the inputs."""

# The nesting level to which an incomplete object is read, for `payload.properties`.
_MAX_DEPTH = 3
_SPACE = re.compile(r"[ \t\r\n]*")
_scan = json.JSONDecoder().raw_decode


def read_beginning(beginning: bytes, headers: Headers, *, run_id: str | None, action: str | None) -> Payload:
    """Return the payload from the first bytes of a JSON object. `run_id` and `action` come from the whole body."""
    text = beginning[:BEGINNING_BYTES].decode("utf-8", "ignore").lstrip()
    payload = read_payload(_complete(text), headers)
    run_id, kind = run_id or payload.run_id, payload.kind
    if kind is Kind.UNKNOWN and run_id is not None:
        kind = Kind.WORKFLOW_NODE if run_id.startswith("wfnr_") else Kind.ACTION_RUN
    return replace(payload, kind=kind, run_id=run_id, document=None, problem=None).called(action)


def _complete(text: str) -> bytes:
    """Return the complete members as JSON. Values count as missing if they are nested too deeply."""
    try:
        return json.dumps(_members(text, 0, _MAX_DEPTH)).encode()
    except RecursionError:
        return b"{}"


def _members(text: str, at: int, depth: int) -> dict[str, Any]:
    """Return the complete members of the object that begins at `at`, and of the object in which the text ends."""
    found: dict[str, Any] = {}
    if text[at : at + 1] != "{":
        return found
    try:
        while text[at] in "{,":
            key, at = _scan(text, _past_space(text, at + 1))
            start = _past_space(text, _past_space(text, at) + 1)
            try:
                value, at = _scan(text, start)
            except (ValueError, RecursionError):
                if depth and text[start : start + 1] == "{":
                    found[key] = _members(text, start, depth - 1)
                return found
            at = _past_space(text, at)
            if text[at : at + 1] or not isinstance(value, int | float):  # a number at the end may be incomplete
                found[key] = value
    except (ValueError, IndexError, TypeError):
        pass
    return found


def _past_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
