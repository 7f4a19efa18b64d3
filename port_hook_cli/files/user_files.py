"""Files and directories that a user passes on the command line, for input and output. `-` is stdin."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from port_hook_cli.errors import SourceError, StoreError, UsageError
from port_hook_cli.files.own_files import replace_own_file

DOCUMENT_SUFFIXES = frozenset({".json", ".yaml", ".yml"})
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
_BEGINNING = 4096
MAX_INPUT_BYTES = 256 * 1024 * 1024
"""The maximum size of a file, because someone else's file may be a link to an endless device."""


def read_input(name: str, *, cwd: Path, stdin: BinaryIO) -> bytes:
    """Return the content of the file `name`, or of stdin for `-`.

    Raises StoreError if the content cannot be read or is too large, or UsageError for an empty name.
    """
    if name == "-":
        return read_stdin(stdin)
    require_name(name)
    path = cwd / name
    try:
        with path.open("rb") as file:
            content = file.read(MAX_INPUT_BYTES + 1)
    except FileNotFoundError as error:
        raise StoreError(f"File not found: {name}.", hint="Pass a file's path, or - to read stdin.") from error
    except OSError as error:
        if is_directory(path):  # Windows reports that access is denied
            raise is_a_directory(name) from error
        raise StoreError(f"{name} cannot be read: {error.strerror}.", hint="Pass a file that you can read.") from error
    if len(content) > MAX_INPUT_BYTES:
        raise StoreError(f"{name} has more than {MAX_INPUT_BYTES:,} bytes.", hint="Pass a smaller file.")
    return content


def require_name(name: str) -> None:
    """Raise UsageError for an empty file name, which would mean the current directory."""
    if not name:
        raise UsageError("The name of a file is empty.", hint="Check whether a shell variable is unset.")


def file_path(option: str, path: Path, cwd: Path) -> Path:
    """Return the absolute path of the file for `option`. The file need not exist.

    Raises UsageError for a directory, or for a path without a file name, such as `/`, `..` or an empty path.
    """
    if path.name in {"", ".."}:
        raise SourceError(
            f"{option} needs the path of a file, but {str(path)!r} is a directory.",
            hint="Pass the path of a file. If you used a shell variable, check that it is set.",
        )
    if path.parts[0] == "~":
        raise UsageError(
            f"{option} {path} begins with ~, which your shell has not replaced.",
            hint=f"Put a space instead of = before the path, and no quotes around it: {option} {path}",
        )
    found = (cwd / path).absolute()
    if is_directory(found):
        raise SourceError(
            f"{option} needs the path of a file, but {path} is a directory.", hint="Pass the path of a file."
        )
    return found


def documents_in(folder: Path) -> list[Path]:
    """Return the JSON and YAML files in a directory, sorted by name.

    Raises UsageError for a file that is too large or is not a regular file, because reading a pipe or a link to a
    device might never end.
    """
    found = sorted(file for file in folder.iterdir() if file.suffix.lower() in DOCUMENT_SUFFIXES)
    for file in found:
        if not file.is_file():
            raise SourceError(f"{file} is not a file.", hint="Remove it, or pass the files individually.")
        if file.stat().st_size > MAX_DOCUMENT_BYTES:
            raise SourceError(
                f"{file} has more than {MAX_DOCUMENT_BYTES:,} bytes.", hint="Remove it from the directory."
            )
    return found


def is_file(name: str, cwd: Path) -> bool:
    """Return whether `name` is a file. Unless it is absolute, `name` is relative to `cwd`."""
    try:
        return bool(name) and (cwd / name).is_file()
    except (OSError, ValueError):  # the name is too long, or is not a valid file name
        return False


def is_directory(path: Path) -> bool:
    """Return whether `path` is a directory. A path that is too long or invalid is not."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_a_directory(name: str) -> StoreError:
    """Return the error for a directory in place of a file."""
    return StoreError(f"{name} is a directory. Pass a file.", hint="Pass a file in it, or - to read stdin.")


def read_stdin(stdin: BinaryIO) -> bytes:
    """Read all of stdin. Ctrl-C ends the wait with KeyboardInterrupt, even in a coroutine."""
    with _interruptible():
        return stdin.read()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C interrupt a blocking call in a coroutine.

    asyncio's own handler only cancels the task, which takes effect after the call has returned.
    """
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or not _in_event_loop():  # if Ctrl-C is ignored, it stays ignored
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _in_event_loop() -> bool:
    """Return whether this is the main thread, which alone handles signals, and whether an event loop runs in it."""
    asyncio = sys.modules.get("asyncio")  # not imported here, so that `sign` starts faster
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and asyncio is not None and asyncio._get_running_loop() is not None  # noqa: SLF001 - asyncio's low-level API


def check_new_file(name: str, *, cwd: Path) -> None:
    """Raise StoreError if `write_new_file` would reject the name. Call this before work whose result would be lost.

    Raises UsageError for an empty name.
    """
    require_name(name)
    path = cwd / name
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        if not path.parent.is_dir():
            raise _without_folder(name) from None
    except (OSError, ValueError) as error:  # for example because the name is too long
        raise _not_creatable(name, error) from error
    else:
        raise _exists(name)


def write_new_file(name: str, content: bytes, *, cwd: Path) -> None:
    """Write a new file that only the user can read. Raises StoreError if the file exists or cannot be written.

    Raises UsageError for an empty name.

    An existing file is never overwritten, because someone else may have created a file or link with that name.
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


def check_replaceable(
    name: str,
    what: str,
    is_one: Callable[[bytes], bool],
    *,
    cwd: Path,
    hint: str = "Remove it, or pass another file name.",
) -> None:
    """Raise StoreError if `replace_file` should not write the name. Call this before work whose result would be lost.

    An existing file must be regular, and either empty or `what`, such as "a JUnit report". `is_one` gets the beginning
    of the file and returns whether it is. Raises UsageError for an empty name.
    """
    require_name(name)
    path = cwd / name
    try:
        is_regular = stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):  # the file is missing, or the name is invalid
        check_new_file(name, cwd=cwd)
        return
    beginning = b""
    if is_regular:
        with suppress(OSError), path.open("rb") as file:
            beginning = file.read(_BEGINNING)
    if not is_regular or (beginning and not is_one(beginning)):
        raise StoreError(f"{name} exists and is not {what}.", hint=hint)


def replace_file(name: str, content: bytes, *, cwd: Path) -> None:
    """Write a file that only the user can read, in place of a file that `check_replaceable` accepted.

    The new file takes over the name, so a link with this name that someone else created in the meantime is not
    followed. Raises StoreError if the file cannot be written.
    """
    path = cwd / name
    try:
        replace_own_file(path, content, fresh=path.with_name(f".{path.name[:99]}.{os.urandom(6).hex()}"), syncs=False)
    except OSError as error:
        raise _not_creatable(name, error) from error


def _exists(name: str) -> StoreError:
    return StoreError(f"{name} already exists.", hint="Remove or rename the existing file.")


def _without_folder(name: str) -> StoreError:
    return StoreError(f"The directory of {name} does not exist.", hint="Create it, or pass another file name.")


def _not_creatable(name: str, error: Exception) -> StoreError:
    reason = getattr(error, "strerror", None) or error
    return StoreError(f"{name} cannot be written: {reason}.", hint="Pass a file in a directory that you can write to.")
