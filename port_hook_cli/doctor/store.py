"""The check of the capture store: whether it can be written, how large it is, and where its last listener forwarded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from port_hook_cli.captures.database.files import LOG, beside
from port_hook_cli.captures.database.opening import store_path
from port_hook_cli.captures.store.capture_store import CaptureStore, open_store
from port_hook_cli.doctor.check import CheckResult, CheckState
from port_hook_cli.errors import StoreError
from port_hook_cli.replay.sources import handler_here
from port_hook_cli.runtime import Runtime

_MIB = 1024 * 1024


def check_store(option: Path | None, runtime: Runtime) -> tuple[CheckResult, str | None]:
    """Return the result, and where the last listener with the store forwarded to, if that is on this machine."""
    path = store_path(option, runtime.cwd)
    try:
        if not os.path.lexists(path):
            return _check_folder(path), None
        with open_store(option, runtime.cwd, show_only=True) as store:
            return _check(store), handler_here(store.last_target())
    except StoreError as problem:
        return _problem(path, problem), None


def _check(store: CaptureStore) -> CheckResult:
    count, size = store.count(), _size(store.path)
    store.check_writable()
    captures = f"{count:,} capture{'' if count == 1 else 's'}"
    return CheckResult(
        check="store",
        state=CheckState.WARNING if store.warnings else CheckState.OK,
        message=". ".join([f"{store.path} has {captures}, {size / _MIB:.1f} MiB", *store.warnings]) + ".",
        next_step="Check what is in it: it may not be your own." if store.warnings else "",
        details=_details(store.path, exists=True, writable=True, captures=count, size=size),
    )


def _check_folder(path: Path) -> CheckResult:
    """Check a store that does not exist yet: `listen` must be able to create it."""
    folder = next(folder for folder in path.parents if os.path.lexists(folder))
    is_writable = os.access(folder, os.W_OK | os.X_OK) and folder.is_dir()
    return CheckResult(
        check="store",
        state=CheckState.OK if is_writable else CheckState.PROBLEM,
        message=f"There is no store yet; `listen` creates {path}." if is_writable else f"{folder} cannot be written.",
        next_step="" if is_writable else "Change to another folder, or name another store with --store.",
        details=_details(path, exists=False, writable=is_writable),
    )


def _problem(path: Path, problem: StoreError) -> CheckResult:
    return CheckResult(
        check="store",
        state=CheckState.PROBLEM,
        message=problem.message,
        next_step=problem.hint,
        details=_details(path, exists=True, writable=False),
    )


def _details(
    path: Path, *, exists: bool, writable: bool, captures: int | None = None, size: int | None = None
) -> dict[str, Any]:
    return {"path": str(path), "exists": exists, "writable": writable, "captures": captures, "size_bytes": size}


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in (path, beside(path, LOG)) if os.path.lexists(file))
