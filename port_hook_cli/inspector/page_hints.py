"""Adapts hints to the page, which has fields where commands have options. Pure."""

from __future__ import annotations

import re

_FIELDS = {
    "--to": '"To"',
    "--status": "the status",
    "--summary": "the summary",
    "--log": "the message",
    "--link": "the link",
    "raise --timeout": "use `port-hook check --timeout`",
}
# Commands in backticks don't change.
_command_or_option = re.compile(r"`[^`]*`|(?:raise )?--[a-z][a-z-]*")


def page_hint(hint: str) -> str:
    """Return a hint with the page's field names instead of command-line options."""
    return _command_or_option.sub(lambda found: _FIELDS.get(found[0], found[0]), hint)
