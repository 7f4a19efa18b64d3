"""The journal of retargeted actions and workflow nodes. Each change is on disk before it is made in Port.

Each action or node has one file in `~/.port-hook/retargets`. The directory has mode 0700, and the files have mode 0600.
A file is always replaced as a whole, and the file and the directory are synced, so that the journal survives a power
failure. Each file has a lock file beside it, which the listener holds locked. The system releases the lock whenever the
process ends, so port-hook does not have to trust a process ID.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from port_hook_cli.errors import RetargetError, StoreError
from port_hook_cli.files.own_files import (
    check_own_folder,
    lock_file,
    make_own_folder,
    read_own_file,
    replace_own_file,
    sync_folder,
)
from port_hook_cli.frozen import frozen
from port_hook_cli.retarget.entry import BadEntry, Entry, read_entry, write_entry

FOLDER = Path(".port-hook", "retargets")
_SUFFIX = ".json"
# An entry contains one action, and a response of Port's API has at most 8 MiB. In JSON, a byte may take six bytes.
_MAX_BYTES = 64 * 1024 * 1024
_FRESH = ".new"  # a file that the process with the lock is writing
# A check of a lock holds the lock for microseconds. A listener that starts at that moment tries again.
_TRIES = 20
_PAUSE_S = 0.01


@frozen(kw_only=True)
class Kept:
    """One file of the journal. If it cannot be read, `entry` is None and `fault` explains why."""

    path: Path
    entry: Entry | None
    is_held: bool
    fault: str = ""


class JournalClaim:
    """The exclusive right to change one action or node, until `release`, `finish` or the end of the process."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock: int | None = lock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def read(self) -> Entry | None:
        """Return the entry of the action or node, or None. Raises StoreError for an unreadable file."""
        with _store_errors(self.path):
            try:
                return _read(self.path)
            except FileNotFoundError:
                return None

    def write(self, entry: Entry) -> None:
        """Write the entry and sync it to the disk. Raises StoreError if the file cannot be written."""
        with _store_errors(self.path):
            replace_own_file(self.path, write_entry(entry).encode(), fresh=self.path.with_suffix(_FRESH))
            sync_folder(self.path.parent)

    def finish(self) -> None:
        """Delete the entry and release the claim. Raises StoreError if the file cannot be deleted."""
        with _store_errors(self.path):
            self.path.unlink(missing_ok=True)
            sync_folder(self.path.parent)
        self.release()

    def release(self) -> None:
        """Release the claim. An entry that was written stays for `port-hook restore`."""
        if self._lock is None:
            return
        if not self.path.exists():
            with suppress(OSError):  # Windows cannot delete open files, but an empty lock file is harmless
                self.path.with_suffix(_FRESH).unlink(missing_ok=True)
                _lock_path(self.path).unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None

    def take_turn(self, entry: Entry) -> JournalClaim | None:
        """Return the exclusive right to replace the workflow of `entry`, or None while another listener has this right.

        Listeners may retarget several nodes of one workflow, and each change replaces the whole workflow. Raises
        StoreError if the journal cannot be used.
        """
        path = _file(self.path.parent, "turn", entry.api_url, entry.owner_id, entry.identifier)
        with _store_errors(path):
            lock = lock_file(_lock_path(path))
        return None if lock is None else JournalClaim(path, lock)


class Journal:
    """The journal in a home directory. The first claim creates the journal's directory."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = home / FOLDER

    def claim(self, api_url: str, owner_id: str, name: str) -> JournalClaim:
        """Return the claim on an action or node (`WORKFLOW#NODE`).

        Raises RetargetError if another process has the claim. Organizations may use the same names. So `owner_id`,
        which is Port's ID of the action or of the organization, is part of the key.
        """
        path = _file(self._folder, api_url, owner_id, name)
        with _store_errors(path):
            for made in make_own_folder(self._home, FOLDER):
                sync_folder(made.parent)
            return self._claim(path, name)

    def reclaim(self, kept: Kept) -> JournalClaim | None:
        """Return the claim on an entry that a process left behind, or None if another process has the claim."""
        with _store_errors(kept.path):
            check_own_folder(self._home, FOLDER)
            lock = lock_file(_lock_path(kept.path))
        return None if lock is None else JournalClaim(kept.path, lock)

    def kept(self) -> tuple[Kept, ...]:
        """Return all files of the journal, sorted by name. `is_held` marks the files in use.

        An unreadable directory, such as a directory that `sudo port-hook` created, is returned like a file.
        """
        try:
            paths = [path for path in self._folder.iterdir() if path.suffix == _SUFFIX]
        except FileNotFoundError:
            return ()
        except OSError as error:
            return (Kept(path=self._folder, entry=None, is_held=False, fault=error.strerror or str(error)),)
        fault = self._fault() if paths else ""
        found = [kept for path in paths if (kept := _look(path, fault))]
        return tuple(sorted(found, key=lambda kept: (kept.entry.name if kept.entry else "", kept.path)))

    def count_leftovers(self) -> int:
        """Return the number of entries that ended listeners left behind. Never raises."""
        try:
            return sum(path.suffix == _SUFFIX and not _is_held(path) for path in self._folder.iterdir())
        except OSError:
            return 0

    def _fault(self) -> str:
        """Return why the journal's files are not used, or ""."""
        try:
            check_own_folder(self._home, FOLDER)
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def _claim(self, path: Path, name: str) -> JournalClaim:
        for _ in range(_TRIES):
            lock = lock_file(_lock_path(path))
            if lock is not None:
                return JournalClaim(path, lock)
            time.sleep(_PAUSE_S)
        raise RetargetError(
            f"Another listener on this machine has retargeted {name} and is still running.",
            hint="Stop that listener first. It then restores the URL.",
        )


def _file(folder: Path, *key: str) -> Path:
    digest = hashlib.sha256("\n".join(key).encode("utf-8", "replace")).hexdigest()
    return folder / f"{digest[:24]}{_SUFFIX}"


def _read(path: Path) -> Entry:
    return read_entry(read_own_file(path, _MAX_BYTES).decode("utf-8"))


def _look(path: Path, fault: str) -> Kept | None:
    is_held = _is_held(path)
    if fault:
        return Kept(path=path, entry=None, is_held=is_held, fault=fault)
    try:
        return Kept(path=path, entry=_read(path), is_held=is_held)
    except FileNotFoundError:
        return None  # the listener of this file has ended meanwhile
    except BadEntry as bad:
        return Kept(path=path, entry=None, is_held=is_held, fault=str(bad))
    except (OSError, UnicodeDecodeError) as error:
        return Kept(path=path, entry=None, is_held=is_held, fault=getattr(error, "strerror", "") or "it is not text")


def _lock_path(path: Path) -> Path:
    return path.with_suffix(".lock")


def _is_held(path: Path) -> bool:
    """Return whether a process has the lock.

    Return True on errors, because a running listener restores its own changes.
    """
    try:
        lock = lock_file(_lock_path(path), create=False)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    if lock is None:
        return True
    os.close(lock)
    return False


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except BadEntry as bad:
        raise StoreError(
            f"port-hook cannot read {path}: {bad}.",
            hint="If a later version of port-hook wrote it, run `port-hook restore` with that version.",
        ) from bad
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise StoreError(
            f"port-hook cannot use the journal {path}: {reason}.",
            hint="Check the permissions of the directory and the disk.",
        ) from error
