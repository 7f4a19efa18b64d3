"""The records of `login --json` and `logout --json`, described in docs/reference/json-records.md."""

from __future__ import annotations

from typing import Any

from port_hook_cli.runs.urls import REGIONS

LOGIN = "port-hook/login/1"


def login_record(
    kind: str, name: str, client_id: str, api_url: str, *, kept_in: str, is_default: bool
) -> dict[str, Any]:
    """Return the record of a login that was kept, listed or removed (`kind`). It has no secret."""
    return {
        "schema": LOGIN,
        "type": kind,
        "organization": name,
        "client_id": client_id,
        "api_url": api_url,
        "region": next((region for region, url in REGIONS.items() if url == api_url.lower()), None),
        "kept_in": kept_in,
        "is_default": is_default,
    }
