"""Bodies, headers and texts as the inspector's API returns them, shortened to what a page shows.

This module is pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.text.safe import field_text
from port_hook_cli.text.secret import MASK

MAX_FIELD = 1_000
HEX_WIDTH = 16
_TEXT_BYTES = 64 * 1024
_HEX_BYTES = 1024
# The head of a request has at most 256 KiB.
_HEADER_CHARACTERS = 300_000


def body_record(body: bytes, *, size: int | None = None, problem: str | None = None) -> dict[str, Any]:
    """Return the beginning of a body as text, or in hexadecimal if the body is not UTF-8.

    `size` is the size of the whole body.
    """
    shown = body[:_TEXT_BYTES]
    text = text_of(shown, is_whole=len(shown) == len(body))
    return {
        "bytes": len(body) if size is None else size,
        "kept": len(body),
        "text": text,
        "is_whole": len(shown) == len(body) and size in {None, len(body)},
        "type": "binary" if text is None else "json" if _is_json(body) else "text",
        "hex": None if text is not None else list(_hex_lines(body)),
        "problem": problem,
    }


def header_list(headers: Headers) -> list[list[str]]:
    """Return the headers in order, up to the largest size that any listener captures."""
    found, size = [], 0
    for name, value in headers:
        size += len(name) + len(value)
        if size > _HEADER_CHARACTERS:
            break
        found.append([name, MASK if value == MASK else field_text(value)])
    return found


def cut(text: str | None) -> str | None:
    """Return the beginning of a header, because the page does not show longer headers on one line."""
    return text if text is None or len(text) <= MAX_FIELD else f"{text[:MAX_FIELD]}…"


def text_of(body: bytes, *, is_whole: bool) -> str | None:
    """Decode UTF-8 and return the text, or None if the bytes are not UTF-8."""
    for cut in range(1 if is_whole else 4):  # a truncated text may end in the middle of a character
        try:
            return body[: len(body) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
    return None


def _is_json(body: bytes) -> bool:
    if len(body) > _TEXT_BYTES:
        return body.lstrip()[:1] in {b"{", b"["}
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def _hex_lines(body: bytes) -> Iterator[str]:
    for start in range(0, min(len(body), _HEX_BYTES), HEX_WIDTH):
        part = body[start : start + HEX_WIDTH]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)  # noqa: PLR2004 - printable ASCII
        yield f"{start:08x}  {part.hex(' '):<47}  {text}"
