"""Other sites, and browsers without the token, get nothing from the inspector in a real Chromium."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import expect

from tests.browser.acting import rows, sent
from tests.browser.conftest import OpenPage, StartDesk
from tests.browser.inspecting import Desk, a_desk, a_vm
from tests.servers import Handler, RawRequest, application

pytestmark = pytest.mark.asyncio(loop_scope="session")

# What a page of another site can try. Each attempt returns what it learned, or "".
ATTEMPTS = {
    "fetch": "fetch(`${base}/api/captures`, {credentials: 'include'}).then((r) => r.text())",
    "no-cors fetch": "fetch(`${base}/api/captures`, {mode: 'no-cors', credentials: 'include'}).then((r) => r.text())",
    "cors post": """fetch(`${base}/api/captures/last/replay`, {method: 'POST', credentials: 'include', body: '{}',
        headers: {'content-type': 'application/json', 'x-port-hook': '1'}}).then((r) => r.text())""",
    "simple post": """fetch(`${base}/api/captures/last/replay`, {method: 'POST', mode: 'no-cors',
        credentials: 'include', body: '{}'}).then((r) => r.text())""",
    "events": """new Promise((done) => { const source = new EventSource(`${base}/api/events`, {withCredentials: true});
        source.addEventListener('session', (event) => done(event.data)); source.onerror = () => done(''); })""",
    "image": """new Promise((done) => { const image = new Image(); image.onload = () => done('loaded');
        image.onerror = () => done(''); image.src = `${base}/page/icon.svg`; })""",
    "script": """new Promise((done) => { const script = document.createElement('script'); script.onload = () =>
        done('loaded'); script.onerror = () => done(''); script.src = `${base}/page/api.js`;
        document.head.append(script); })""",
    "frame": """new Promise((done) => { const frame = document.createElement('iframe'); frame.src = `${base}/`;
        frame.onload = () => { try { done(frame.contentDocument ? '' : ''); } catch { done(''); } };
        document.body.append(frame); })""",
}


async def foreign_page(request: web.Request) -> web.Response:
    return web.Response(text="<!doctype html><title>Elsewhere</title><body>", content_type="text/html")


def foreign_site() -> Any:
    app = web.Application()
    app.router.add_get("/", foreign_page)
    return application(app)


async def test_page_of_another_origin_reads_and_changes_nothing(
    shared_desk: Desk, receiver: Handler, open_page: OpenPage
) -> None:
    mark = sent(shared_desk, "secret")
    mine = await open_page(shared_desk, f"?text={mark}")
    await rows(mine, 1)
    requests = len(receiver.requests)
    page = await mine.context.new_page()
    with foreign_site() as site:
        # The same browser; "localhost" and "127.0.0.1" are sites of their own.
        for address in (site, site.replace("127.0.0.1", "localhost")):
            await page.goto(address)
            for name, attempt in ATTEMPTS.items():
                learned = await page.evaluate(
                    f"(base) => Promise.resolve().then(() => {attempt}).catch(() => '')", shared_desk.origin
                )
                assert learned == "", name
            for frame in page.frames[1:]:
                assert "create_vm" not in await frame.content()
        async with mine.context.expect_page() as popup:
            await page.evaluate("(base) => { window.victim = window.open(`${base}/`); }", shared_desk.origin)
        await (await popup.value).wait_for_load_state()
        look = "() => { try { return window.victim.document.body.innerText; } catch { return ''; } }"
        assert await page.evaluate(look) == ""
        await page.evaluate(
            """(base) => { const form = document.createElement('form'); form.method = 'post';
            form.action = `${base}/api/captures/last/replay`; document.body.append(form); form.submit(); }""",
            shared_desk.origin,
        )
        await page.wait_for_url(re.compile("/replay$"))
        assert "create_vm" not in await page.content()
    assert len(receiver.requests) == requests


@asynccontextmanager
async def another_program(port: int = 0) -> AsyncIterator[tuple[int, list[RawRequest]]]:
    """Respond to any request to a port. Yield the port, and the received requests."""
    content = b'{"proof": "00", "captures": [], "position": "x"}'
    it = Handler(answer=b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n" + content)
    async with await asyncio.start_server(it.serve, "127.0.0.1", port) as server:
        yield server.sockets[0].getsockname()[1], it.requests


async def test_token_stays_in_the_tab_and_is_not_sent_to_a_server_on_another_port(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    mark = sent(shared_desk, "secret")
    page = await open_page(shared_desk, f"?text={mark}", allowed=("favicon",))
    await rows(page, 1)
    assert page.url == f"{shared_desk.page}?text={mark}"
    kept = await page.evaluate("JSON.stringify([document.cookie, {...localStorage}])")
    assert json.loads(kept) == ["", {}]
    await page.reload()
    await rows(page, 1)
    other = await page.context.new_page()
    await other.goto(page.url)
    await expect(other.get_by_text("Open the URL that port-hook printed last.")).to_be_visible()
    assert "create_vm" not in await other.content()
    await other.goto(f"{page.url}#token={shared_desk.token}")  # only the fragment differs
    await rows(other, 1)
    assert other.url == page.url
    async with another_program() as (port, requests):
        async with page.context.expect_page() as linked:
            await page.evaluate("(url) => { window.open(url); }", f"http://127.0.0.1:{port}/linked")
        await (await linked.value).wait_for_load_state()
        await other.evaluate("(url) => { window.location = url; }", f"http://127.0.0.1:{port}/left")
        await other.wait_for_url("**/left")
        await other.goto(f"http://127.0.0.1:{port}/typed")
    own = f"http://127.0.0.1:{port}/"
    assert {request.line.split()[1] for request in requests} >= {"/typed", "/linked", "/left"}
    for request in requests:
        assert shared_desk.token.encode() not in request.head
        assert not {name.lower() for name, _ in request.fields} & {"cookie", "authorization"}
        # Chromium's request for the other server's icon has that server's own page as its referrer.
        assert (request.value("referer") or own).startswith(own)


async def test_page_sends_no_token_to_another_program_at_its_port_and_follows_a_restarted_listener(
    tmp_path: Path, receiver: Handler, start_desk: StartDesk, open_page: OpenPage
) -> None:
    options = ("--forward-to", str(receiver.port))
    with a_desk(tmp_path, *options) as desk:
        port, token = int(desk.origin.rpartition(":")[2]), desk.token
        desk.post(a_vm("before"))
        page = await open_page(desk, allowed=("Failed to load", "ERR_"))
        await rows(page, 1)
    await expect(page.locator(".dot.live")).to_have_count(0)
    async with another_program(port) as (_, requests):
        await expect(page.get_by_text("does not know this page's token")).to_be_visible()
        for _ in range(2):  # it repeats the request
            await page.wait_for_event("requestfinished")
    assert all(request.line.startswith("GET /api/hello?nonce=") for request in requests)
    assert not [request for request in requests if token.encode() in request.head or request.value("authorization")]
    desk = start_desk(*options, "--inspect-port", str(port))
    assert desk.token == token
    desk.post(a_vm("after"))
    await rows(page, 2)
    await expect(page.locator(".dot.live")).to_have_count(1)
