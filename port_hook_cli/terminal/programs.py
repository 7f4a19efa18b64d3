"""The user's programs: the editor for a temporary file, and the clipboard."""

from __future__ import annotations

import base64
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO, TypeVar

from port_hook_cli.errors import UsageError
from port_hook_cli.installed import find_program
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.terminal.coding_agent import coding_agent

Edited = TypeVar("Edited")
_FALLBACK = "notepad" if os.name == "nt" else "vi"


def edit(text: str, read: Callable[[str], Edited], *, environ: Mapping[str, str]) -> Edited:
    """Let the user edit `text` in $VISUAL, $EDITOR or vi, and return the result of `read` for the edited text.

    The text is in a temporary file with mode 0600. The file is deleted, unless `read` raises ValueError. If it does,
    the file stays, so that the user's text is not lost, and the hint of the UsageError contains the file's path. Also
    raises UsageError if the editor fails.
    """
    path = _private_file(text)
    try:
        _run_editor(path, environ)
        edited = read(_text_of(path))
    except ValueError as problem:
        fault = problem.fault if isinstance(problem, NotJson) else problem
        raise UsageError(
            f"The edited text is not JSON: {fault}.",
            hint=f"Your text is saved in {path}. Fix it and replay that file.",
        ) from problem
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    path.unlink(missing_ok=True)
    return edited


def _private_file(text: str) -> Path:
    handle, name = tempfile.mkstemp(prefix="port-hook-", suffix=".json")
    with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    return Path(name)


def _run_editor(path: Path, environ: Mapping[str, str]) -> None:
    named = environ.get("VISUAL") or environ.get("EDITOR")
    if coding_agent(environ):
        raise UsageError("port-hook does not open an editor for a coding agent.", hint="Change the request with --set.")
    if not named and not (sys.stdin and sys.stdin.isatty()):
        raise UsageError(
            "port-hook cannot open an editor because this is not a terminal.",
            hint="Set EDITOR, or change it with --set.",
        )
    command = named or _FALLBACK
    try:
        words = editor_words(command, environ)
        ended = subprocess.run([*words, str(path)], check=False)  # noqa: S603 - the user's own editor
    except (OSError, ValueError) as problem:
        raise UsageError(f"The editor {command!r} cannot be started: {problem}.", hint="Set EDITOR.") from problem
    if ended.returncode:
        raise UsageError(
            f"The editor {command!r} ended with code {ended.returncode}.", hint="Nothing was sent. Try again."
        )


def editor_words(command: str, environ: Mapping[str, str], platform: str = sys.platform) -> list[str]:
    """Return the words of the editor's command line. Raises ValueError for an unbalanced quotation mark.

    Windows starts a script such as `code.cmd` only under its full name, and on Windows a backslash is not an escape.
    """
    if platform != "win32":
        return shlex.split(command)
    name, *options = [word.strip('"') for word in shlex.split(command, posix=False)]
    return [find_program(name, environ, platform) or name, *options]


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise UsageError(
            f"The edited file cannot be read: {problem}.", hint="Save it under the same name."
        ) from problem


# Each program reads the text from stdin and ends. A program that serves later pastes leaves a background process.
_PROGRAMS = (
    ("pbcopy",),
    ("wl-copy",),
    ("xclip", "-selection", "clipboard"),
    ("xsel", "--clipboard", "--input"),
    ("clip.exe",),
)
_TIMEOUT_S = 3


def copy_text(text: str, *, environ: Mapping[str, str], terminal: TextIO | None = None) -> str:
    """Copy `text` to the clipboard with the first program on PATH that succeeds, otherwise through `terminal` (stderr).

    Returns the outcome as a sentence, and never raises an exception. The terminal gets the OSC 52 sequence. Some
    terminals do not support OSC 52, and no terminal confirms that it copied the text. Each program that hangs may take
    3 seconds.
    """
    for name, *options in _PROGRAMS:
        path = find_program(name, environ)
        if path and _fed([path, *options], text, environ):
            return "Copied to the clipboard."
    if terminal and terminal.isatty() and environ.get("TERM") != "dumb" and _sent(text, terminal):
        return "Asked the terminal to copy it to the clipboard."
    names = ", ".join(name for name, *_ in _PROGRAMS)
    return f"Nothing was copied: none of {names} works."


def _fed(command: list[str], text: str, environ: Mapping[str, str]) -> bool:
    """Return whether the program accepted the text."""
    try:
        # A program that stays in the background keeps its streams open. With pipes, port-hook would wait for that
        # program.
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
    """Return the text as bytes for the program.

    clip.exe reads non-ASCII text in the console's code page or as UTF-16.
    """
    is_clip = program.lower().endswith("clip.exe")
    return text.encode("utf-16-le" if is_clip and not text.isascii() else "utf-8")


def _sent(text: str, terminal: TextIO) -> bool:
    """Write the text to the terminal as an OSC 52 sequence, and return whether the terminal could be written to."""
    try:
        terminal.write(f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07")
        terminal.flush()
    except (OSError, ValueError):
        return False
    return True
