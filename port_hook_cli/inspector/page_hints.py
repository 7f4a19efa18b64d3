"""Adapts hints to the page: names of the page's fields replace command-line options. This module is pure."""

from __future__ import annotations

import re

from port_hook_cli.actions.inputs import InvalidInputs
from port_hook_cli.errors import PortHookError

_FIELDS = {
    "--to": '"To"',
    "--status": "the status",
    "--summary": "the summary",
    "--log": "the message",
    "--link": "the link",
    "raise --timeout": "use `port-hook check --timeout`",
}
# Commands in backticks don't change.
_command_or_option = r"`[^`]*`|(?:raise )?--[a-z][a-z-]*"


def hint_of(error: PortHookError) -> str:
    """Return the hint about an error, adapted to the page."""
    return "Correct the inputs." if isinstance(error, InvalidInputs) else page_hint(error.hint)


def page_hint(hint: str) -> str:
    """Return a hint with the page's field names instead of command-line options."""
    return re.sub(_command_or_option, lambda found: _FIELDS.get(found[0], found[0]), hint)
