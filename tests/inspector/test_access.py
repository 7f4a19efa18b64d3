"""Only a browser or a script with the token uses the inspector."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from port_hook_cli.inspector.access import entry_path
from port_hook_cli.inspector.door import CodeUse, Door
from port_hook_cli.inspector.page_files import load_page_files
from port_hook_cli.runtime import Runtime
from tests.factories import a_body, a_capture, a_document, an_invocation
from tests.inspectors import WITH_CHANGE, InspectorClient, keep, over_store
from tests.servers import NO_TLS
from tests.sockets import LOOPBACK, bound_addresses

CANARY = "canary-0f3b"
ADDRESSES = [
    ("GET", "/"),
    ("GET", "/0123456789abcdef"),
    ("GET", "/page/app.js"),
    ("GET", "/page/0123456789abcdef/app.js"),
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
    ("GET", "/api/runs/wfr_QOz6WoOB1Q2lmhZZ/retry?node=ship"),
    ("GET", "/api/nowhere"),
    ("OPTIONS", "/api/captures"),
    ("PUT", "/api/captures"),
    ("POST", "/api/captures/0123/replay"),
    ("POST", "/api/captures/0123/decrypt"),
    ("POST", "/api/runs/r_QOz6WoOB1Q2lmhZZ/report"),
    ("POST", "/api/runs/wfr_QOz6WoOB1Q2lmhZZ/retry"),
    ("POST", "/api/actions/create_vm/trigger"),
    ("GET", "/api/check"),
    ("POST", "/api/check"),
    ("POST", "/api/json"),
    ("POST", "/"),
]
READ = ("GET", "/api/captures")
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
    keep(store, [a_capture(an_invocation(a_body(a_document(action=CANARY)), target=f"/{CANARY}"))])
    async with over_store(runtime(), store) as found:
        yield found


def refusal_of(response: httpx.Response) -> int:
    """Return the status of a rejection, after checking that it reveals nothing and cannot be framed or cached."""
    assert CANARY not in response.text
    assert "captures.db" not in response.text
    assert "set-cookie" not in response.headers
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    return response.status_code


async def test_every_url_rejects_a_request_without_the_token(client: InspectorClient) -> None:
    token = client.opened.address.token
    for authorization in ("", "Bearer", "Bearer x", f"Basic {token}", f"Bearer {token[:-1]}", "Bearer é"):
        fields = {**WITH_CHANGE, "authorization": authorization.encode()}
        for method, path in ADDRESSES if not authorization else [READ]:
            response = await client.http.request(method, path, json={}, headers=fields)  # type: ignore[arg-type]
            assert refusal_of(response) == 403, (method, path, authorization)


async def test_every_url_rejects_another_site_even_with_the_token(client: InspectorClient) -> None:
    for name, (fields, status) in FOREIGN.items():
        for method, path in ADDRESSES if name == "another origin" else [READ]:
            response = await client.http.request(method, path, json={}, headers={**WITH_CHANGE, **fields})
            assert refusal_of(response) == status, (name, method, path)


async def test_post_from_a_form_is_rejected(client: InspectorClient) -> None:
    forms: tuple[dict[str, str], ...] = (
        {"content-type": "application/x-www-form-urlencoded", **WITH_CHANGE},
        {"content-type": "text/plain", **WITH_CHANGE},
        {"content-type": "application/json"},
        {"content-type": "application/json", "x-port-hook": "0"},
    )
    for fields in forms:
        for method, path in ADDRESSES:
            if method == "POST":
                assert refusal_of(await client.http.post(path, content=b"{}", headers=fields)) == 403


async def test_own_origin_is_accepted(client: InspectorClient) -> None:
    for host in (f"127.0.0.1:{client.opened.port}", f"localhost:{client.opened.port}"):
        fields = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
        assert (await client.http.get("/api/session", headers=fields)).status_code == 200


async def test_malformed_host_causes_no_error_of_the_server(client: InspectorClient) -> None:
    for host in ("localhost:abc", "localhost:99999999", "[", "[::1", "a b", "127.0.0.1:1:2", ""):
        for path in ("/", "/?token=x", "/api/session"):
            status = (await client.http.get(path, headers={"host": host})).status_code
            assert status in {200, 403, 404, 421}, (host, path)


def a_stranger(client: InspectorClient) -> httpx.AsyncClient:
    """Return a client without the token."""
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{client.opened.port}", verify=NO_TLS)


def old_cookie(token: str) -> dict[str, str]:
    """Return the cookie that opened the inspector before the token moved to the fragment."""
    return {"cookie": f"port_hook_inspector_{sha256(token.encode()).hexdigest()[:8]}={token}"}


async def test_token_in_a_cookie_is_rejected(client: InspectorClient) -> None:
    headers = {**WITH_CHANGE, **old_cookie(client.opened.address.token)}
    async with a_stranger(client) as browser:
        for method, path in ADDRESSES:
            assert refusal_of(await browser.request(method, path, json={}, headers=headers)) == 403, (method, path)


async def test_printed_url_opens_the_page_and_no_request_has_the_token(client: InspectorClient) -> None:
    path, _, fragment = client.opened.url.partition("#")
    assert fragment == f"token={client.opened.address.token}"
    async with a_stranger(client) as browser:
        for site in ("none", "cross-site"):  # a user may follow a link from anywhere
            page = await browser.get(path, headers={"sec-fetch-site": site})
            assert page.status_code == 200
            assert page.headers["content-type"].startswith("text/html")
            assert page.headers["referrer-policy"] == "no-referrer"
            assert page.headers["x-frame-options"] == "DENY"
            assert not {"set-cookie", "location"} & page.headers.keys()
            assert client.opened.address.token not in page.text
            assert CANARY not in page.text
        assert (await browser.get(path, headers={"host": "page.example"})).status_code == 421


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's table of sockets")
async def test_inspector_listens_only_on_loopback(client: InspectorClient) -> None:
    assert bound_addresses(client.opened.port) == {LOOPBACK}


async def test_page_has_another_url_for_each_token(runtime: Callable[..., Runtime], tmp_path: Path) -> None:
    """Another program at the port may have left a page at `/`, but not at a URL that it doesn't know."""
    store = tmp_path / "captures.db"
    keep(store, [a_capture()])
    entries = set()
    for _ in range(2):
        async with over_store(runtime(), store, remembers=False) as client:
            entries.add(client.opened.door.entry)
    assert len(entries) == 2
    assert entry_path("one") == entry_path("one") != entry_path("other")


async def test_server_proves_knowledge_of_the_token_without_revealing_it(client: InspectorClient) -> None:
    token = client.opened.address.token
    nonce = "0123456789abcdef" * 2
    async with a_stranger(client) as browser:
        found = await browser.get(f"/api/hello?nonce={nonce}")
        expected = hmac.new(token.encode(), f"port-hook hello {nonce}".encode(), "sha256").hexdigest()
        assert found.json()["proof"] == expected
        assert token not in found.text
        assert found.headers["cache-control"] == "no-store"
        # The sender of the nonce learns nothing else that is derived from the token.
        for bad in ("", "entry", "0" * 31, "0" * 129, "é" * 32, f"{nonce}\n"):
            response = await browser.get("/api/hello", params={"nonce": bad})
            assert (response.status_code, "proof" in response.json()) == (400, False)
        for fields, status in FOREIGN.values():
            assert (await browser.get(f"/api/hello?nonce={nonce}", headers=fields)).status_code == status


async def test_one_time_url_opens_the_page_once(client: InspectorClient) -> None:
    url = client.opened.url_for_once()
    token, page = client.opened.address.token, client.opened.door.page
    assert token not in url
    async with a_stranger(client) as browser:
        first = await browser.get(url)
        assert (first.status_code, first.headers["location"]) == (303, page)
        assert first.headers["cache-control"] == "no-store"
        assert (await client.http.get("/api/session")).status_code == 200
        second = await browser.get(url)
    assert refusal_of(second) == 403
    assert "opened before" in second.text
    assert "location" not in second.headers


async def test_second_use_of_a_one_time_url_replaces_the_token(client: InspectorClient) -> None:
    url, other = client.opened.url_for_once(), client.opened.url_for_once()
    old_token, old_entry = client.opened.address.token, client.opened.door.entry
    async with a_stranger(client) as browser, client.events() as events:
        await events.next("session")
        assert (await browser.get(url)).status_code == 303
        await browser.get(url)
        token = client.opened.address.token
        assert token != old_token
        with pytest.raises(httpx.RemoteProtocolError):
            await events.next("never")
        assert refusal_of(await client.http.get("/api/session")) == 403
        assert refusal_of(await browser.get(old_entry)) == 403
        assert refusal_of(await browser.get(url)) == 403
        assert client.opened.address.token == token  # it was replaced once
        assert refusal_of(await browser.get(other)) == 403
        assert (await browser.get(client.opened.door.entry)).status_code == 200
        headers = {"authorization": f"Bearer {token}"}
        assert (await browser.get("/api/session", headers=headers)).status_code == 200
        assert (await browser.get(client.opened.url_for_once())).headers["location"] == client.opened.door.page


async def test_one_time_url_is_rejected_for_other_sites_and_not_used_up(client: InspectorClient) -> None:
    url = client.opened.url_for_once()
    async with a_stranger(client) as browser:
        for fields, status in FOREIGN.values():
            assert refusal_of(await browser.get(url, headers=fields)) == status
        assert refusal_of(await browser.get("/once/unknown")) == 403
        assert (await browser.get(url)).status_code == 303


def test_code_expires_after_60_seconds_and_replaces_nothing_then() -> None:
    now = [0.0]
    door = Door("token", lambda: now[0])
    late = door.once().removeprefix("/once/")
    now[0] = 60.0
    assert door.open(late) is CodeUse.UNKNOWN
    assert door.token == "token"


def test_second_use_of_a_code_replaces_the_token_however_late_it_is() -> None:
    """Another user may have been first, and the browser may have waited for the user to choose a profile."""
    now = [0.0]
    door = Door("token", lambda: now[0])
    code, other = (door.once().removeprefix("/once/") for _ in range(2))
    assert door.open(code) is CodeUse.OPENED
    now[0] = 1_000_000.0
    assert door.open(other) is CodeUse.UNKNOWN
    assert door.open(code) is CodeUse.USED_BEFORE
    assert door.token != "token"
    assert door.open(code) is CodeUse.UNKNOWN


async def test_page_without_a_valid_token_asks_in_plain_text_to_open_the_printed_url(client: InspectorClient) -> None:
    async with a_stranger(client) as browser:
        # The headers that a browser sends when a user opens a URL.
        headers = {"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
        for path in ("/", "/?token=", "/?token=wrong", "/?token=%ED%A0%80", "/?token=%00", "/?x=1&token=é"):
            response = await browser.get(path, headers=headers)
            assert refusal_of(response) == 403, path
            assert response.headers["content-type"].startswith("text/plain")
            assert "Open the URL that port-hook printed" in response.text
            assert "{" not in response.text


async def test_no_file_beside_the_page_is_served(client: InspectorClient) -> None:
    version = load_page_files(client.opened.address.token).version
    for name in ("../access.py", "..%2faccess.py", "%2e%2e/access.py", "/etc/passwd", "a.py", "vendor", ""):
        for path in (f"/page/{name}", f"/page/{version}/{name}"):
            assert (await client.http.get(path)).status_code in {404, 405}, path


async def test_browsers_cache_only_the_files_of_the_page_and_only_of_this_version(client: InspectorClient) -> None:
    async with a_stranger(client) as browser:
        entry = await browser.get(client.opened.door.entry)
        assert entry.headers["cache-control"] == "no-store"
        version = entry.text.partition('src="/page/')[2].partition("/")[0]
        kept = await browser.get(f"/page/{version}/app.js")
        assert kept.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert kept.headers["content-security-policy"] == entry.headers["content-security-policy"]
        for fields, status in FOREIGN.values():
            assert refusal_of(await browser.get(f"/page/{version}/app.js", headers=fields)) == status
        missing = await browser.get(f"/page/{version}/nothing.js")
        assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-store")
    assert (await client.http.get(f"/page/{version[::-1]}/app.js")).status_code == 404


def test_version_of_the_page_s_files_depends_on_the_token() -> None:
    one, other = load_page_files("one"), load_page_files("other")
    assert one.version != other.version
    assert one.version == load_page_files("one").version
    assert one.version.encode() in one.entry.content
    assert b'"/page/app.js"' not in one.entry.content
