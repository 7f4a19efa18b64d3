"""What was changed in a body after it was signed, from the earlier request with the same signature. This is pure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from port_hook_cli.invocations.models import Verdict
from port_hook_cli.invocations.payload import find_changes
from port_hook_cli.invocations.view import value_text
from port_hook_cli.signatures.causes import BODY_CHANGED
from port_hook_cli.text.safe import brief, shorten

_ID, _PATH, _VALUE = 8, 100, 48


def with_changed_value(verdict: Verdict, earlier_id: str, earlier: bytes, body: bytes) -> Verdict:
    """Return the verdict whose cause BODY_CHANGED shows the earlier request and the first value that differs."""
    if BODY_CHANGED not in verdict.causes:
        return verdict
    changes = find_changes(_document(earlier), _document(body))
    what = "was different"
    if changes and changes[0].path != ".":
        path, before, after = changes[0].path, changes[0].before, changes[0].after
        more = f" (and {len(changes) - 1} more differences)" if len(changes) > 1 else ""
        what = f"had {brief(path, _PATH)} {_text(before)}, not {_text(after)}{more}"
    words = f"This signature belongs to {brief(earlier_id, 20)[:_ID]}, whose body {what}."
    found = (cause._replace(explanation=words) if cause == BODY_CHANGED else cause for cause in verdict.causes)
    return replace(verdict, causes=tuple(found))


def _text(value: Any) -> str:
    return shorten(value_text(value), _VALUE)


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
