"""The check of the journal: what ended listeners left retargeted in Port."""

from __future__ import annotations

from pathlib import Path

from port_hook_cli.doctor.check import CheckResult, CheckState
from port_hook_cli.retarget.journal import Journal, Kept


def check_retargets(home: Path) -> CheckResult:
    """Return whether actions or workflow nodes still have the URL of a listener that has ended."""
    kept = Journal(home).kept()
    left = [_name(file) for file in kept if not file.is_held]
    held = [_name(file) for file in kept if file.is_held]
    details = {"left_behind": left, "in_use": held}
    if left:
        return CheckResult(
            check="retargets",
            state=CheckState.WARNING,
            message=f"Still with the URL of a listener that has ended: {', '.join(left)}.",
            next_step="Run `port-hook restore`.",
            details=details,
        )
    in_use = f"In use by a running listener: {', '.join(held)}." if held else "Nothing has to be restored in Port."
    return CheckResult(check="retargets", state=CheckState.OK, message=in_use, details=details)


def _name(kept: Kept) -> str:
    return kept.entry.name if kept.entry else f"{kept.path} ({kept.fault})"
