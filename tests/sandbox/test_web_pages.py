"""Web pages can call servers on loopback, even under another name (DNS rebinding). The sandbox rejects them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from port_hook_cli.runs.seen_calls import CALLS
from port_hook_cli.sandbox import ApiEvent, Sandbox
from port_hook_cli.sandbox.messages import ApiRequest
from port_hook_cli.sandbox.routes import ROUTES, respond
from port_hook_cli.sandbox.state import SandboxState
from tests.sandboxes import sandbox_with
from tests.servers import NO_TLS

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
OTHERS = (("GET", CALLS), ("PATCH", "/v1/actions/runs/r_0123456789abcdef"), ("DELETE", "/v1/actions/create_vm"))
"""Calls that the server logs differently, because it does not log its own calls and those of a check."""


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with (
        Sandbox.start() as sandbox,
        httpx.AsyncClient(base_url=sandbox.url, headers=UNTOLD, verify=NO_TLS) as client,
    ):
        yield client


def test_all_routes_except_the_token_route_require_a_token() -> None:
    state, unguarded = SandboxState(now=lambda: 1_700_000_000.0), []
    for number, route in enumerate(route for route in ROUTES if (route.method, route.path) != TOKEN):
        path = (route.path, route.path.removeprefix("/v1"), f"/v1{route.path}")[number % 3]
        call = ApiRequest(method=route.method, segments=tuple(path.split("/")[1:]), body=b"{}", reserved=True)
        response = respond(state, call)
        if (response.status, response.document["error"]) != (401, "unauthorized"):
            unguarded.append((route.method, path))
    assert unguarded == []


async def test_call_of_a_web_page_is_rejected_even_with_the_secret() -> None:
    events: list[ApiEvent] = []
    async with (
        sandbox_with(on_event=events.append) as sandbox,
        httpx.AsyncClient(base_url=sandbox.url, verify=NO_TLS) as client,
    ):
        own = {"clientId": sandbox.client_id, "clientSecret": sandbox.client_secret.reveal()}
        assert (await client.post(TOKEN[1], json=own)).status_code == 200
        pages = [*PAGES.values()]
        for number, (method, path) in enumerate((TOKEN, *OTHERS)):
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
