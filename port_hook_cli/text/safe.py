"""Make bytes and strings from the network safe for a terminal.

rich does not remove escape sequences, not even in `Text`. So all untrusted text goes through these functions before it
is printed.
"""

from __future__ import annotations

import re

UNSEEN = (
    "\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff\ud800-\udfff"
)
"""A character class for `re` with unsafe characters, except for the C0 controls.

It has the C1 controls, line separators, direction marks and overrides, zero-width characters, blank letters, tags, and
lone surrogates, which no stream can encode. It doesn't have U+FE0E and U+FE0F, because they select between two visible
forms and are part of ordinary emoji.
"""

# The characters of UNSEEN that `isprintable` accepts: marks, selectors and letters without a visible form. This is a
# set, because compiling a character class with `re` takes a millisecond.
_BLANK = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\ufe00\ufe01\ufe02\ufe03\ufe04\ufe05\ufe06\ufe07\ufe08"
    "\ufe09\ufe0a\ufe0b\ufe0c\ufe0d\uffa0"
).union(map(chr, range(0xE0100, 0xE01F0)))

# `re` compiles these patterns when they are first used. Most output is visible and doesn't need them.
_UNSAFE = f"[\x00-\x1f{UNSEEN}]"
_UNSAFE_IN_LINES = f"[\x00-\x08\x0b-\x1f{UNSEEN}]"
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# The escapes of ECMA-48: control sequences such as colors, operating system commands such as window titles, and others.
_ESCAPES = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-Z\\^-~])"
_LINE_ENDS = r"\r+\n?"
_CONTROLS = "[\x00-\x08\x0b-\x1f\x7f-\x9f]"


def is_visible(text: str) -> bool:
    """Return whether `text` is one line of visible characters."""
    return text.isprintable() and (text.isascii() or _BLANK.isdisjoint(text))


def _visible(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    if code > 0xFFFF:  # noqa: PLR2004 - more than four hexadecimal digits
        return f"\\U{code:08x}"
    return _SHORT.get(character) or (f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}")  # noqa: PLR2004


def input_name(name: str) -> str:
    """Return what messages call the input `name`: `stdin` for `-`, otherwise the name itself."""
    return "stdin" if name == "-" else name


def printable(text: str) -> str:
    r"""Return `text` on one line, with every control character as an escape such as `\x1b`."""
    # This repeats `is_visible` without a call, because a listener shows many lines.
    if text.isprintable() and (text.isascii() or _BLANK.isdisjoint(text)):
        return text
    return re.sub(_UNSAFE, _visible, text)


def brief(text: str, limit: int = 200) -> str:
    """Return up to the first `limit` characters of `text`, formatted by `printable`."""
    return shorten(printable(shorten(text, limit)), limit)


def printable_lines(text: str) -> str:
    """Return `text` with its line feeds and tabs unchanged, and every other control character as an escape."""
    if is_visible(text.replace("\n", "").replace("\t", "")):
        return text
    return re.sub(_UNSAFE_IN_LINES, _visible, text)


def printable_json(text: str) -> str:
    r"""Return JSON text like `printable_lines`, but with JSON's escapes (`\u009b`), so that it stays the same JSON."""
    import json  # little text needs this import, and `--help` starts faster without it

    return re.sub(_UNSAFE_IN_LINES, lambda match: json.dumps(match.group())[1:-1], text)


def printable_bytes(content: bytes) -> str:
    r"""Return the text of bytes, formatted by `printable_lines`.

    CRLF becomes one line break. A byte that is not UTF-8 is shown as `\xff`.
    """
    return printable_lines(content.replace(b"\r\n", b"\n").decode("utf-8", "backslashreplace"))


def wire_text(value: str) -> str:
    """Return a header value (bytes decoded as Latin-1) as text: as UTF-8 if it is valid UTF-8, otherwise as Latin-1."""
    return printable(field_text(value))


def field_text(value: str) -> str:
    """Return a header value like `wire_text`, with all of its characters."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def shorten(text: str, limit: int) -> str:
    """Return `text`, truncated to `limit` characters with an ellipsis if it is longer."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def plain_output(content: bytes) -> str:
    r"""Return the text of a command's output, without colors and other escape sequences.

    A carriage return ends a line, because progress bars use it. Other control characters become escapes such as `\x07`,
    and bytes that are not UTF-8 become U+FFFD.
    """
    text = content.decode("utf-8", "replace")
    if text.isprintable():
        return text
    text = re.sub(_LINE_ENDS, "\n", re.sub(_ESCAPES, "", text))
    return re.sub(_CONTROLS, lambda found: f"\\x{ord(found.group()):02x}", text)
