"""What a list shows of captures that are saved."""

from __future__ import annotations

from port_hook_cli.captures.database.listing import LISTED_COLUMNS, read_listed
from port_hook_cli.captures.database.rows import CAPTURE_COLUMNS, capture_row
from port_hook_cli.captures.listed import ListedCapture
from port_hook_cli.invocations.models import Capture

_PLACES = [CAPTURE_COLUMNS.index(name) for name in LISTED_COLUMNS]


def listed(*captures: Capture) -> list[ListedCapture]:
    """Return what a list reads from the rows of captures."""
    rows = (capture_row(capture, keep_secrets=False) for capture in captures)
    return [read_listed([*(row[place] for place in _PLACES), None]) for row in rows]
