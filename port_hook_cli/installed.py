"""What is installed on this machine: programs on PATH, and how to install a package that is missing."""

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

    On Windows, `shutil.which` would look in the working folder first, where someone else may have put a file. So each
    folder is searched by its full name there.
    """
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        if platform == "win32":
            found = shutil.which(str(Path(folder, name))) if Path(folder).is_absolute() else None
        else:
            found = shutil.which(name, path=folder) if folder else None
        if found:
            yield found


def install_hint(package: str) -> str:
    """Return the hint to install `package` (or several, separated by spaces) where port-hook is installed."""
    return f"Install it where port-hook is: {install_command(package, Path(sys.prefix))}"


def install_command(packages: str, prefix: Path) -> str:
    """Return the command that installs packages beside port-hook in the environment `prefix`.

    pipx and uv leave a file in the environments that they manage. Environments of uv have no pip.
    """
    if (prefix / "pipx_metadata.json").is_file():
        return f"pipx inject {prefix.name} {packages}"
    if (prefix / "uv-receipt.toml").is_file():
        return f"uv pip install --python {sys.executable} {packages}"
    return f"{sys.executable} -m pip install {packages}"
