"""The formats in which a signed request can be printed to paste it elsewhere, one row each.

To add a format, write a module with a function that takes a `SignedRequest`, and add its row here. The values and the
help of `sign --format` and `trigger --format` come from the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from port_hook_cli.invocations.snippets import SignedRequest, format_curl, format_httpie, format_python


@dataclass(frozen=True, slots=True)
class SnippetFormat:
    """A format. `trigger` offers only those that are a shell command (`is_command`)."""

    name: str
    write: Callable[[SignedRequest], str]
    is_command: bool = True


SNIPPET_FORMATS = (
    SnippetFormat("curl", format_curl),
    SnippetFormat("httpie", format_httpie),
    SnippetFormat("python", format_python, is_command=False),
)


def find_format(name: str) -> SnippetFormat:
    """Return the format with this name; raises KeyError if there is none."""
    return {row.name: row for row in SNIPPET_FORMATS}[name]
