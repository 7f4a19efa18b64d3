"""The record of `restore --json`, described in docs/reference/json-records.md."""

from __future__ import annotations

from typing import Any

from port_hook_cli.retarget.entry import Entry

RESTORE = "port-hook/restore/1"


def restore_record(entry: Entry, outcome: str, message: str, *, dry_run: bool) -> dict[str, Any]:
    """Return the record of restoring one action; `message` says more than `outcome`."""
    return {
        "schema": RESTORE,
        "action": entry.identifier,
        "api_url": entry.api_url,
        "outcome": outcome,
        "message": message,
        "dry_run": dry_run,
    }
