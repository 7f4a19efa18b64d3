"""Mask the header fields that contain credentials before they are stored."""

from __future__ import annotations

from dataclasses import replace

from port_hook_cli.invocations.models import Headers
from port_hook_cli.text.secret import MASK

SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key"})


def mask_headers(headers: Headers) -> Headers:
    """Return `headers` with the values of credentials replaced by `***`. Names and order do not change."""
    masked = ((name, MASK if name.lower() in SECRET_HEADERS else value) for name, value in headers)
    return replace(headers, items=tuple(masked))
