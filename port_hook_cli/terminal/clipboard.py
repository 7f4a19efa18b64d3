"""Copy text to the clipboard, with a program of the desktop or else through the terminal."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Mapping
from typing import TextIO

from port_hook_cli.installed import find_program

# Each reads the text from its stdin and ends. A program that serves later pastes keeps running in the background.
_PROGRAMS = (
    ("pbcopy",),
    ("wl-copy",),
    ("xclip", "-selection", "clipboard"),
    ("xsel", "--clipboard", "--input"),
    ("clip.exe",),
)
_TIMEOUT_S = 3


def copy_text(text: str, *, environ: Mapping[str, str], terminal: TextIO | None = None) -> str:
    """Copy `text` to the clipboard with the first program on PATH that succeeds, else through `terminal` (stderr).

    Returns the outcome as a sentence. The terminal gets the sequence OSC 52, which not every terminal supports and none
    confirms. Never raises; may take 3 seconds for each program that hangs.
    """
    for name, *options in _PROGRAMS:
        path = find_program(name, environ)
        if path and _fed([path, *options], text, environ):
            return "Copied to the clipboard."
    if terminal and terminal.isatty() and environ.get("TERM") != "dumb" and _sent(text, terminal):
        return "Asked the terminal to copy it to the clipboard."
    names = ", ".join(name for name, *_ in _PROGRAMS)
    return f"Nothing was copied: none of {names} works here."


def _fed(command: list[str], text: str, environ: Mapping[str, str]) -> bool:
    """Return whether the program accepted the text."""
    try:
        # A program that stays in the background keeps its streams open. If they were pipes, we would wait for it.
        done = subprocess.run(  # noqa: S603 - a program found on PATH under one of the names above
            command,
            input=_encoded(text, command[0]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _encoded(text: str, program: str) -> bytes:
    """Return the bytes for the program: clip.exe reads others than ASCII in the console's code page, or as UTF-16."""
    is_clip = program.lower().endswith("clip.exe")
    return text.encode("utf-16-le" if is_clip and not text.isascii() else "utf-8")


def _sent(text: str, terminal: TextIO) -> bool:
    """Return whether the terminal could be written to."""
    try:
        terminal.write(f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07")
        terminal.flush()
    except (OSError, ValueError):
        return False
    return True
