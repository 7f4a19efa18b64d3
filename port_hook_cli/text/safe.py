"""Make bytes and strings from the network safe for a terminal.

rich does not remove escape sequences, not even in `Text`, so all untrusted text passes through these functions before
it is printed.
"""

from __future__ import annotations

import re

from port_hook_cli.text.unseen import UNSEEN

# Compiled by `re` when they are first used: much of what a command prints is plain ASCII and needs neither.
_UNSAFE = f"[\x00-\x1f{UNSEEN}]"
_UNSAFE_IN_LINES = f"[\x00-\x08\x0b-\x1f{UNSEEN}]"
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _visible(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    if code > 0xFFFF:  # noqa: PLR2004 - more than four hexadecimal digits
        return f"\\U{code:08x}"
    return _SHORT.get(character) or (f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}")  # noqa: PLR2004


def printable(text: str) -> str:
    r"""Return `text` on one line, with every control character as an escape such as `\x1b`."""
    if text.isascii() and text.isprintable():  # fast path for nearly every line that a listener shows
        return text
    return re.sub(_UNSAFE, _visible, text)


def brief(text: str, limit: int = 200) -> str:
    """Return at most the first `limit` characters of `text`, as `printable` shows them."""
    return shorten(printable(shorten(text, limit)), limit)


def printable_lines(text: str) -> str:
    """Return `text` with line feeds and tabs kept and every other control character written out."""
    return re.sub(_UNSAFE_IN_LINES, _visible, text)


def printable_json(text: str) -> str:
    r"""Return JSON text as `printable_lines` does, but with JSON's escapes (`\u009b`), so that it is the same JSON."""
    import json  # little text needs it, and `--help` starts faster without

    return re.sub(_UNSAFE_IN_LINES, lambda match: json.dumps(match.group())[1:-1], text)


def printable_bytes(content: bytes) -> str:
    r"""Return bytes as `printable_lines` shows their text.

    CRLF is one line end; a byte that is not UTF-8 shows as `\xff`.
    """
    return printable_lines(content.replace(b"\r\n", b"\n").decode("utf-8", "backslashreplace"))


def wire_text(value: str) -> str:
    """Return a header value (its bytes as Latin-1) as text: as UTF-8 if it is valid UTF-8, else as Latin-1."""
    return printable(field_text(value))


def field_text(value: str) -> str:
    """Return a header value like `wire_text`, with all its characters."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def shorten(text: str, limit: int) -> str:
    """Return `text`, truncated to `limit` characters with an ellipsis at the end if it is longer."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
