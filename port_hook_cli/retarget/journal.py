"""The journal of retargeted actions: what a listener changed in Port, on disk before it is changed.

One file per action in `~/.port-hook/retargets` (folder 0700, files 0600), replaced as a whole and synced, file and
folder, so that it survives a power cut. Beside it stands a lock that the listener holds as long as it lives: the
system lets go of it when the process ends, however that is, so no process id has to be trusted.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from port_hook_cli.errors import RetargetError, StoreError
from port_hook_cli.retarget.entry import BadEntry, Entry, read_entry, write_entry

FOLDER = Path(".port-hook", "retargets")
_SUFFIX = ".json"
_FRESH = ".new"  # being written; only whoever holds the lock does so
# Whoever only looks whether a lock is held holds it for microseconds; a listener that starts just then waits that out.
_TRIES = 20
_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One file of the journal. `entry` is None and `fault` says why when it cannot be read."""

    path: Path
    entry: Entry | None
    is_held: bool
    fault: str = ""


class JournalClaim:
    """The right to change one action, held until `release` or `finish`, or the end of the process."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock: int | None = lock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def read(self) -> Entry | None:
        """Return what is written, or None; raises StoreError for a file that cannot be read."""
        with _store_errors(self.path):
            try:
                return read_entry(self.path.read_text("utf-8"))
            except FileNotFoundError:
                return None

    def write(self, entry: Entry) -> None:
        """Write the entry so that it is on disk when this returns; raises StoreError."""
        with _store_errors(self.path):
            fresh = self.path.with_suffix(_FRESH)
            handle = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(write_entry(entry))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
            _sync_folder(self.path.parent)

    def finish(self) -> None:
        """Take the file out of the journal, and release it; raises StoreError when it cannot be deleted."""
        with _store_errors(self.path):
            self.path.unlink(missing_ok=True)
            _sync_folder(self.path.parent)
        self.release()

    def release(self) -> None:
        """Let go of the action; what is written stays for `port-hook restore`."""
        if self._lock is None:
            return
        if not self.path.exists():
            with suppress(OSError):  # Windows keeps open files; an empty one that stays harms nobody
                self.path.with_suffix(_FRESH).unlink(missing_ok=True)
                _lock_path(self.path).unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None


class Journal:
    """The journal below a home folder. Nothing is made there before the first claim."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER

    def claim(self, api_url: str, original_id: str, identifier: str) -> JournalClaim:
        """Return the claim on an action; raises RetargetError while another process holds it.

        The same identifier may name actions of several organizations; Port's own id (`original_id`) tells them apart.
        """
        name = hashlib.sha256(f"{api_url}\n{original_id}\n{identifier}".encode("utf-8", "replace")).hexdigest()
        path = self._folder / f"{name[:24]}{_SUFFIX}"
        with _store_errors(path):
            _make_folder(self._folder)
            return self._claim(path, identifier)

    def reclaim(self, kept: Kept) -> JournalClaim | None:
        """Return the claim on what a process left behind, or None while one holds it."""
        with _store_errors(kept.path):
            lock = _lock(_lock_path(kept.path))
        return None if lock is None else JournalClaim(kept.path, lock)

    def kept(self) -> tuple[Kept, ...]:
        """Return every file of the journal, sorted by action; those in use say so."""
        paths = [path for path in self._paths() if path.suffix == _SUFFIX]
        found = [kept for path in paths if (kept := _look(path))]
        return tuple(sorted(found, key=lambda kept: (kept.entry.identifier if kept.entry else "", kept.path)))

    def count_leftovers(self) -> int:
        """Return how many actions a listener that has ended left behind. Never raises."""
        return sum(path.suffix == _SUFFIX and not _is_held(path) for path in self._paths())

    def _claim(self, path: Path, identifier: str) -> JournalClaim:
        for _ in range(_TRIES):
            lock = _lock(_lock_path(path))
            if lock is not None:
                return JournalClaim(path, lock)
            time.sleep(_PAUSE_S)
        raise RetargetError(
            f"Another port-hook on this machine has pointed {identifier} elsewhere and is still running.",
            hint="End that listener first; it puts the action back.",
        )

    def _paths(self) -> list[Path]:
        try:
            return list(self._folder.iterdir())
        except OSError:
            return []


def _look(path: Path) -> Kept | None:
    is_held = _is_held(path)
    try:
        return Kept(path=path, entry=read_entry(path.read_text("utf-8")), is_held=is_held)
    except FileNotFoundError:
        return None  # its listener ended in the meantime
    except BadEntry as bad:
        return Kept(path=path, entry=None, is_held=is_held, fault=str(bad))
    except (OSError, UnicodeDecodeError) as error:
        return Kept(path=path, entry=None, is_held=is_held, fault=getattr(error, "strerror", "") or "it is no text")


def _lock_path(path: Path) -> Path:
    return path.with_suffix(".lock")


def _is_held(path: Path) -> bool:
    """Whether a process holds the lock; an error counts as held, so that nothing is undone by mistake."""
    try:
        lock = _lock(_lock_path(path), create=False)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    if lock is None:
        return True
    os.close(lock)
    return False


def _lock(path: Path, *, create: bool = True) -> int | None:
    """Return an open file that holds the lock, or None while another process does.

    A lock file is deleted by the one that holds it, so the file that was locked has to be the one that is there now.
    """
    while True:
        handle = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
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

    def _sync_folder(_: Path) -> None:
        """Do nothing: Windows has no folders that could be synced."""

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _sync_folder(folder: Path) -> None:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _make_folder(folder: Path) -> None:
    for each in (folder.parent, folder):
        if not each.is_dir():
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_folder(each.parent)


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except BadEntry as bad:
        raise StoreError(
            f"{path} cannot be read: {bad}.", hint="A newer port-hook may have written it; restore with that one."
        ) from bad
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise StoreError(
            f"The journal {path} cannot be used: {reason}.", hint="Look at the folder's permissions and at the disk."
        ) from error
