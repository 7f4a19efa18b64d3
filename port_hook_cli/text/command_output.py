"""The output of a command as plain text, for a log that no terminal interprets."""

from __future__ import annotations

import re

# ECMA-48: control sequences such as colors, operating system commands such as window titles, and other escapes.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-Z\\^-~])")
_LINE_ENDS = re.compile(r"\r+\n?")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain_output(content: bytes) -> str:
    r"""Return the text of a command's output without colors and other escape sequences.

    A carriage return ends a line, as a progress bar uses it. Other control characters become escapes such as `\x07`,
    and bytes that are not UTF-8 become U+FFFD.
    """
    text = content.decode("utf-8", "replace")
    if text.isprintable():
        return text
    text = _LINE_ENDS.sub("\n", _ESCAPES.sub("", text))
    return _CONTROLS.sub(lambda found: f"\\x{ord(found.group()):02x}", text)
