"""Files that a user names on the command line, `-` among them."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from port_hook_cli.errors import StoreError


def read_input(name: str, *, cwd: Path, stdin: BinaryIO) -> bytes:
    """Return what the file `name` holds, or stdin for `-`; raises StoreError when it cannot be read."""
    if name == "-":
        return stdin.read()
    try:
        return (cwd / name).read_bytes()
    except FileNotFoundError as error:
        raise StoreError(f"There is no file {name}.", hint="Give a file's path, or - to read stdin.") from error
    except OSError as error:
        raise StoreError(f"{name} cannot be read: {error.strerror}.", hint="Give a file that you may read.") from error
