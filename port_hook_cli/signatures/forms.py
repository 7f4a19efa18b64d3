"""Other forms of a body: the same content as another program may have written it before signing.

There are two families of forms. Byte forms undo or redo what happens to bytes in transit: compression, the character
set, the byte order mark, and a line break at the end. JSON forms parse the document and write it as other serializers
do.
"""

from __future__ import annotations

import json
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from json.encoder import encode_basestring_ascii
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Cause
from port_hook_cli.javascript.nesting import count_marks
from port_hook_cli.javascript.stringify import NotJson, stringify
from port_hook_cli.signatures import causes
from port_hook_cli.signatures.budget import Budget
from port_hook_cli.signatures.same_document import MAX_DOCUMENT_BYTES, is_dense
from port_hook_cli.signatures.signing import RAW

MAX_DECOMPRESSED_BYTES = 10 * 2**20
MAX_UNDECLARED_BYTES = 2**18
"""The limit for the content of a body that looks compressed, if the content-encoding doesn't declare that."""

MAX_COMBINED_BYTES = 2**16
"""JSON forms up to this size are also tried with a line break at the end."""

_MAX_LINE_BREAKS = 2**16
"""The maximum number of line-break characters to remove from the end of a body."""

MAX_INDENTED_CHARACTERS = 2**18
"""Longer texts are not indented, because indented forms cost the most."""

MAX_INDENTED_MARKS = 2**12
"""Documents with more commas, colons and opening brackets than this are not indented either."""

MAX_DIGITS = 400
"""Python's forms are not tried with longer whole numbers, because their cost grows with the square of the digits."""

_TABBED_LIMIT = 2 * MAX_INDENTED_CHARACTERS
"""A form indented with tabs is left out if it is longer, because indentation can grow with the square of the depth."""

_CHARSETS = {
    "iso-8859-1": "latin-1",
    "iso8859-1": "latin-1",
    "latin-1": "latin-1",
    "latin1": "latin-1",
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "utf-32": "utf-32",
    "utf-32le": "utf-32-le",
    "utf-32be": "utf-32-be",
}
_GZIP_MAGIC = b"\x1f\x8b"
_GUESSED = "latin-1"
_FAMILY = len("utf-16")
_declared_charset = re.compile(r'charset ?= ?"?([\w.-]+)', re.IGNORECASE).search
_INDENTS = {"2": ("  ", "2 spaces"), "4": ("    ", "4 spaces"), "tab": ("\t", "a tab")}
_COMPACT = (",", ":")
_beyond_ascii = re.compile(r"[^\x00-~]+").sub
_NOTHING = object()
_long_number = re.compile(rf"(?<![0-9])[0-9]{{{MAX_DIGITS}}}").search

_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
_CLOSERS = frozenset("]}")
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
# Matches the text before the next mark with whitespace around it, and the mark. Empty containers are not indented.
_up_to_mark = re.compile(rf"((?:{_STRING}|\[\]|\{{\}}|[^\"\[\]{{}},:])*+)([\[\]{{}},:]|\Z)").findall


@frozen
class Form:
    """A form of a body: its name, its deviations from the raw body, and its bytes."""

    name: str
    causes: tuple[Cause, ...]
    body: bytes
    is_declared: bool = True
    """Whether the headers declare each encoding that was undone, so that every receiver also undoes it."""

    def then(self, step: str, body: bytes, *deviations: Cause) -> Form:
        """Return the form that results from one more step."""
        name = step if self.name == RAW else f"{self.name}+{step}"
        return replace(self, name=name, causes=(*self.causes, *deviations), body=body)


def unwrap(body: bytes, headers: Headers, budget: Budget) -> tuple[Form, ...]:
    """Return `body`, and the result of each step that undoes one of its encodings. Never raises."""
    inflated = _decompressed(body, headers, budget)
    steps = [Form(RAW, (), body), *([inflated] if inflated else [])]
    for step in (_in_utf8, _without_bom):
        made = step(steps[-1], headers, budget)
        if made is not None:
            steps.append(made)
    return tuple(steps)


def byte_forms(steps: Sequence[Form]) -> Iterator[Form]:
    """Yield the byte forms of an unwrapped body. Never raises."""
    yield from steps[1:]
    for step in steps:
        yield from _line_breaks(step)
    last = steps[-1]
    if not last.body.startswith(BOM_UTF8):
        yield last.then("with-bom", BOM_UTF8 + last.body, causes.BOM_REMOVED)


def json_forms(steps: Sequence[Form], budget: Budget) -> Iterator[Form]:
    """Yield the JSON document of an unwrapped body as other serializers write it, most likely first. Never raises."""
    base = steps[-1]
    text = _document_text(base.body, budget)
    for serialization in serializations(text, budget) if text is not None else ():
        rendered = _bytes(serialization.text)
        if rendered is None:
            continue
        form = base.then(serialization.name, rendered, serialization.cause)
        if rendered != steps[0].body:
            yield form
        if len(rendered) <= MAX_COMBINED_BYTES:
            yield form.then("with-trailing-newline", rendered + b"\n", causes.NEWLINE_REMOVED)


def forms_named(body: bytes, headers: Headers, name: str) -> Iterator[bytes]:
    """Yield the forms of a body with the name `name`, most likely first. Never raises."""
    budget = Budget()
    steps = unwrap(body, headers, budget)
    for form in chain(byte_forms(steps), json_forms(steps, budget)):
        if form.name == name:
            yield form.body


def _document_text(body: bytes, budget: Budget) -> str | None:
    if len(body) > MAX_DOCUMENT_BYTES:
        budget.leave_out("Other forms of the JSON were not tried: it is larger than 1 MiB.")
        return None
    text = _text(body)
    if text is not None and is_dense(text):
        budget.leave_out("Other forms of the JSON were not tried: it has too many values.")
        return None
    return text


def _decompressed(body: bytes, headers: Headers, budget: Budget) -> Form | None:
    encoding = ", ".join(headers.all("content-encoding")).strip().lower()
    window_bits: tuple[int, ...]
    if body.startswith(_GZIP_MAGIC):
        window_bits, name, is_declared = (31,), "gzip", encoding in {"gzip", "x-gzip"}
    elif encoding == "deflate":
        # Some programs send the zlib format, as RFC 9110 requires, and others send the bare deflate stream.
        window_bits, name, is_declared = (15, -15), "deflate", True
    else:
        return None
    limit = MAX_DECOMPRESSED_BYTES if is_declared else MAX_UNDECLARED_BYTES
    inflated = [content for bits in window_bits if (content := _inflate(body, bits, limit, budget)) is not None]
    if not inflated:
        return None
    # Bytes that are valid in both formats are ambiguous.
    is_certain = is_declared and len(inflated) == 1
    cause = causes.COMPRESSED if is_certain else causes.COMPRESSED_UNDECLARED
    return Form(f"decoded-{name}", (cause,), inflated[0], is_certain)


def _inflate(body: bytes, window_bits: int, limit: int, budget: Budget) -> bytes | None:
    """Return the content of exactly one complete stream, or None. Receivers disagree about bytes after its end."""
    stream = zlib.decompressobj(window_bits)
    try:
        content = stream.decompress(body, limit + 1)
    except zlib.error:
        return None
    if len(content) > limit:
        budget.leave_out(f"The body was not decompressed: its content is larger than {limit // 1024:,} KiB.")
        return None
    return content if stream.eof and not stream.unused_data else None


def _in_utf8(form: Form, headers: Headers, budget: Budget) -> Form | None:
    if len(form.body) > MAX_DOCUMENT_BYTES:
        if not form.body.isascii() or b"\0" in form.body[:4]:
            budget.leave_out("Other character sets were not tried: the body is larger than 1 MiB.")
        return None
    charset = _charset(form.body)
    if charset is None:
        return None
    match = _declared_charset(headers.get("content-type") or "")
    declared = _CHARSETS.get(
        match[1].lower().replace("utf-16-", "utf-16").replace("utf-32-", "utf-32") if match else ""
    )
    if declared and charset == _GUESSED:
        charset = declared
    is_declared = declared in {charset, charset[:_FAMILY]}
    try:
        text = form.body.decode(charset)
    except UnicodeError:
        return None
    utf_8 = _bytes(text)
    if utf_8 is None:
        return None
    made = form.then(f"decoded-{charset}", utf_8, causes.CHARSET if is_declared else causes.CHARSET_UNDECLARED)
    return replace(made, is_declared=form.is_declared and is_declared)


def _charset(body: bytes) -> str | None:
    """Return the character set of the body, or None if it is UTF-8."""
    detected = json.detect_encoding(body)
    if not detected.startswith("utf-8"):
        return detected
    return None if _text(body) is not None else _GUESSED


def _without_bom(form: Form, _headers: Headers, _budget: Budget) -> Form | None:
    if not form.body.startswith(BOM_UTF8):
        return None
    return form.then("without-bom", form.body.removeprefix(BOM_UTF8), causes.BOM_ADDED)


def _line_breaks(form: Form) -> Iterator[Form]:
    tail = form.body[-_MAX_LINE_BREAKS:]
    bare = form.body[: len(form.body) - len(tail) + len(tail.rstrip(b"\r\n"))]
    one_less = form.body.removesuffix(b"\n").removesuffix(b"\r")
    for shorter in _distinct(one_less, bare):
        if shorter != form.body:
            yield form.then("without-trailing-newline", shorter, causes.NEWLINE_ADDED)
    for longer in _distinct(*(stem + end for stem in (form.body, bare) for end in (b"\n", b"\r\n"))):
        if longer != form.body:
            yield form.then("with-trailing-newline", longer, causes.NEWLINE_REMOVED)


def _distinct(*bodies: bytes) -> list[bytes]:
    # A set would hash each body, which takes longer than comparing the few bodies of the same length.
    return [body for index, body in enumerate(bodies) if body not in bodies[:index]]


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _bytes(text: str) -> bytes | None:
    """Return `text` in UTF-8, or None for a lone surrogate, which the sender could not have encoded either."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None


@frozen
class Serialization:
    """A document as a serializer writes it, and the cause to report if this text was signed."""

    name: str
    cause: Cause
    text: str


def serializations(text: str, budget: Budget) -> Iterator[Serialization]:
    """Yield the document in `text` as other serializers write it, most likely first. Never raises.

    A serializer that cannot write the document is left out, because the document is nested too deeply or is not JSON.
    """
    document = _python_document(text, budget)
    js, unescaped = _stringify(text), _dumps(document, separators=_COMPACT, ensure_ascii=False)
    yield from _compact(text, document, js, unescaped)
    yield from _spaced(document)
    if len(text) > MAX_INDENTED_CHARACTERS:
        budget.leave_out("Indented forms were not tried: the body is larger than 256 KiB.")
    elif count_marks(text) > MAX_INDENTED_MARKS:
        budget.leave_out("Indented forms were not tried: the body has too many values.")
    else:
        yield from _indented(js, unescaped, budget)


def _compact(text: str, document: Any, js: str | None, unescaped: str | None) -> Iterator[Serialization]:
    node = _serialization("js", causes.RESERIALIZED_JS, js)
    python = _serialization("python-compact", causes.RESERIALIZED_PYTHON_COMPACT, _dumps(document, separators=_COMPACT))
    # If both languages write the same text, the body shows which is more likely: Python if json.dumps writes this body.
    yield from (*python, *node) if _dumps(document) == text else (*node, *python)
    if unescaped != js:
        yield from _serialization("python-compact-unescaped", causes.RESERIALIZED_PYTHON_UNESCAPED, unescaped)


def _spaced(document: Any) -> Iterator[Serialization]:
    yield from _serialization("python", causes.RESERIALIZED_PYTHON, _dumps(document))
    yield from _serialization("python-unescaped", causes.RESERIALIZED_PYTHON, _dumps(document, ensure_ascii=False))


def _indented(js: str | None, compact: str | None, budget: Budget) -> Iterator[Serialization]:
    """Yield the indented forms. Tabs inside strings are always escaped, so every tab here is indentation."""
    node = _with_tabs(js, budget)
    unescaped = node if compact == js else _with_tabs(compact, budget)
    escaped = None if unescaped is None else _beyond_ascii(_escape, unescaped)
    for name, (indent, indentation) in _INDENTS.items():
        # If several styles write the same text, the last style counts.
        styles = {
            unescaped: (
                "python-indented-unescaped",
                f"indented with {indentation} like json.dumps without escapes",
            ),
            escaped: ("python-indented", f"indented with {indentation} like json.dumps"),
            node: ("js-indented", f"indented with {indentation} like JSON.stringify"),
        }
        for rendered, (style_name, style) in styles.items():
            wide = None if rendered is None else rendered.replace("\t", indent)
            yield from _serialization(f"{style_name}-{name}", causes.reserialized_indented(style), wide)


def _serialization(name: str, cause: Cause, text: str | None) -> tuple[Serialization, ...]:
    return () if text is None else (Serialization(name, cause, text),)


def _escape(match: re.Match[str]) -> str:
    return encode_basestring_ascii(match[0])[1:-1]


def _stringify(text: str) -> str | None:
    try:
        return stringify(text)
    except NotJson:
        return None


def _python_document(text: str, budget: Budget) -> Any:
    if _has_long_number(text):
        budget.leave_out(f"Python's forms were not tried: a number has {MAX_DIGITS} digits or more.")
        return _NOTHING
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOTHING


def _has_long_number(text: str) -> bool:
    # A run of this many digits has a digit at one of these positions, so the pattern doesn't need to read the rest.
    for index, character in enumerate(text[MAX_DIGITS - 1 :: MAX_DIGITS]):
        start = index * MAX_DIGITS
        if "0" <= character <= "9" and _long_number(text[start : start + 2 * MAX_DIGITS - 1]):
            return True
    return False


def _dumps(document: Any, **style: Any) -> str | None:
    try:
        return None if document is _NOTHING else json.dumps(document, **style)
    except RecursionError:
        return None


def _with_tabs(compact: str | None, budget: Budget) -> str | None:
    """Indent compact JSON with tabs, as both languages do. Return None if the result would be too long."""
    if compact is None:
        return None
    pieces: list[str] = []
    breaks, depth, room = ["\n"], 0, _TABBED_LIMIT - len(compact)
    for run, mark in _up_to_mark(compact):
        depth += _STEPS.get(mark, 0)
        if depth == len(breaks):
            breaks.append(breaks[-1] + "\t")
        room -= depth if mark != ":" else 0
        if room < 0:
            budget.leave_out("Indented forms were not tried: the body is nested too deeply.")
            return None
        if mark in _CLOSERS:
            pieces += (run, breaks[depth], mark)
        else:
            pieces += (run, mark, " " if mark == ":" else breaks[depth] if mark else "")
    return "".join(pieces)
