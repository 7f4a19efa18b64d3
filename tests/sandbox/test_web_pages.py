"""Web pages can call servers on loopback, even under another name (DNS rebinding). The sandbox rejects them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from port_hook_cli.sandbox import ApiEvent, Sandbox
from port_hook_cli.sandbox.routes import ROUTES
from tests.sandboxes import sandbox_with

# Without these headers, a page can only call routes that do not need a token.
UNTOLD = {"content-type": "text/plain"}
PAGES = {
    "another origin": ({"origin": "https://page.example"}, 403, "forbidden"),
    "another site": ({"sec-fetch-site": "cross-site"}, 403, "forbidden"),
    "another name, by itself": (
        {"host": "page.example", "origin": "http://page.example", "sec-fetch-site": "same-origin"},
        421,
        "misdirected_request",
    ),
}
TOKEN = ("POST", "/v1/auth/access_token")
CALLS = [(route.method, route.path.replace("{run_id}", "r_0123456789abcdef")) for route in ROUTES]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with Sandbox.start() as sandbox, httpx.AsyncClient(base_url=sandbox.url, headers=UNTOLD) as client:
        yield client


async def test_all_routes_except_the_token_route_require_a_token(client: httpx.AsyncClient) -> None:
    unguarded = []
    for number, (method, path) in enumerate(call for call in CALLS if call != TOKEN):
        spelled = (path, path.removeprefix("/v1"), f"/v1{path}")[number % 3]
        response = await client.request(method, spelled, content=b"{}", headers={"x-port-reserved-usage": "true"})
        if (response.status_code, response.json()["error"]) != (401, "unauthorized"):
            unguarded.append((method, spelled))
    assert unguarded == []


async def test_call_of_a_web_page_is_rejected_even_with_the_secret() -> None:
    events: list[ApiEvent] = []
    async with sandbox_with(on_event=events.append) as sandbox, httpx.AsyncClient(base_url=sandbox.url) as client:
        own = {"clientId": sandbox.client_id, "clientSecret": sandbox.client_secret.reveal()}
        assert (await client.post(TOKEN[1], json=own)).status_code == 200
        pages = [*PAGES.values()]
        for number, (method, path) in enumerate(CALLS):
            for fields, status, error in pages if (method, path) == TOKEN else [pages[number % len(pages)]]:
                response = await client.request(method, path, json=own, headers=fields)
                assert (response.status_code, response.json()["error"]) == (status, error), (method, path)
                assert (events[-1].status, error in events[-1].note) == (status, True)


async def test_responses_have_no_cors_headers(client: httpx.AsyncClient) -> None:
    for method in ("OPTIONS", "GET", "POST"):
        asked = {"access-control-request-method": "PUT", "access-control-request-headers": "authorization"}
        for path in (TOKEN[1], "/v1/actions/create_vm", "/"):
            response = await client.request(method, path, headers=asked)
            assert response.status_code >= 400
            assert [name for name in response.headers if name.startswith("access-control")] == []
