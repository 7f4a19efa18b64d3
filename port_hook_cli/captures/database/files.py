"""The files of a store: whether they can be trusted, and whether they are still the same files as at the opening.

A directory may come from an archive, a repository or another user of the machine. So a store's files must be regular
files that belong to this user, and other users must not be able to read or write them.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from port_hook_cli.errors import StoreError

FOLDER = ".port-hook"
LOG, INDEX = "-wal", "-shm"

_JOURNAL = "-journal"
_BESIDE = (LOG, INDEX, _JOURNAL)
_IGNORE = ".gitignore"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_NAME_ANOTHER = "Pass another file with --store (for a sandbox, --state)."
_REMOVE_IT = "Remove it, or pass another file with --store (for a sandbox, --state)."
# A rollback journal that ends with these bytes contains the name of another file. SQLite deletes that file when it uses
# the journal (https://www.sqlite.org/fileformat.html, "The Rollback Journal"). A single database never needs such a
# name.
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
# This is larger than the part of the index that SQLite ever maps. The file is sparse, so it doesn't take up disk space.
_INDEX_BYTES = 4 * 1024 * 1024


def beside(path: Path, suffix: str) -> Path:
    """Return the path of a file that SQLite creates next to a database."""
    return path.with_name(path.name + suffix)


def check_files(path: Path, *, show_only: bool) -> list[str]:
    """Return warnings about the store's files, without changing the files.

    Raises StoreError for a path without a file name, for symbolic links, and for files of another user. With
    `show_only`, files of another user only cause a warning, unless other users may write to them.
    """
    if not path.name:
        raise _unusable(path, "is not the name of a file")
    warnings = [warning for file, found in _found(path) for warning in _check(file, found, show_only=show_only)]
    _reject_journal(beside(path, _JOURNAL))
    return warnings


def close_to_others(path: Path, *, show_only: bool) -> list[str]:
    """Make the store's files private if they belong to this user. Return warnings about the files.

    Call this only for a database that port-hook has created, because port-hook does not change the mode of other files.
    For the same reason, only a directory with the name `.port-hook` is made private. Raises StoreError.
    """
    warnings: list[str] = []
    reported: list[int] = []
    for file, found in _found(path):
        mode = stat.S_IMODE(found.st_mode)
        is_own = sys.platform != "win32" and found.st_uid == os.geteuid()
        if is_own and mode & _OTHERS and file.path.name != _IGNORE:
            done = list(_close_to_others(file.path, mode, show_only=show_only))
            # SQLite has just created the files next to the store with the store's mode, which a warning has already
            # reported.
            warnings += [] if mode in reported else done
            reported += [] if file.is_folder else [mode]
    return warnings


class _StoreFile(NamedTuple):
    """The store's directory, or a file in it."""

    path: Path
    is_folder: bool = False


def _found(path: Path) -> Iterator[tuple[_StoreFile, os.stat_result]]:
    for file in _files(path):
        try:
            yield file, file.path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise _not_opened(file.path, error) from error


def _reject_journal(journal: Path) -> None:
    """Raise StoreError for a journal that would make SQLite delete a file that the journal's author chose."""
    try:
        with journal.open("rb") as file:
            if file.seek(0, os.SEEK_END) < len(_JOURNAL_MAGIC):
                return
            file.seek(-len(_JOURNAL_MAGIC), os.SEEK_END)
            names_another = file.read() == _JOURNAL_MAGIC
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _not_opened(journal, error) from error
    if names_another:
        raise _unusable(journal, "specifies another file, which SQLite would delete")


def make(path: Path) -> None:
    """Create the file and its directory if they are missing, readable only by this user. Raises StoreError."""
    from port_hook_cli.files.own_files import make_folders  # readers don't create directories

    try:
        make_folders(path.parent)
        if path.parent.name == FOLDER:
            _make_file(path.parent / _IGNORE, b"*\n")
        _make_file(path)
    except OSError as error:
        raise StoreError(
            f"The capture store {path} cannot be created: {error.strerror}.",
            hint="Check the permissions of its directory and the disk, or pass another store with --store.",
        ) from error


def _make_file(path: Path, content: bytes = b"") -> None:
    # An existing file is not even opened. Closing it would release the locks that SQLite holds on it in this process.
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
    with suppress(FileExistsError):
        descriptor = os.open(path, flags, 0o600)
        try:
            os.write(descriptor, content)
        finally:
            os.close(descriptor)


def _files(path: Path) -> Iterator[_StoreFile]:
    if path.parent.name == FOLDER:
        yield _StoreFile(path.parent, is_folder=True)
        yield _StoreFile(path.parent / _IGNORE)
    yield _StoreFile(path)
    for suffix in _BESIDE:
        yield _StoreFile(beside(path, suffix))


def _check(file: _StoreFile, found: os.stat_result, *, show_only: bool) -> Iterator[str]:
    path, is_folder = file
    if stat.S_ISLNK(found.st_mode):
        raise _unusable(path, "is a symbolic link, which port-hook does not follow")
    if not (stat.S_ISDIR if is_folder else stat.S_ISREG)(found.st_mode):
        kind = "folder" if is_folder else "regular file"
        raise StoreError(f"{path} could not be opened: it is not a {kind}.", hint=_NAME_ANOTHER)  # it may be a device
    if found.st_nlink > 1 and not is_folder:
        raise _unusable(path, "has another name elsewhere (a hard link), so port-hook would write there too")
    is_of_another_user = sys.platform != "win32" and found.st_uid != os.geteuid()
    if is_of_another_user:
        if not show_only or found.st_mode & _WRITABLE_BY_OTHERS:
            raise StoreError(f"{path} belongs to another user.", hint=_NAME_ANOTHER)
        yield f"{path} belongs to another user, who may have written anything into it"


def _close_to_others(file: Path, mode: int, *, show_only: bool) -> Iterator[str]:
    try:
        file.chmod(mode & ~_OTHERS)
    except OSError as error:
        if error.errno == errno.EROFS and (show_only or not mode & _WRITABLE_BY_OTHERS):
            return
        raise StoreError(
            f"{file} is open to other users, and that could not be changed: {error.strerror}.", hint=_NAME_ANOTHER
        ) from error
    done = "written" if mode & _WRITABLE_BY_OTHERS else "read"
    yield f"{file} could be {done} by other users (mode {mode:04o}). port-hook made it private"


def _not_opened(file: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{file} could not be opened: {error.strerror}.",
        hint=f"Check the permissions of its directory. {_NAME_ANOTHER}",
    )


def _unusable(file: Path, words: str) -> StoreError:
    return StoreError(f"{file} {words}.", hint=_REMOVE_IT)


class Files(NamedTuple):
    """The identities and sizes of a store's files, to detect replaced files. The identity of a missing file is None."""

    store_id: tuple[int, int] | None = None
    log_id: tuple[int, int] | None = None
    index_id: tuple[int, int] | None = None
    log_size: int = 0
    index_size: int = 0

    @classmethod
    def at(cls, path: Path | str) -> Files:
        """Return the current state of a store's files. A listener calls this for each write, with a `str` for speed."""
        name = str(path)
        (store, _), (log, log_size), (index, index_size) = map(_found_at, (name, name + LOG, name + INDEX))
        return cls(store, log, index, log_size, index_size)

    def is_same_as(self, other: Files) -> bool:
        """Return whether both values describe the same files, even with different sizes."""
        return (self.store_id, self.log_id, self.index_id) == (other.store_id, other.log_id, other.index_id)


def regrow(path: Path) -> None:
    """Restore the size of an emptied index (`-shm`).

    SQLite maps the index into memory, so the system would kill the process (SIGBUS) when it reads beyond the end of the
    index. The zeros are not a valid index, so SQLite makes a new index from the log.
    """
    if os.name == "posix":
        with suppress(OSError):
            os.truncate(beside(path, INDEX), _INDEX_BYTES)


def _found_at(name: str) -> tuple[tuple[int, int] | None, int]:
    """Return a file's identity and size, or None and 0 if the file is missing."""
    try:
        found = os.stat(name)  # noqa: PTH116 - os.stat is faster
    except OSError:
        return None, 0
    return (found.st_dev, found.st_ino), found.st_size
