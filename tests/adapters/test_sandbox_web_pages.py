"""A web page can call a server on loopback, even under a name of its own (DNS rebinding): none gets anything done."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from port_hook_cli.adapters.sandbox import Sandbox
from port_hook_cli.adapters.sandbox.routes import ROUTES

PAGE = {"host": "page.example", "origin": "https://page.example", "content-type": "text/plain"}
TOKEN = ("POST", "/v1/auth/access_token")
CALLS = [(route.method, route.path.replace("{run_id}", "r_0123456789abcdef")) for route in ROUTES]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with Sandbox.start() as sandbox, httpx.AsyncClient(base_url=sandbox.url, headers=PAGE) as client:
        yield client


@pytest.mark.parametrize(("method", "path"), [call for call in CALLS if call != TOKEN])
async def test_every_route_but_the_tokens_wants_a_token(client: httpx.AsyncClient, method: str, path: str) -> None:
    for spelled in (path, path.removeprefix("/v1")):
        answer = await client.request(method, spelled, content=b"{}", headers={"x-port-reserved-usage": "true"})
        assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")


async def test_a_token_costs_the_secret(client: httpx.AsyncClient) -> None:
    for body in ('{"clientId": "sandbox", "clientSecret": ""}', "{}", "null"):
        assert (await client.request(*TOKEN, content=body)).status_code in {401, 422}


@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
async def test_no_browser_is_told_that_a_page_may_read_or_send_headers(client: httpx.AsyncClient, method: str) -> None:
    asked = {"access-control-request-method": "PUT", "access-control-request-headers": "authorization"}
    for path in (TOKEN[1], "/v1/actions/create_vm", "/"):
        answer = await client.request(method, path, headers=asked)
        assert answer.status_code >= 400
        assert [name for name in answer.headers if name.startswith("access-control")] == []
