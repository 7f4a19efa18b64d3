"""A report on disk: the part that Port has, and the part that is still to be sent.

Each report is a directory in `~/.port-hook/reports` with the log lines, a state file and a lock. The directory has the
mode 0700, and its files have the mode 0600. The state is written before each call, so that an interrupted report
continues where it stopped. A report contains no credentials.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from port_hook_cli.errors import StoreError
from port_hook_cli.files.own_files import check_own_folder, lock_file, make_own_folder, read_own_file, replace_own_file
from port_hook_cli.frozen import frozen
from port_hook_cli.reporting.spool import Spool
from port_hook_cli.runs.updates import Call, LogLevel, Purpose, log_calls, patch_call

FOLDER = Path(".port-hook", "reports")
_STATE, _FRESH, _LOCK = "state.json", "state.new", "lock"
_VERSION = 1
_MAX_STATE_BYTES = 8 * 1024 * 1024
_HINT = "Check the permissions of the directory and the disk."


@frozen(kw_only=True)
class ReportState:
    """The progress of sending a report. Its calls are made in this order: `first`, the log lines, `last`.

    `first_made` and `last_made` count the calls that Port has accepted, and `lines_sent` counts the bytes of the sent
    log lines. `unsure` means that Port may already have accepted the next call. `entries_before` is the number of log
    entries of the run before the first entry of this report, or None if it is unknown. `entries_sent` is the number of
    entries from this report. `last` is None while the command runs.
    """

    run_id: str
    api_url: str
    created_at: float
    level: str | None = None
    first: tuple[Mapping[str, Any], ...] = ()
    last: tuple[Mapping[str, Any], ...] | None = None
    first_made: int = 0
    last_made: int = 0
    lines_sent: int = 0
    unsure: bool = False
    entries_before: int | None = None
    entries_sent: int = 0

    @property
    def log_level(self) -> LogLevel | None:
        """The level of the log lines of a node run, or None."""
        return LogLevel(self.level) if self.level else None


def call_record(call: Call) -> dict[str, Any]:
    """Return the part of a call that a report's state stores."""
    return {"purpose": call.purpose.value, "body": call.body}


def kept_call(run_id: str, record: Mapping[str, Any]) -> Call:
    """Return the call in a record from `call_record`. Raises ValueError or LookupError for any other value."""
    body = record["body"]
    if Purpose(record["purpose"]) is Purpose.LOG:
        return replace(log_calls(run_id, "-")[0], body=body)
    return patch_call(run_id, body)


class KeptReport:
    """A report on disk. This process holds the report's lock until `release` or `delete`."""

    def __init__(self, folder: Path, lock: int, state: ReportState) -> None:
        self.folder = folder
        self.state = state
        self.spool = Spool(folder, state.lines_sent)
        self._lock: int | None = lock

    def save(self, **changes: Any) -> None:
        """Change the state and write it to disk. Ignores a failed write, for example on a full disk.

        Only a kill of this process then loses the change, because the state is still in memory.
        """
        self.state = replace(self.state, **changes)
        with suppress(OSError):
            _write_state(self.folder, self.state)

    def release(self) -> None:
        """Leave the report on disk, to be sent later."""
        self.spool.close()
        self._unlock()

    def delete(self) -> None:
        """Delete the report, because Port has the complete report or doesn't accept more of it."""
        self.spool.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class KeptReports:
    """The saved reports in a home directory."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = home / FOLDER

    def create(self, state: ReportState, report_id: str) -> KeptReport:
        """Create the directory of a new report. Raises StoreError."""
        folder = self._folder / f"{int(state.created_at * 1000):015d}-{report_id}"
        with _store_errors(folder):
            make_own_folder(self._home, FOLDER)
            folder.mkdir(mode=0o700)
            lock = lock_file(folder / _LOCK)
            assert lock is not None
            _write_state(folder, state)
        return KeptReport(folder, lock, state)

    def folders(self) -> list[Path]:
        """Return the directories of all reports, oldest first. Raises StoreError if they cannot be listed."""
        with _store_errors(self._folder), suppress(FileNotFoundError):
            return sorted(path for path in self._folder.iterdir() if path.is_dir() and not path.is_symlink())
        return []

    def open(self, folder: Path) -> KeptReport | None:
        """Return the report in a directory, or None if another process sends it. Raises StoreError if unreadable."""
        with _store_errors(folder):
            check_own_folder(self._home, FOLDER / folder.name)
            lock = lock_file(folder / _LOCK)
            if lock is None:
                return None
            try:
                return KeptReport(folder, lock, _read_state(folder))
            except BaseException:
                os.close(lock)
                raise

    def is_empty(self, folder: Path) -> bool:
        """Return whether a directory has no state, because a process was killed while it created the directory."""
        return not (folder / _STATE).exists()


def _write_state(folder: Path, state: ReportState) -> None:
    content = json.dumps({"version": _VERSION, **asdict(state)})
    replace_own_file(folder / _STATE, content.encode(), fresh=folder / _FRESH, syncs=False)


def _read_state(folder: Path) -> ReportState:
    document = json.loads(read_own_file(folder / _STATE, _MAX_STATE_BYTES))
    if document.pop("version") != _VERSION:
        raise ValueError("another version")
    _check(document)
    last = document.pop("last")
    first = tuple(document.pop("first"))
    return ReportState(**document, first=first, last=None if last is None else tuple(last))


def _check(document: Mapping[str, Any]) -> None:
    """Raise ValueError, LookupError or TypeError for values that port-hook never writes."""
    if not all(isinstance(document[name], str) for name in ("run_id", "api_url")):
        raise TypeError("a name is not text")
    if not all(type(document[name]) is int for name in ("first_made", "last_made", "lines_sent", "entries_sent")):
        raise TypeError("a count is not a number")
    LogLevel(document["level"] or LogLevel.INFO)
    for record in (*document["first"], *(document["last"] or ())):
        kept_call(document["run_id"], record)


@contextmanager
def _store_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"port-hook cannot use the report in {folder}: {error.strerror}.", hint=_HINT) from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"port-hook cannot read the report in {folder}.",
            hint="If a newer port-hook wrote it, send it with that version. To discard it, delete the directory.",
        ) from error
