"""Only a browser or a script with the token uses the inspector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from port_hook_cli.inspector.page_files import load_page_files
from port_hook_cli.runtime import Runtime
from tests.factories import a_body, a_document, an_exchange, an_invocation
from tests.inspectors import WITH_CHANGE, InspectorClient, keep, over_store

CANARY = "canary-0f3b"
ADDRESSES = [
    ("GET", "/"),
    ("GET", "/page/app.js"),
    ("GET", "/api/session"),
    ("GET", "/api/captures"),
    ("GET", "/api/spans"),
    ("GET", "/api/histogram"),
    ("GET", "/api/events"),
    ("GET", "/api/actions"),
    ("GET", "/api/compare?a=0123&b=0123"),
    ("GET", "/api/captures/0123"),
    ("GET", "/api/captures/0123/body"),
    ("GET", "/api/captures/0123/tree"),
    ("GET", "/api/captures/0123/export/curl"),
    ("GET", "/api/runs/r_QOz6WoOB1Q2lmhZZ"),
    ("GET", "/api/nowhere"),
    ("OPTIONS", "/api/captures"),
    ("PUT", "/api/captures"),
    ("POST", "/api/captures/0123/replay"),
    ("POST", "/api/captures/0123/decrypt"),
    ("POST", "/api/runs/r_QOz6WoOB1Q2lmhZZ/report"),
    ("POST", "/api/actions/create_vm/trigger"),
    ("POST", "/"),
]
FOREIGN = {
    "another origin": ({"origin": "https://page.example"}, 403),
    "a hidden origin": ({"origin": "null"}, 403),
    "another port of this machine": ({"origin": "http://127.0.0.1:1"}, 403),
    "another name of this machine": ({"origin": "http://localhost"}, 403),
    "a file": ({"origin": "file://"}, 403),
    "another site": ({"sec-fetch-site": "cross-site"}, 403),
    "the same site": ({"sec-fetch-site": "same-site"}, 403),
    "another host": ({"host": "page.example"}, 421),
    "another host by itself": (
        {"host": "page.example", "origin": "http://page.example", "sec-fetch-site": "same-origin"},
        421,
    ),
}


@pytest.fixture
async def client(runtime: Callable[..., Runtime], tmp_path: Path) -> AsyncIterator[InspectorClient]:
    store = tmp_path / "captures.db"
    keep(store, [an_exchange(an_invocation(a_body(a_document(action=CANARY)), target=f"/{CANARY}"))])
    async with over_store(runtime(), store) as found:
        yield found


def refusal_of(response: httpx.Response) -> int:
    """Return the status of a refusal, after checking that it tells nothing and may not be framed, cached or read."""
    assert CANARY not in response.text
    assert "captures.db" not in response.text
    assert "set-cookie" not in response.headers
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    return response.status_code


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
async def test_every_address_refuses_a_request_without_the_token(
    client: InspectorClient, method: str, path: str
) -> None:
    token = client.opened.address.token
    for authorization in ("", "Bearer", "Bearer x", f"Basic {token}", f"Bearer {token[:-1]}", "Bearer é"):
        fields = {**WITH_CHANGE, "authorization": authorization.encode()}
        response = await client.http.request(method, path, json={}, headers=fields)  # type: ignore[arg-type]
        assert refusal_of(response) == 403


@pytest.mark.parametrize(("fields", "status"), FOREIGN.values(), ids=FOREIGN)
async def test_every_address_refuses_another_site_even_with_the_token(
    client: InspectorClient, fields: dict[str, str], status: int
) -> None:
    for method, path in ADDRESSES:
        response = await client.http.request(method, path, json={}, headers={**WITH_CHANGE, **fields})
        assert refusal_of(response) == status


@pytest.mark.parametrize(
    "fields",
    [
        {"content-type": "application/x-www-form-urlencoded", **WITH_CHANGE},
        {"content-type": "text/plain", **WITH_CHANGE},
        {"content-type": "application/json"},
        {"content-type": "application/json", "x-port-hook": "0"},
    ],
)
async def test_post_that_a_form_could_send_is_refused(client: InspectorClient, fields: dict[str, str]) -> None:
    for method, path in ADDRESSES:
        if method == "POST":
            assert refusal_of(await client.http.post(path, content=b"{}", headers=fields)) == 403


async def test_own_origin_is_accepted(client: InspectorClient) -> None:
    for host in (f"127.0.0.1:{client.opened.port}", f"localhost:{client.opened.port}"):
        fields = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
        assert (await client.http.get("/api/session", headers=fields)).status_code == 200


@pytest.mark.parametrize("host", ["localhost:abc", "localhost:99999999", "[", "[::1", "a b", "127.0.0.1:1:2", ""])
async def test_malformed_host_causes_no_error_of_the_server(client: InspectorClient, host: str) -> None:
    for path in ("/", "/?token=x", "/api/session"):
        status = (await client.http.get(path, headers={"host": host})).status_code
        assert status in {200, 403, 421}


async def test_opening_the_url_sets_a_cookie_and_removes_the_token_from_the_address(client: InspectorClient) -> None:
    async with httpx.AsyncClient() as browser:
        response = await browser.get(f"{client.opened.url}&capture=a%26b&x=%C3%A9", headers={"sec-fetch-site": "none"})
        assert (response.status_code, response.headers["location"]) == (303, "/?capture=a%26b&x=%C3%A9")
        cookie = response.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert response.headers["referrer-policy"] == "no-referrer"
        page = await browser.get(f"http://127.0.0.1:{client.opened.port}/")
        assert page.headers["content-type"].startswith("text/html")
        assert client.opened.address.token not in page.text
        assert (await browser.get(f"http://127.0.0.1:{client.opened.port}/api/session")).status_code == 200


async def test_link_on_another_site_opens_the_page_without_a_redirect(client: InspectorClient) -> None:
    async with httpx.AsyncClient() as browser:
        response = await browser.get(f"{client.opened.url}&x=1", headers={"sec-fetch-site": "cross-site"})
    assert (response.status_code, response.headers["refresh"]) == (200, "0; url=/?x=1")
    assert "set-cookie" in response.headers
    assert client.opened.address.token not in response.text


@pytest.mark.parametrize(
    "path", ["/", "/?token=", "/?token=wrong", "/?token=%ED%A0%80", "/?token=%00", "/?x=1&token=é"]
)
async def test_page_without_a_valid_token_says_in_plain_text_to_open_the_printed_url(
    client: InspectorClient, path: str
) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{client.opened.port}") as browser:
        response = await browser.get(path)
    assert refusal_of(response) == 403
    assert response.headers["content-type"].startswith("text/plain")
    assert "Open the URL that port-hook printed" in response.text
    assert "{" not in response.text


@pytest.mark.parametrize(
    "target",
    [
        "//page.example/?token=TOKEN",
        "http://page.example/?token=TOKEN",
        "/\\page.example?token=TOKEN",
        "/?next=//page.example&token=TOKEN",
        "/?/%0d%0aset-cookie:x&token=TOKEN",
        "/%2f/page.example?token=TOKEN",
    ],
)
async def test_redirect_of_the_entry_stays_on_the_inspector(client: InspectorClient, target: str) -> None:
    request = f"GET {target.replace('TOKEN', client.opened.address.token)} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", client.opened.port)
    writer.write(f"{request}Connection: close\r\n\r\n".encode())
    head = (await asyncio.wait_for(reader.read(), 10)).decode().partition("\r\n\r\n")[0].lower()
    writer.close()
    locations = [line.partition(": ")[2] for line in head.splitlines() if line.startswith("location:")]
    assert all(place == "/" or place.startswith("/?") for place in locations)
    assert not any(line.startswith("set-cookie:x") for line in head.splitlines())


@pytest.mark.parametrize(
    "name", ["../access.py", "..%2faccess.py", "%2e%2e/access.py", "/etc/passwd", "a.py", "vendor", ""]
)
async def test_no_file_beside_the_page_is_served(client: InspectorClient, name: str) -> None:
    assert (await client.http.get(f"/page/{name}")).status_code in {404, 405}


@pytest.mark.parametrize(("query", "is_named"), [("", True), ("?open=aa&tab=body", True), ("?text=a", False)])
async def test_html_names_the_first_rows_only_where_the_list_has_no_filter(
    client: InspectorClient, query: str, is_named: bool
) -> None:
    html = (await client.http.get(f"/{query}")).text
    assert ('href="/api/captures?limit=40"' in html) is is_named
    assert '/app.js"' in html


async def test_browsers_keep_only_the_page_s_files_and_only_of_this_version(client: InspectorClient) -> None:
    entry = await client.http.get("/")
    assert entry.headers["cache-control"] == "no-store"
    version = entry.text.partition('src="/page/')[2].partition("/")[0]
    kept = await client.http.get(f"/page/{version}/app.js")
    plain = await client.http.get("/page/app.js")
    assert kept.content == plain.content
    assert (kept.headers["cache-control"], plain.headers["cache-control"]) == (
        "private, max-age=31536000, immutable",
        "no-store",
    )
    assert kept.headers["content-security-policy"] == plain.headers["content-security-policy"]
    assert (await client.http.get(f"/page/{version[::-1]}/app.js")).status_code == 404
    missing = await client.http.get(f"/page/{version}/nothing.js")
    assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-store")
    refused = await client.http.get(f"/page/{version}/app.js", headers={"authorization": ""})
    assert refusal_of(refused) == 403


def test_version_of_the_page_s_files_depends_on_the_token() -> None:
    one, other = load_page_files("one"), load_page_files("other")
    assert one.version != other.version
    assert one.version == load_page_files("one").version
    assert one.version.encode() in one.entry.content
    assert b'"/page/app.js"' not in one.entry.content
