"""The record of a tunnel's change, described in docs/reference/json-records.md."""

from __future__ import annotations

from typing import Any

from port_hook_cli.invocations.records import EVENT
from port_hook_cli.tunnels.report import TunnelReport


def tunnel_event(report: TunnelReport) -> dict[str, Any]:
    """Return a change of the tunnel as the record that `listen --json` prints."""
    return {"schema": EVENT, "type": "tunnel", **tunnel_fields(report), "previous_url": report.previous_url}


def tunnel_fields(report: TunnelReport) -> dict[str, Any]:
    """Return the part of a tunnel's record that the summary of a session shows, too."""
    latency_ms = None if report.latency_ms is None else round(report.latency_ms, 3)
    return {"state": str(report.state), "url": report.url, "latency_ms": latency_ms, "reason": report.reason or None}
