"""Files that a user names for output."""

from __future__ import annotations

import os
from pathlib import Path

from port_hook_cli.errors import StoreError


def check_new_file(name: str, *, cwd: Path) -> None:
    """Raise StoreError if `write_new_file` would refuse the name now: before work whose result would be lost."""
    path = cwd / name
    if os.path.lexists(path):
        raise _exists(name)
    if not path.parent.is_dir():
        raise _unwritable(name, f"there is no folder {path.parent}")


def write_new_file(name: str, content: bytes, *, cwd: Path) -> None:
    """Write a file that only the user can read; raises StoreError if it exists or cannot be written.

    A file or link of that name may have been put there by a stranger, to have another file overwritten.
    """
    path = cwd / name
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags, 0o600)
    except FileExistsError as error:
        raise _exists(name) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _unwritable(name, reason) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StoreError(f"{name} cannot be written: {error.strerror}.", hint="Free some space.") from error


def _exists(name: str) -> StoreError:
    return StoreError(f"{name} already exists.", hint="Remove it, or name another file.")


def _unwritable(name: str, reason: object) -> StoreError:
    return StoreError(f"{name} cannot be written: {reason}.", hint="Name a file in a folder of yours.")
