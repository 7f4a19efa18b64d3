"""The signature header fields by name, and the masking of fields that contain credentials."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from port_hook_cli.text.secret import MASK

if TYPE_CHECKING:
    from port_hook_cli.invocations.models import Headers

SIGNATURE_HEADER = "x-port-signature"
TIMESTAMP_HEADER = "x-port-timestamp"
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key"})


def mask_headers(headers: Headers) -> Headers:
    """Return `headers` with the values of credentials replaced by `***`. Names and order do not change."""
    masked = ((name, MASK if name.lower() in SECRET_HEADERS else value) for name, value in headers)
    return replace(headers, items=tuple(masked))
