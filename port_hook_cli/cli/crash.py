"""The crash report, which is written instead of showing a traceback."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Collection, Iterator, Mapping
from typing import TextIO

from port_hook_cli import __version__
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.text.secret import Masker

_SECRET_WORDS = ("SECRET", "TOKEN", "PASSWORD", "KEY")


def report_crash(bug: Exception, *, environ: Mapping[str, str], secrets: Collection[str], stderr: TextIO) -> ExitCode:
    """Write a crash report (mode 0600), point to it, and return the code for a bug.

    `secrets` and the variables of the environment that look like secrets are masked in it. With `PORT_HOOK_DEBUG` set
    the exception is raised again instead.
    """
    if environ.get("PORT_HOOK_DEBUG"):
        raise bug
    handle, path = tempfile.mkstemp(prefix="port-hook-crash-", suffix=".md")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(Masker([*secrets, *_secrets_of(environ)]).text(_describe(bug)))
    print(
        f"error: port-hook hit a bug of its own ({type(bug).__name__}). Your input did not cause it.\n"
        f"hint: The details are in {path}. Please attach that file to an issue.",
        file=stderr,
    )
    return ExitCode.BUG


def _describe(bug: Exception) -> str:
    import platform

    trace = "".join(traceback.format_exception(bug))
    return (
        f"# port-hook {__version__} crashed\n\n"
        f"Python {platform.python_version()} on {platform.platform()}\n\n```\n{trace}```\n"
    )


def _secrets_of(environ: Mapping[str, str]) -> Iterator[str]:
    return (value for name, value in environ.items() if any(word in name.upper() for word in _SECRET_WORDS))
