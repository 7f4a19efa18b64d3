"""Redact the bytes of a body: decode its compression and character set, redact the text, and encode it again."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable

from port_hook_cli.captures.redaction.pseudonyms import Pseudonyms
from port_hook_cli.captures.redaction.texts import Texts
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.signatures.budget import Budget
from port_hook_cli.signatures.forms import unwrap
from port_hook_cli.signatures.same_document import MAX_DOCUMENT_BYTES

_is_binary = re.compile(rb"[\x00-\x08\x0e-\x1f]").search
_GZIP, _ZLIB, _DEFLATE = 31, 15, -15
_BLANKED = bytes(
    byte if byte in b"\0\t\n\r " else 1 if byte < 0x20 else 0xE9 if byte > 0x7F else ord("x")  # noqa: PLR2004
    for byte in range(256)
)
_DECODED = "decoded-"
_COMPRESSIONS = {"decoded-gzip", "decoded-deflate"}


def redacted_body(body: bytes, headers: Headers, pseudonyms: Pseudonyms, kept: frozenset[str] = frozenset()) -> bytes:
    """Redact everything in a body that `Texts` finds, except for the strings in `kept`. Never raises."""
    steps = unwrap(body, headers, Budget())
    names = [step.name.rpartition("+")[2] for step in steps]
    is_compressed = len(steps) > 1 and names[1] in _COMPRESSIONS
    content, wrap = (steps[1].body, _wrapping(body)) if is_compressed else (body, bytes)
    charset = next((name.removeprefix(_DECODED) for name in names if _is_charset(name)), "utf-8")
    return wrap(_redacted_text(content, charset, pseudonyms, kept))


def _is_charset(name: str) -> bool:
    return name.startswith(_DECODED) and name not in _COMPRESSIONS


def _wrapping(body: bytes) -> Callable[[bytes], bytes]:
    window = _GZIP if body.startswith(b"\x1f\x8b") else _ZLIB
    if window == _ZLIB:
        try:
            zlib.decompressobj(_ZLIB).decompress(body, 1)
        except zlib.error:
            window = _DEFLATE

    def wrap(content: bytes) -> bytes:
        stream = zlib.compressobj(wbits=window)
        return stream.compress(content) + stream.flush()

    return wrap


def _redacted_text(content: bytes, charset: str, pseudonyms: Pseudonyms, kept: frozenset[str]) -> bytes:
    codec, mark = _codec(content, charset)
    try:
        text = content[len(mark) :].decode(codec)
    except UnicodeError:
        codec, text = "latin-1", content.decode("latin-1")
    is_narrow = not codec.startswith("utf")
    if is_narrow and _is_binary(content):
        return content.translate(_BLANKED)
    texts = Texts(pseudonyms, narrow=is_narrow, is_checked=len(content) <= MAX_DOCUMENT_BYTES, kept=kept)
    return mark + texts.body(text).encode(codec)


def _codec(content: bytes, charset: str) -> tuple[str, bytes]:
    """Return the codec of a body, and the byte order mark if it determines the codec."""
    if charset in {"utf-16", "utf-32"}:
        size = 2 if charset == "utf-16" else 4
        mark = content[:size]
        return f"{charset}-{'le' if mark[0] == 0xFF else 'be'}", mark  # noqa: PLR2004
    if charset == "utf-8" and not json.detect_encoding(content).startswith("utf-8"):
        return "latin-1", b""  # the body is too large for a search among character sets
    return charset, b""
