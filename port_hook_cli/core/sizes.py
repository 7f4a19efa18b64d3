"""Sizes as people type them: `1048576`, `512M`, `1GiB`."""

from __future__ import annotations

import re

from port_hook_cli.errors import UsageError

_SIZE = re.compile(r"(\d{1,15})\s*(?:([kmgt])(?:i?b)?|b)?", re.ASCII | re.IGNORECASE)
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}


def parse_size(text: str, *, option: str) -> int:
    """Return the bytes that `text` means; raises UsageError. All units are powers of 1024."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{option} {text!r} is not a size.", hint="Write it in bytes, or as 512MiB, 512M or 1GiB.")
    unit = found[2]
    return int(found[1]) * (1024 ** _POWERS[unit.lower()] if unit else 1)
