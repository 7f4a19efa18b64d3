"""The user's editor on a temporary file."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from port_hook_cli.errors import UsageError
from port_hook_cli.installed import find_program

Edited = TypeVar("Edited")
_FALLBACK = "notepad" if os.name == "nt" else "vi"


def edit(text: str, read: Callable[[str], Edited], *, environ: Mapping[str, str]) -> Edited:
    """Let the user edit `text` in $VISUAL, $EDITOR or vi, and return `read` of the edited text.

    The text is in a temporary file with mode 0600, which is deleted, unless `read` raises ValueError: then the hint of
    the UsageError names the file, so that the user's text is not lost. Also raises UsageError if the editor fails.
    """
    path = _private_file(text)
    try:
        _run_editor(path, environ)
        edited = read(_text_of(path))
    except ValueError as problem:
        raise UsageError(
            f"The edited text is not JSON: {_position(path) or problem}.",
            hint=f"Your text is kept in {path}: fix it and replay that file.",
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
    if not named and not (sys.stdin and sys.stdin.isatty()):
        raise UsageError("There is no terminal for the editor.", hint="Set EDITOR, or change it with --set.")
    command = named or _FALLBACK
    try:
        words = editor_words(command, environ)
        ended = subprocess.run([*words, str(path)], check=False)  # noqa: S603 - the user's own editor
    except (OSError, ValueError) as problem:
        raise UsageError(f"The editor {command!r} cannot be started: {problem}.", hint="Set EDITOR.") from problem
    if ended.returncode:
        raise UsageError(
            f"The editor {command!r} ended with code {ended.returncode}.", hint="Nothing was sent; try again."
        )


def editor_words(command: str, environ: Mapping[str, str], platform: str = sys.platform) -> list[str]:
    """Return the words of the editor's command line; ValueError for an unbalanced quotation mark.

    Windows starts a script such as `code.cmd` only under its whole name, and backslashes are not escapes there.
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


def _position(path: Path) -> str:
    """Return where the JSON in `path` stops being valid, as an editor shows positions; empty if it is valid."""
    try:
        json.loads(_text_of(path))
    except json.JSONDecodeError as problem:
        return f"line {problem.lineno} column {problem.colno}, {problem.msg}"
    except (ValueError, RecursionError):
        return ""
    return ""
