"""The record of `doctor --json`, described in docs/reference/json-records.md."""

from __future__ import annotations

from typing import Any

from port_hook_cli.doctor.check import CheckResult

CHECK = "port-hook/check/1"


def check_record(result: CheckResult) -> dict[str, Any]:
    """Return the result of one check as a record."""
    return {
        "schema": CHECK,
        "check": result.check,
        "subject": result.subject or None,
        "state": str(result.state),
        "message": result.message,
        "next_step": result.next_step or None,
        "details": dict(result.details),
    }
