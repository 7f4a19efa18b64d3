"""The listed form of saved captures."""

from __future__ import annotations

from port_hook_cli.captures.database.listing import LISTED_COLUMNS, read_listed
from port_hook_cli.captures.database.rows import CAPTURE_COLUMNS, capture_row
from port_hook_cli.captures.listed import ListedCapture
from port_hook_cli.invocations.models import Capture

_PLACES = [CAPTURE_COLUMNS.index(name) for name in LISTED_COLUMNS]


def listed(*captures: Capture) -> list[ListedCapture]:
    """Return captures in the form that a list reads from their rows."""
    rows = (capture_row(capture, keep_secrets=False) for capture in captures)
    return [read_listed([*(row[place] for place in _PLACES), None]) for row in rows]
