"""The ways in which handlers change a body before they verify it: wrong decoding, or parsing and serializing.

Each function parses and serializes the body, or decodes it, and returns the bytes that one kind of handler verifies. A
body that cannot be read is returned unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from port_hook_cli.javascript.nesting import nests_too_deep
from port_hook_cli.signatures.plain_body import with_sorted_keys

_COMPACT = (",", ":")
_GO_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})
# Matches text in quotes, or a number with an exponent but without a fraction.
_TEXT_OR_EXPONENT = re.compile(r'("(?:[^"\\]|\\.)*")|(?<![\d.])(\d+)e([+-])0?(\d+)')


def sorted_python(body: bytes) -> bytes:
    """Return the body as `json.dumps(…, sort_keys=True)` writes it."""
    return _written(body, lambda document: json.dumps(document, sort_keys=True))


def compact_sorted_python(body: bytes) -> bytes:
    """Return the body as `json.dumps(…, sort_keys=True, separators=(',', ':'))` writes it."""
    return _written(body, lambda document: json.dumps(document, sort_keys=True, separators=_COMPACT))


def indented_python(body: bytes) -> bytes:
    """Return the body as `json.dumps(…, indent=2)` writes it."""
    return _written(body, lambda document: json.dumps(document, indent=2))


def python_text(body: bytes) -> bytes:
    """Return the body as `str(json.loads(…))` writes it."""
    return _written(body, str)


def mojibake(body: bytes) -> bytes:
    """Return the body decoded as Latin-1 and encoded as UTF-8."""
    return body.decode("latin-1").encode()


def ascii_only(body: bytes) -> bytes:
    """Return the body without its bytes that are not ASCII, like `decode("ascii", "ignore")`."""
    return body.decode("ascii", "ignore").encode()


def go(body: bytes) -> bytes:
    """Return the body as Go's `json.Marshal` writes a map: with sorted keys, and escaped for HTML."""
    try:
        return with_sorted_keys(body).decode().translate(_GO_ESCAPES).encode()
    except UnicodeError:
        return body


def ruby(body: bytes) -> bytes:
    """Return the body as Ruby's `to_json` writes it: with a fraction in every number that has an exponent."""

    def write(document: Any) -> str:
        text = json.dumps(document, ensure_ascii=False, separators=_COMPACT)
        return _TEXT_OR_EXPONENT.sub(lambda found: found[1] or f"{found[2]}.0e{found[3]}{found[4]:0>2}", text)

    return _written(body, write)


def php(body: bytes) -> bytes:
    """Return the body as PHP's `json_encode` writes arrays: slashes are escaped, and an empty object becomes `[]`."""

    def write(document: Any) -> str:
        text = json.dumps(_as_php_arrays(document), separators=_COMPACT).replace("/", "\\/")
        return _TEXT_OR_EXPONENT.sub(lambda found: found[1] or f"{found[2]}.0e{found[3]}{found[4]}", text)

    return _written(body, write)


def _as_php_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_php_arrays(element) for key, element in value.items()} or []
    if isinstance(value, list):
        return [_as_php_arrays(element) for element in value]
    return value


def _written(body: bytes, write: Callable[[Any], str]) -> bytes:
    try:
        text = body.decode()
        return body if nests_too_deep(text) else write(json.loads(text)).encode()
    except (ValueError, RecursionError):
        return body
