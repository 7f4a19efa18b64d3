"""Claim runs like Port's execution agent and integrations."""

from __future__ import annotations

from typing import Any

import httpx

AGENT = "_PORT_EXEC_AGENT"
CLAIM = {"installationId": AGENT, "limit": 10, "invocationMethod": "WEBHOOK"}
RESERVED = {"x-port-reserved-usage": "true"}


async def claim(client: httpx.AsyncClient, **body: Any) -> list[dict[str, Any]]:
    """Claim action runs, and return them."""
    return await _claimed(client, "/v1/actions/runs", "runs", body)


async def claim_nodes(client: httpx.AsyncClient, base: str = "/v1/workflows/runs", **body: Any) -> list[dict[str, Any]]:
    """Claim node runs, and return them."""
    return await _claimed(client, base, "nodeRuns", body)


async def _claimed(client: httpx.AsyncClient, base: str, name: str, body: Any) -> list[dict[str, Any]]:
    response = await client.post(f"{base}/claim-pending", json=body, headers=RESERVED)
    assert response.status_code == 200, response.text
    claimed: list[dict[str, Any]] = response.json()[name]
    return claimed
