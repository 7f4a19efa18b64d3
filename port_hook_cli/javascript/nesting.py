"""How deep a JSON text nests: Python's own limit differs from version to version, and ours must not."""

from __future__ import annotations

import re

MOST_LEVELS = 900
"""Levels that a value may have. Python 3.11 follows about 990 of them, in each of several places."""

_token = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[{\]}]', re.DOTALL).finditer


def nests_too_deep(text: str) -> bool:
    """Whether a JSON text has more than MOST_LEVELS of nesting; linear, and quick where it has few brackets."""
    if text.count("[") + text.count("{") <= MOST_LEVELS:
        return False
    depth = 0
    for match in _token(text):
        character = match[0]
        if character in "[{":
            depth += 1
            if depth > MOST_LEVELS:
                return True
        elif character in "]}":
            depth -= 1
    return False
