"""Find programs on PATH."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path


def find_program(name: str, environ: Mapping[str, str], platform: str = sys.platform) -> str | None:
    """Return the path of a program that is on PATH, or None."""
    return next(find_programs(name, environ, platform), None)


def find_programs(name: str, environ: Mapping[str, str], platform: str = sys.platform) -> Iterator[str]:
    """Yield the paths of all programs of this name on PATH.

    On Windows, `shutil.which` would look in the working folder first, where a file may come from a stranger. So each
    folder is searched by its full name there.
    """
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        if platform == "win32":
            found = shutil.which(str(Path(folder, name))) if Path(folder).is_absolute() else None
        else:
            found = shutil.which(name, path=folder) if folder else None
        if found:
            yield found
