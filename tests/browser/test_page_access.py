"""What other sites, and browsers without the token, get from the inspector in a real Chromium: nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser, expect

from tests.browser.conftest import OpenPage
from tests.browser.inspecting import Desk, a_vm
from tests.servers import Handler, application

pytestmark = pytest.mark.asyncio(loop_scope="session")

# What a page of another site can try. Each returns what it learned, "" if it learned nothing.
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


async def test_browser_without_the_token_gets_nothing(shared_desk: Desk, browser: Browser) -> None:
    shared_desk.post(a_vm("secret-title"))
    context = await browser.new_context()
    page = await context.new_page()
    for path in ("/", "/api/captures", "/api/captures/last", "/api/session", "/page/app.js", "/?token=wrong"):
        response = await page.goto(f"{shared_desk.origin}{path}")
        assert response is not None
        assert response.status == 403
        text = await page.content()
        assert "secret-title" not in text
        assert "create_vm" not in text
    await context.close()


async def test_page_of_another_origin_reads_and_changes_nothing(
    shared_desk: Desk, backend: Handler, open_page: OpenPage
) -> None:
    shared_desk.post(a_vm("secret-title"))
    mine = await open_page(shared_desk, "?text=secret-title")
    await expect(mine.locator(".row:not(.empty)").first).to_be_visible()
    requests = len(backend.requests)
    with foreign_site() as site:
        # The same browser, with the inspector's cookie; "localhost" and "127.0.0.1" are sites of their own.
        for address in (site, site.replace("127.0.0.1", "localhost")):
            page = await mine.context.new_page()
            await page.goto(address)
            for name, attempt in ATTEMPTS.items():
                learned = await page.evaluate(
                    f"(base) => Promise.resolve().then(() => {attempt}).catch(() => '')", shared_desk.origin
                )
                assert learned == "", name
            for frame in page.frames[1:]:
                assert "create_vm" not in await frame.content()
            await page.evaluate(
                """(base) => { const form = document.createElement('form'); form.method = 'post';
                form.action = `${base}/api/captures/last/replay`; document.body.append(form); form.submit(); }""",
                shared_desk.origin,
            )
            await page.wait_for_url(re.compile("/replay$"))
            assert "create_vm" not in await page.content()
            await page.close()
    assert len(backend.requests) == requests


async def test_window_opened_by_another_site_is_out_of_its_reach(shared_desk: Desk, open_page: OpenPage) -> None:
    mine = await open_page(shared_desk)
    with foreign_site() as site:
        page = await mine.context.new_page()
        await page.goto(site)
        async with mine.context.expect_page() as opened:
            await page.evaluate("(base) => { window.victim = window.open(`${base}/`); }", shared_desk.origin)
        await (await opened.value).wait_for_load_state()
        learned = await page.evaluate(
            "() => { try { return window.victim.document.body.innerText; } catch { return ''; } }"
        )
        assert learned == ""
        await page.close()


async def test_token_is_not_kept_in_the_address_or_in_reach_of_scripts(shared_desk: Desk, open_page: OpenPage) -> None:
    page = await open_page(shared_desk)
    assert shared_desk.token not in page.url
    kept = await page.evaluate(
        "JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}, location.href])"
    )
    assert shared_desk.token not in kept
    assert json.loads(kept)[0] == ""
