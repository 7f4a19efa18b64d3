"""The list and the frame around it, in cases that are rarer than those of test_page_flows.py."""

from __future__ import annotations

import asyncio
import http.client
import re
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Route, expect

from tests.browser.acting import assert_fits, opened, rows, scroll, sent, tab
from tests.browser.conftest import OpenPage, StartDesk
from tests.browser.inspecting import Desk, a_vm, fill
from tests.databases import edit
from tests.servers import Handler, application, handler

pytestmark = [pytest.mark.once, pytest.mark.extended, pytest.mark.asyncio(loop_scope="session")]

# Records the scroll positions and the first rows of the list in each frame, until a button says that rows wait.
_SEEN_UNTIL_WAITING = """(box) => new Promise((done) => {
  const seen = new Set();
  const look = () => {
    seen.add(`${box.scrollTop} ${box.querySelector(".row").id}`);
    if (document.querySelector(".waiting")) done([...seen]); else requestAnimationFrame(look);
  };
  look();
})"""
_HIDDEN = "Object.defineProperty(document, 'visibilityState', { get: () => window.shown ?? 'visible' });"
_SHOW = "(state) => { window.shown = state; document.dispatchEvent(new Event('visibilitychange')); }"
# `drop` ends the events, like the end of a listener. Lists are reloaded when `wait` is over.
_DROPPABLE = """
    const real = window.fetch;
    window.fetch = async (url, options) => {
      if (url.startsWith("/api/captures?")) await window.wait;
      if (!url.startsWith("/api/events")) return real(url, options);
      const ends = new AbortController();
      options.signal.addEventListener("abort", () => ends.abort());
      window.drop = () => ends.abort();
      return real(url, { ...options, signal: ends.signal });
    };
"""


async def test_list_can_be_used_at_400_percent_zoom(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, *"abcdef")
    page = await open_page(shared_desk, f"?text={mark}", width=320)
    await page.set_viewport_size({"width": 320, "height": 256})
    await expect(page.locator(".row:not(.empty)").first).to_contain_text("title=f")
    for _ in range(6):
        await page.keyboard.press("j")
    await expect(page.locator(".row.current")).to_be_in_viewport(ratio=0.9)
    await expect(page.locator(".row.current")).to_contain_text("title=a")
    await page.locator(".row:not(.empty)").nth(1).click()
    await page.keyboard.press("5")
    await expect(page.locator(".panel")).to_be_attached()
    await assert_fits(page)


async def test_key_held_down_acts_once_and_single_key_shortcuts_can_be_turned_off(
    shared_desk: Desk, receiver: Handler, open_page: OpenPage
) -> None:
    mark = sent(shared_desk, "a", "b", "c")
    page = await open_page(shared_desk, f"?text={mark}")
    await rows(page, 3)
    await page.keyboard.down("j")
    await page.keyboard.down("j")
    await page.keyboard.up("j")
    await page.keyboard.press("Enter")
    await expect(page.locator(".row.open")).to_contain_text(f"title=b-{mark}")
    for _ in range(5):
        await page.keyboard.down("r")
    await page.keyboard.up("r")
    await expect(page.get_by_role("region", name="Result").get_by_text("Now")).to_be_visible()
    await rows(page, 4)
    assert sum(f"b-{mark}".encode() in request.body for request in receiver.requests) == 2
    await page.keyboard.press("Escape")

    await page.keyboard.press("?")
    switch = page.get_by_role("switch", name="Single-key shortcuts")
    await expect(switch).to_be_checked()
    await switch.uncheck()
    await page.keyboard.press("Escape")
    await page.reload()
    await rows(page, 4)
    for key in ("t", "?", "/", "j"):
        await page.keyboard.press(key)
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.locator(".row.current")).to_have_count(0)
    await expect(page.get_by_role("searchbox").first).not_to_be_focused()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.keyboard.press("2")
    await expect(page.get_by_role("tab", name="Summary")).to_have_attribute("aria-selected", "true")
    await page.get_by_role("button", name="Keys").click()
    await switch.check()
    await page.keyboard.press("Escape")
    await tab(page, 2, "Body")


async def test_link_to_a_capture_scrolls_to_its_row_and_undrawn_rows_are_not_referenced(
    tmp_path: Path, start_desk: StartDesk, open_page: OpenPage
) -> None:
    fill(tmp_path, 3_000)
    page = await open_page(start_desk(command=("inspect",)), f"?open={100:012x}")
    row = page.locator(".row.open")
    await expect(row).to_be_in_viewport(ratio=1)
    await expect(row).to_have_attribute("aria-posinset", "2900")
    await expect(page).to_have_title("action_0 · 500 · port-hook")
    await page.keyboard.press("j")
    await expect(row).to_have_attribute("aria-posinset", "2901")
    box = page.get_by_role("listbox", name="Captures")
    await expect(box).to_have_attribute("aria-activedescendant", f"row-{99:012x}")
    await box.evaluate("box => { box.scrollTop = 6000; }")
    await expect(page.locator(f"#row-{99:012x}")).to_have_count(0)
    await expect(box).not_to_have_attribute("aria-activedescendant", re.compile("."))


async def test_theme_and_width_of_the_list_are_chosen_and_saved(shared_desk: Desk, open_page: OpenPage) -> None:
    page = await open_page(shared_desk, f"?text={sent(shared_desk)}", color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = await page.evaluate(background)
    await page.get_by_role("button", name="Theme: system").click()
    light = await page.evaluate(background)
    assert light != dark
    await opened(page)
    split = page.get_by_role("separator", name="Width of the list")
    await expect(split).to_have_attribute("aria-valuenow", "40")
    await split.focus()
    for _ in range(3):
        await page.keyboard.press("ArrowRight")
    await expect(split).to_have_attribute("aria-valuenow", "46")
    width = "document.querySelector('.left').getBoundingClientRect().width"
    assert abs(await page.evaluate(width) - 0.46 * 1600) < 2
    await page.mouse.move(0.46 * 1600, 500)
    await page.mouse.down()
    await page.mouse.move(800, 500, steps=3)
    await page.mouse.up()
    await page.reload()
    await expect(split).to_have_attribute("aria-valuenow", "50")
    assert abs(await page.evaluate(width) - 800) < 2
    assert await page.evaluate(background) == light
    await page.get_by_role("button", name="Theme: light").click()
    assert await page.evaluate(background) == dark
    await page.get_by_role("button", name="Theme: dark").click()
    await expect(page.get_by_role("button", name="Theme: system")).to_be_visible()
    await page.emulate_media(color_scheme="light")
    assert await page.evaluate(background) == light


async def test_page_hidden_at_a_scrolled_list_catches_up_without_moving(own_desk: Desk, open_page: OpenPage) -> None:
    sent(own_desk, *["vm"] * 30)
    page = await open_page(own_desk, script=_HIDDEN)
    await expect(page.get_by_text("30 captures")).to_be_visible()
    await scroll(page, 300)
    sent(own_desk, "one")
    await expect(page.get_by_role("button", name="1 new")).to_be_visible()
    await page.evaluate(_SHOW, "hidden")
    await expect(page.locator(".dot.live")).to_have_count(0)
    sent(own_desk, "two", "three")
    await page.evaluate(_SHOW, "visible")
    await expect(page.get_by_role("button", name="3 new")).to_be_visible()
    assert await page.locator(".scroll").evaluate("box => box.scrollTop") == 300


async def test_capture_arriving_while_a_scrolled_list_is_counted_waits(own_desk: Desk, open_page: OpenPage) -> None:
    sent(own_desk, *["vm"] * 30)
    has_arrived = asyncio.Event()

    async def late(route: Route) -> None:
        await has_arrived.wait()
        await route.continue_()

    page = await open_page(own_desk, routes={re.compile("/api/spans"): late})
    await expect(page.get_by_text("30 captures")).to_be_visible()
    await scroll(page, 300)
    sent(own_desk, "one")
    has_arrived.set()
    await expect(page.get_by_role("button", name=own_desk.url)).to_be_visible()  # shown after the numbers
    await expect(page.get_by_role("button", name="1 new")).to_be_visible()
    await expect(page.get_by_text("30 captures")).to_be_visible()


async def test_reused_numbers_show_no_old_rows(own_desk: Desk, open_page: OpenPage) -> None:
    own_desk.post(a_vm("kept"))
    own_desk.post(a_vm("old"))
    page = await open_page(own_desk)
    await rows(page, 2)
    await asyncio.to_thread(edit, own_desk.folder / ".port-hook" / "captures.db", "DELETE FROM captures WHERE seq = 2")
    own_desk.post(a_vm("new"))
    await expect(page.locator(".row:not(.empty)").first).to_contain_text("title=new")
    await rows(page, 2)


async def test_store_refilled_without_a_connection_shows_no_old_rows(own_desk: Desk, open_page: OpenPage) -> None:
    folder = own_desk.folder
    await asyncio.to_thread(fill, folder, 100)
    page = await open_page(own_desk, script=_DROPPABLE)
    await expect(page.get_by_text("100 captures")).to_be_visible()
    await page.locator(".scroll").evaluate("box => { box.scrollTop = box.scrollHeight; }")
    await expect(page.locator(".row", has_text=f"r_{0:016}")).to_be_visible()
    await page.evaluate("() => { window.wait = new Promise((go) => { window.go = go; }); window.drop(); }")
    await asyncio.to_thread(edit, folder / ".port-hook" / "captures.db", "DELETE FROM captures")
    await asyncio.to_thread(fill, folder, 100, first=1000)
    await page.evaluate("() => window.go()")
    await expect(page.locator(".row", has_text=f"r_{1000:016}")).to_be_visible()


async def test_dragging_over_the_timeline_filters_by_time(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, "a", "b")
    page = await open_page(shared_desk, f"?text={mark}")
    await page.locator(".timeline svg").wait_for()
    box = await page.locator(".timeline").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 20)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 20, steps=3)
    await page.mouse.up()
    await expect(page.get_by_role("button", name=re.compile("Remove the filter .* to "))).to_be_visible()
    assert "since=" in page.url
    assert "until=" in page.url


async def test_error_while_drawing_shows_a_message_and_a_way_out(shared_desk: Desk, open_page: OpenPage) -> None:
    async def broken(route: Any) -> None:
        response = await route.fetch()
        document = {**await response.json(), "verdict": None}
        await route.fulfill(response=response, json=document)

    routes = {re.compile(r"/api/captures/[0-9a-zA-Z]+$"): broken}
    page = await open_page(shared_desk, f"?text={sent(shared_desk)}", routes=routes)
    await rows(page, 1)
    await page.locator(".row").first.click()
    await expect(page.get_by_role("heading", name="This capture cannot be shown")).to_be_visible()
    await expect(page.get_by_role("button", name="Reload")).to_be_visible()
    await rows(page, 1)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("heading", name="This capture cannot be shown")).to_have_count(0)


async def test_page_stays_live_however_often_its_filters_change(shared_desk: Desk, open_page: OpenPage) -> None:
    sent(shared_desk)  # an empty list has no filters
    page = await open_page(shared_desk)
    await expect(page.locator(".dot.live")).to_have_count(1)
    button = page.get_by_role("button", name="malformed")
    for _ in range(8):  # a browser opens six connections to a server
        async with page.expect_response(lambda response: "/api/events" in response.url) as found:
            await button.click()
        assert (await found.value).status == 200
    mark = sent(shared_desk)
    await expect(page.locator(".row:not(.empty)").first).to_be_visible()
    await page.get_by_role("searchbox").first.fill(mark)
    await rows(page, 1)


async def test_list_is_requested_before_the_timeline_and_a_reload_requests_no_file_again(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    mark = sent(shared_desk)
    page = await open_page(shared_desk, f"?text={mark}&verdict=valid&tab=body")
    await rows(page, 1)
    await page.reload()
    await rows(page, 1)
    await expect(page.locator(".timeline svg")).to_be_attached()
    entries = await page.evaluate(
        "performance.getEntriesByType('resource').map(({name, transferSize}) => [new URL(name), transferSize])"
        ".map(([url, size]) => [url.pathname, url.search, size])"
    )
    asked = [(path, query) for path, query, _ in entries if path in {"/api/captures", "/api/spans", "/api/histogram"}]
    assert asked[0] == ("/api/captures", f"?text={mark}&verdict=valid&limit=40")
    assert [path for path, _ in asked].count("/api/captures") == 1
    files = {path.rpartition("/")[2]: size for path, _, size in entries if path.endswith(".js")}
    assert set(files.values()) == {0}
    assert {"app.js", "start.js", "preact.js"} <= set(files)


async def test_response_arriving_while_the_list_loads_is_shown(start_desk: StartDesk, open_page: OpenPage) -> None:
    release, is_held = threading.Event(), True

    async def respond(_: web.Request) -> web.Response:
        await asyncio.to_thread(release.wait, 30)
        return web.Response(text="ok")

    async def hold(route: Route) -> None:
        response = await route.fetch()
        if is_held:
            assert (await response.json())["captures"][0]["response"] is None
            release.set()
            await sending  # the page gets its list when the response is already there
        await route.fulfill(response=response)

    app = web.Application()
    app.router.add_post("/", respond)
    with application(app) as url:
        desk = start_desk("--forward-to", url)
        sending = asyncio.create_task(asyncio.to_thread(desk.post, a_vm("one")))
        try:
            while not (await asyncio.to_thread(desk.get, "/api/captures"))["captures"]:
                pass
            page = await open_page(desk, routes={re.compile(r"/api/captures\?"): hold})
            await expect(page.locator(".row .response")).to_have_text("200")
            is_held = False
        finally:
            release.set()
            await sending


async def test_list_does_not_move_when_very_many_captures_arrive(
    tmp_path: Path, start_desk: StartDesk, open_page: OpenPage
) -> None:
    fill(tmp_path, 300)
    page = await open_page(start_desk(command=("inspect",)))
    await expect(page.get_by_text("300 captures")).to_be_visible()
    await expect(page.locator(".dot.live")).to_have_count(1)
    box = page.locator(".scroll")
    await box.evaluate("box => { box.scrollTop = 5000; }")
    await expect(page.locator(".row:not(.empty)").first).to_contain_text(f"{300 - 5000 // 38 + 7:016d}")
    first = await box.locator(".row").first.get_attribute("id")
    seen = asyncio.ensure_future(box.evaluate(_SEEN_UNTIL_WAITING))
    await page.evaluate("1")  # the watch has begun
    await asyncio.to_thread(fill, tmp_path, 100, first=300)
    assert await seen == [f"5000 {first}"]
    await page.get_by_role("button", name="100 new").click()
    await expect(page.get_by_text("400 captures")).to_be_visible()


async def test_request_interrupted_by_the_end_of_its_listener_is_not_pending_in_an_open_page(
    start_desk: StartDesk, open_page: OpenPage
) -> None:
    with handler(delay_s=30) as target:
        desk = start_desk("--forward-to", target.url)
        page = await open_page(desk, allowed=("Failed to load", "ERR_"))  # the listener ends before the page
        sending = asyncio.create_task(asyncio.to_thread(desk.post, a_vm("one")))
        await expect(page.locator(".row .response")).to_have_text("pending")
        desk.process.send_signal(signal.SIGINT)
        await expect(page.locator(".row .response")).to_have_text("interrupted")
        with pytest.raises(http.client.RemoteDisconnected):
            await sending
