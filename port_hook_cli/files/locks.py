"""Lock files: the system releases the lock when the process ends in any way, so no process id has to be trusted."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def lock_file(path: Path, *, create: bool = True) -> int | None:
    """Return a descriptor of the locked file, or None if another process has the lock.

    The holder of a lock deletes its file, so the locked file must still be the file at `path`.
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
        """Do nothing: Windows cannot sync a folder."""

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def sync_folder(folder: Path) -> None:
        """Write the names in a folder to the disk."""
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
