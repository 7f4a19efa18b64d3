"""The capture as a portable JSON document: what `show --file` writes, and `replay` and `verify` take."""

from __future__ import annotations

from typing import Any

from port_hook_cli.core.models import Exchange

CAPTURE = "port-hook/capture/1"


class NotACapture(ValueError):  # noqa: N818 - says what the document is, as a verdict does
    """The document is no capture, or a damaged one; the message says in words what is wrong."""


def is_capture(document: Any) -> bool:
    """Whether a parsed JSON document claims to be a capture of any version."""
    raise NotImplementedError


def to_capture(exchange: Exchange) -> dict[str, Any]:
    """Return an exchange as a capture document."""
    raise NotImplementedError


def read_capture(document: Any) -> Exchange:
    """Return the exchange that a capture document holds; raises NotACapture."""
    raise NotImplementedError
