"""Private directories, files and locks of this user. port-hook reads them only if no one else can write to them.

Other users don't get access, regardless of the umask. Someone else may have planted an existing directory or file, so
its owner and mode are checked, but its mode is not changed. The system releases a lock when a process ends for any
reason, so port-hook doesn't need to rely on process IDs.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from port_hook_cli.files.settings_file import fault_of, is_private_group

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
# O_NONBLOCK is set so that a pipe in place of a file doesn't block the command.
_READ = os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | _NO_FOLLOW | getattr(os, "O_BINARY", 0)


class NotPrivateError(PermissionError):
    """Another user owns or can write to a port-hook file or directory. `strerror` explains the problem and the fix."""

    def __init__(self, reason: str, path: Path) -> None:
        super().__init__(errno.EACCES, reason, str(path))


def make_folders(folder: Path) -> list[Path]:
    """Create a directory and its missing parents, all with mode 0700. Return the created directories.

    `Path.mkdir(parents=True)` uses its mode only for the last directory. Raises OSError.
    """
    missing = [folder]
    while not missing[-1].exists():
        missing.append(missing[-1].parent)
    made = []
    for each in reversed(missing[:-1]):
        with suppress(FileExistsError):  # another process was faster
            each.mkdir(mode=0o700)
            made.append(each)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    return made


def make_own_folder(home: Path, folder: Path) -> list[Path]:
    """Create `folder`, a path relative to the home directory, and check each level. Return the created directories.

    Raises OSError, or NotPrivateError if another user owns or can write to a level.
    """
    made = make_folders(home / folder)
    check_own_folder(home, folder)
    return made


def check_own_folder(home: Path, folder: Path) -> None:
    """Raise NotPrivateError if another user owns or can write to a level of `folder`, relative to the home directory.

    Raises OSError for a missing level. A level may be a symbolic link of the same user.
    """
    path = home
    for name in folder.parts:
        path = path / name
        _check_owner(path, path.lstat())
        found = path.stat()
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        _check(path, found, repair="Check what is in it, then chmod 700")


def open_own_file(path: Path, flags: int = _READ) -> int:
    """Return a descriptor of a file of this user, by default for reading. Doesn't follow symbolic links.

    Raises OSError, or NotPrivateError for a file that another user owns or can write to, or that has another hard link.
    """
    handle = os.open(path, flags | _NO_FOLLOW, 0o600)
    try:
        _check_file(path, os.fstat(handle))
    except BaseException:
        os.close(handle)
        raise
    return handle


def read_own_file(path: Path, limit: int) -> bytes:
    """Return at most `limit` bytes from a file of this user. Raises the same errors as `open_own_file`."""
    with os.fdopen(open_own_file(path), "rb") as file:
        return file.read(limit)


def replace_own_file(path: Path, content: bytes, *, fresh: Path, syncs: bool = True) -> None:
    """Replace a whole file. `fresh` is a path for the new file in the same directory. Raises OSError.

    With `syncs`, the content is on disk before the new file gets the name `path`.

    If the system supports it, the content is written to a file without a name. So a killed process leaves nothing
    behind, except for a complete file at `fresh` if it is killed between two system calls. On other systems, the
    process can leave incomplete content at `fresh`. The caller makes sure that no other process uses `fresh`, and
    deletes leftover files.
    """
    fresh.unlink(missing_ok=True)
    try:
        if not _link_unnamed(fresh, content, syncs=syncs):
            with os.fdopen(os.open(fresh, _CREATE, 0o600), "wb") as file:
                _write(file.fileno(), content, syncs=syncs)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


if sys.platform == "linux":

    def _link_unnamed(fresh: Path, content: bytes, *, syncs: bool) -> bool:
        """Write `content` to an unnamed file, then link it to `fresh`. Return False if the system can't do this."""
        try:
            handle = os.open(fresh.parent, os.O_TMPFILE | os.O_WRONLY, 0o600)
        except OSError:
            return False
        folder = None
        try:
            _write(handle, content, syncs=syncs)
            folder = os.open(fresh.parent, os.O_RDONLY | os.O_DIRECTORY)
            os.link(f"/proc/self/fd/{handle}", fresh.name, dst_dir_fd=folder, follow_symlinks=True)
        except (FileNotFoundError, NotImplementedError):  # /proc is not mounted
            return False
        finally:
            os.close(handle)
            if folder is not None:
                os.close(folder)
        return True

else:

    def _link_unnamed(fresh: Path, content: bytes, *, syncs: bool) -> bool:
        """Return False, because the system does not support files without a name."""
        del fresh, content, syncs
        return False


def _write(handle: int, content: bytes, *, syncs: bool) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]
    if syncs:
        os.fsync(handle)


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotPrivateError("it is not a regular file", path)
    _check(path, found, repair="Check its content, then chmod 600")
    if found.st_nlink > 1:
        raise NotPrivateError("it has another name elsewhere (a hard link)", path)


def _check(path: Path, found: os.stat_result, *, repair: str) -> None:
    _check_owner(path, found)
    if sys.platform != "win32":
        fault = fault_of(
            found.st_mode,
            owner=found.st_uid,
            user=os.geteuid(),
            is_private=lambda: is_private_group(found.st_gid, owner=found.st_uid),
        )
        if fault:
            raise NotPrivateError(f"{fault[0]} (mode {stat.S_IMODE(found.st_mode):04o}). {repair} {path}", path)


def _check_owner(path: Path, found: os.stat_result) -> None:
    if sys.platform != "win32" and found.st_uid not in {0, os.geteuid()}:
        raise NotPrivateError(f"{path} belongs to another user (uid {found.st_uid})", path)


def lock_file(path: Path, *, create: bool = True) -> int | None:
    """Lock a file and return its descriptor, or None if another process holds the lock.

    The holder of a lock deletes the file, so the locked file must still be the file at `path`.
    """
    while True:
        handle = os.open(path, os.O_RDWR | _NO_FOLLOW | (os.O_CREAT if create else 0), 0o600)
        try:
            if not _try_lock(handle):
                os.close(handle)
                return None
            if _is_at(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def sync_folder(_: Path) -> None:
        """Do nothing, because Windows cannot sync a directory."""

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def sync_folder(folder: Path) -> None:
        """Write the names in a directory to the disk."""
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
