"""Bodies that an attacker may send to keep a listener busy."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator


def _repeat(part: bytes, size: int) -> bytes:
    """Return a JSON list of `part`, about `size` bytes long."""
    return b"[" + b",".join([part] * max(1, size // (len(part) + 1))) + b"]"


def hostile_bodies(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield named bodies of about `size` bytes. Each is the worst case of a different part of a diagnosis."""
    half = size // 2
    yield "many objects", _repeat(b'{"a":1}', size)
    yield "many numbers", _repeat(b"1.2345678901234567", size)
    yield "short numbers", _repeat(b"1e308", size)
    yield "long numbers", _repeat(b"1234567890" * 8, size)
    yield "long fractions", _repeat(b"0." + b"123456789" * 12, size)
    yield "numbers of 399 digits", _repeat(b"1" * 399, size)
    yield "one number", b"1" * size
    yield "strings", _repeat(b'"' + b"x" * 1000 + b'"', size)
    yield "one string", b'"' + b"x" * size + b'"'
    yield "escapes", b'"' + b"\\n" * half + b'"'
    yield "lone surrogates", b'"' + b"\\ud83d" * (size // 6) + b'"'
    yield "non-ASCII strings", _repeat('"äöü€😀"'.encode(), size)
    yield "one non-ASCII string", b'"' + "é".encode() * half + b'"'
    yield "non-ASCII and ASCII in turn", b'"' + "éa".encode() * (size // 3) + b'"'
    yield "deep lists", _repeat(b"[" * 900 + b"]" * 900, size)
    yield "deep objects", _repeat(b'{"a":' * 900 + b"1" + b"}" * 900, size)
    yield "endless depth", b"[" * half + b"]" * half
    yield "keys", b"{" + b",".join(b'"k%09d":1' % number for number in range(size // 14)) + b"}"
    yield "index keys backwards", b"{" + b",".join(b'"%d":1' % number for number in range(size // 10, 0, -1)) + b"}"
    yield "spaces", b"[" + b" " * size + b"]"
    yield "line breaks at the end", b"{}" + b"\r\n" * half
    yield "quotation marks", b'"' * size
    yield "UTF-16", json.dumps(["x" * half]).encode("utf-16-le")
    yield "UTF-32", json.dumps(["x" * (size // 4)]).encode("utf-32-le")
    yield "Latin-1", b'"' + b"\xe9" * size + b'"'
    yield "noise", random.Random(1).randbytes(size)  # noqa: S311 - no secret
    yield "gzip", gzip.compress(_repeat(b'{"a":1}', size), 1)
    yield "a form", b"a=%41&" * (size // 6)
