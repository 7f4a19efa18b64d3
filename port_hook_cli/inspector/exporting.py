"""Exports captures in the formats of other tools, for the page. An export can sign its requests again."""

from __future__ import annotations

import asyncio
from typing import Any

from port_hook_cli.captures.exports.formats import Exported, find_export
from port_hook_cli.errors import StoreError
from port_hook_cli.inspector.reading import CaptureReader
from port_hook_cli.inspector.records import message
from port_hook_cli.inspector.sending import newly_signed
from port_hook_cli.inspector.setup import InspectorSetup
from port_hook_cli.invocations.models import Capture
from port_hook_cli.invocations.probes import original_of_probe
from port_hook_cli.invocations.snippets import REQUEST_FORMATS
from port_hook_cli.invocations.targets import target_url

_NEWLY_SIGNED = frozenset(REQUEST_FORMATS) - {"headers", "postman"}
"""The formats that contain a request to send. `headers` shows captured headers, and a Postman request signs itself."""


class CaptureExports:
    """Exports captures in the formats of other tools."""

    def __init__(self, setup: InspectorSetup, captures: CaptureReader) -> None:
        self._setup = setup
        self._captures = captures

    async def write(self, name: str, format_name: str, *, is_signed_now: bool) -> dict[str, Any] | None:
        """Return a capture in this format, or None for an unknown format. Raises PortHookError."""
        row = find_export(format_name)
        if row is None:
            return None
        capture = await self._captures.get(name)
        url = self._setup.target.default_url(capture) or target_url("http://127.0.0.1:8000", capture.invocation.target)
        original = await self._original(capture)
        is_wanted = is_signed_now and format_name in _NEWLY_SIGNED

        def write() -> tuple[str, bool]:
            signed = newly_signed(capture, url, self._setup.secret, self._setup.runtime) if is_wanted else None
            return row.write([Exported(signed or capture, url, original)]), signed is not None

        text, is_signed = await asyncio.to_thread(write)
        file_name = f"{_file_name(capture.invocation.id)}.{row.ending}"
        return message({"text": text, "filename": file_name, "signed": is_signed})

    async def _original(self, capture: Capture) -> Capture | None:
        """Return the capture that a request of `check` replays, or None if that capture was deleted."""
        name = original_of_probe(capture.invocation)
        try:
            return None if name is None else await self._captures.get(name)
        except StoreError:
            return None


def _file_name(capture_id: str) -> str:
    """Return a capture ID as a file name. A store may contain any text as an ID."""
    return "".join(character for character in capture_id if character.isalnum())[:40] or "capture"
