"""Files that a user names for output."""

from __future__ import annotations

import os
from pathlib import Path

from port_hook_cli.errors import StoreError
from port_hook_cli.files.input import require_name


def check_new_file(name: str, *, cwd: Path) -> None:
    """Raise StoreError if `write_new_file` would refuse the name: call it before work whose result would be lost.

    Raises UsageError for an empty name.
    """
    require_name(name)
    path = cwd / name
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        if not path.parent.is_dir():
            raise _without_folder(name) from None
    except (OSError, ValueError) as error:  # the name is too long, for example
        raise _not_creatable(name, error) from error
    else:
        raise _exists(name)


def write_new_file(name: str, content: bytes, *, cwd: Path) -> None:
    """Write a file that only the user can read; raises StoreError if it exists or cannot be written.

    Raises UsageError for an empty name.

    A stranger may have made a file or link of that name, so that another file is overwritten.
    """
    require_name(name)
    path = cwd / name
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags, 0o600)
    except FileExistsError as error:
        raise _exists(name) from error
    except FileNotFoundError as error:
        raise _without_folder(name) from error
    except (OSError, ValueError) as error:
        raise _not_creatable(name, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StoreError(f"{name} cannot be written: {error.strerror}.", hint="Free some space.") from error


def _exists(name: str) -> StoreError:
    return StoreError(f"{name} already exists.", hint="Remove it, or name another file.")


def _without_folder(name: str) -> StoreError:
    return StoreError(f"The folder of {name} does not exist.", hint="Create it, or name another file.")


def _not_creatable(name: str, error: Exception) -> StoreError:
    reason = getattr(error, "strerror", None) or error
    return StoreError(f"{name} cannot be written: {reason}.", hint="Name a file in a folder that you may write to.")
