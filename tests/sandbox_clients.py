"""A client that checks every response of the sandbox against Port's OpenAPI document, if this machine has it."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from port_hook_cli.sandbox import Sandbox
from tests.port_openapi import answer_schema, documented_route, faults, openapi_file
from tests.servers import NO_TLS

# The agent's routes are not in the document, and would match other routes.
AGENTS = ("/v1/actions/runs/ack", "/v1/actions/runs/claim-pending")
# Statuses that Port returns although its document does not have them: conflicts, rate limits and failures.
UNDOCUMENTED = {409, 429, 500}


@asynccontextmanager
async def a_client(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client that has a token."""
    async with httpx.AsyncClient(
        base_url=sandbox.url, verify=NO_TLS, event_hooks={"response": [require_documented]}
    ) as client:
        client.headers["authorization"] = f"Bearer {await token_of(client, sandbox)}"
        yield client


async def token_of(client: httpx.AsyncClient, sandbox: Sandbox) -> str:
    body = {"clientId": sandbox.client_id, "clientSecret": sandbox.client_secret.reveal()}
    response = (await client.post("/v1/auth/access_token", json=body)).json()
    return str(response["accessToken"])


async def rejection(answering: Any) -> tuple[int, str, str]:
    response = await answering
    document = response.json()
    assert document["ok"] is False
    return response.status_code, document["error"], document["message"]


async def require_invalid(answering: Any, words: str) -> None:
    """Fail unless the sandbox rejects a call as invalid, with these words."""
    status, slug, message = await rejection(answering)
    assert (status, slug) == (422, "invalid_request")
    assert words in message


async def require_documented(response: httpx.Response) -> None:
    """Fail if Port's document has the route, but not a response like this."""
    await response.aread()
    document = _document()
    if document is None or response.status_code in UNDOCUMENTED:
        return
    route = None if response.request.url.path in AGENTS else documented_route(document, response.request)
    if route is None:
        return
    where = (response.request.method, response.request.url.path, response.status_code)
    if response.request.method == "GET" and route == "/v1/actions/{action_identifier}" and response.is_success:
        return  # the document has no successful response for it
    schema = answer_schema(document, response.request.method, route, response.status_code)
    assert (where, faults(response.json(), schema)) == (where, [])


@functools.cache
def _document() -> dict[str, Any] | None:
    place = openapi_file()
    return None if place is None else json.loads(place.read_bytes())
