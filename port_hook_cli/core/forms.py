"""Other forms of a body: the same content as another program would have written it before it was signed.

Two families. Byte forms undo or redo what happens to bytes on their way: compression, character set, byte order
mark, line break at the end. JSON forms parse the document and write it as other serialisers do.
"""

from __future__ import annotations

import json
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass

from port_hook_cli.core import causes
from port_hook_cli.core.models import Cause, Headers
from port_hook_cli.core.renderings import is_json, renderings

MAX_DECOMPRESSED_BYTES = 10 * 2**20
MAX_DOCUMENT_BYTES = 2**20
"""Larger bodies are not parsed: an unsigned one must not keep the listener busy (see docs/decisions)."""
MAX_COMBINED_BYTES = 2**16
"""JSON forms up to this size are also tried with a line break behind them."""

_CHARSETS = {
    "iso-8859-1": "latin-1",
    "iso8859-1": "latin-1",
    "latin-1": "latin-1",
    "latin1": "latin-1",
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
}
_declared_charset = re.compile(r'charset ?= ?"?([\w.-]+)', re.IGNORECASE).search


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a body: what it is called, how it deviates from the body that arrived, and its bytes."""

    reading: str
    causes: tuple[Cause, ...]
    body: bytes

    def then(self, reading: str, body: bytes, *deviations: Cause) -> Form:
        """Return the form that one more step makes of this one."""
        name = reading if self.reading == RAW else f"{self.reading}+{reading}"
        return Form(name, (*self.causes, *deviations), body)


RAW = "raw"


def byte_forms(body: bytes, headers: Headers) -> Iterator[Form]:
    """Yield forms of `body` that need no JSON. Never raises; decompresses at most `MAX_DECOMPRESSED_BYTES`."""
    steps = _unwrapped(body, headers)
    yield from steps[1:]
    for step in steps:
        yield from _line_breaks(step)
    last = steps[-1]
    if not last.body.startswith(BOM_UTF8):
        yield last.then("with-bom", BOM_UTF8 + last.body, causes.BOM_REMOVED)


def json_forms(body: bytes, headers: Headers) -> Iterator[Form]:
    """Yield the JSON document in `body` as other serialisers write it, the likelier first. Never raises."""
    base = _unwrapped(body, headers)[-1]
    text = _text(base.body) if len(base.body) <= MAX_DOCUMENT_BYTES else None
    for rendering in renderings(text) if text is not None else ():
        rendered = _bytes(rendering.text)
        if rendered is None:
            continue
        form = base.then(rendering.reading, rendered, rendering.cause)
        if rendered != body:
            yield form
        if len(rendered) <= MAX_COMBINED_BYTES:
            yield form.then("with-trailing-newline", rendered + b"\n", causes.NEWLINE_REMOVED)


def is_document(body: bytes) -> bool:
    """Return whether `body` is JSON, with or without a byte order mark. Never raises."""
    text = _text(body.removeprefix(BOM_UTF8))
    return text is not None and is_json(text)


def _unwrapped(body: bytes, headers: Headers) -> list[Form]:
    """Return `body` and what each step of undoing its wrappings makes of it."""
    steps = [Form(RAW, (), body)]
    for step in (_decompressed, _in_utf8, _without_bom):
        made = step(steps[-1], headers)
        if made is not None:
            steps.append(made)
    return steps


def _decompressed(form: Form, headers: Headers) -> Form | None:
    encoding = (headers.get("content-encoding") or "").strip().lower()
    if encoding in {"gzip", "x-gzip"} or form.body.startswith(b"\x1f\x8b"):
        window_bits, name = [31], "decoded-gzip"
    elif encoding == "deflate":
        # Half of the world sends zlib's wrapper, as RFC 9110 says, the other half the bare stream.
        window_bits, name = [15, -15], "decoded-deflate"
    else:
        return None
    inflated = next((content for bits in window_bits if (content := _inflate(form.body, bits)) is not None), None)
    return None if inflated is None else form.then(name, inflated, causes.COMPRESSED)


def _inflate(body: bytes, window_bits: int) -> bytes | None:
    stream = zlib.decompressobj(window_bits)
    try:
        content = stream.decompress(body, MAX_DECOMPRESSED_BYTES + 1)
    except zlib.error:
        return None
    return content if stream.eof and len(content) <= MAX_DECOMPRESSED_BYTES else None


def _in_utf8(form: Form, headers: Headers) -> Form | None:
    charset = _charset(form.body, headers)
    if charset is None:
        return None
    try:
        return form.then(f"decoded-{charset}", form.body.decode(charset).encode(), causes.CHARSET)
    except UnicodeError:
        return None


def _charset(body: bytes, headers: Headers) -> str | None:
    """Return what the body is written in, if not in UTF-8: the declaration is believed only where UTF-8 fails."""
    detected = json.detect_encoding(body)
    if not detected.startswith("utf-8"):
        return detected
    if _text(body) is not None:
        return None
    declared = _declared_charset(headers.get("content-type") or "")
    return _CHARSETS.get(declared[1].lower(), "latin-1") if declared else "latin-1"


def _without_bom(form: Form, _headers: Headers) -> Form | None:
    if not form.body.startswith(BOM_UTF8):
        return None
    return form.then("without-bom", form.body.removeprefix(BOM_UTF8), causes.BOM_ADDED)


def _line_breaks(form: Form) -> Iterator[Form]:
    bare = form.body.rstrip(b"\r\n")
    one_less = form.body.removesuffix(b"\n").removesuffix(b"\r")
    for shorter in dict.fromkeys((one_less, bare)):
        if shorter != form.body:
            yield form.then("without-trailing-newline", shorter, causes.NEWLINE_ADDED)
    for longer in dict.fromkeys(stem + end for stem in (form.body, bare) for end in (b"\n", b"\r\n")):
        if longer != form.body:
            yield form.then("with-trailing-newline", longer, causes.NEWLINE_REMOVED)


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _bytes(text: str) -> bytes | None:
    """Return `text` in UTF-8. A lone surrogate that is not escaped has none: its sender would have failed, too."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None
