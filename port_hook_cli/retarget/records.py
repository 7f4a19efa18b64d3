"""The record of `restore --json`, described in docs/reference/json-records.md."""

from __future__ import annotations

from typing import Any

from port_hook_cli.retarget.entry import Entry

RESTORE = "port-hook/restore/1"


def restore_record(
    entry: Entry, outcome: str, message: str, *, dry_run: bool, version: int | None = None
) -> dict[str, Any]:
    """Return the record of restoring one action or workflow node; `message` says more than `outcome`.

    `version` is the new version of the workflow, if known.
    """
    return {
        "schema": RESTORE,
        "kind": entry.kind,
        "action": None if entry.node else entry.identifier,
        "workflow": entry.identifier if entry.node else None,
        "node": entry.node or None,
        "api_url": entry.api_url,
        "outcome": outcome,
        "message": message,
        "version": version,
        "dry_run": dry_run,
    }
