"""The list and the frame around it: widths, keys, titles, theme, split, and hidden pages."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import Route, expect

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.models import Delivery, Response
from tests.browser.acting import rows, scroll
from tests.browser.conftest import OpenPage
from tests.browser.inspecting import Desk, a_desk, a_vm, fill
from tests.browser.test_page_accessibility import violations, with_axe
from tests.databases import edit
from tests.factories import a_body, a_capture, an_invocation
from tests.servers import Handler

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]

WIDTHS = (320, 400, 720, 768, 1000, 1440, 1920)
# What sticks out: parts of the first rows out of their row, rows out of the list, and the document out of the window.
_STICKS_OUT = """() => {
  const found = [];
  const inside = (inner, outer, name) => {
    const [a, b] = [inner.getBoundingClientRect(), outer.getBoundingClientRect()];
    if (a.width && (a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1))
      found.push(`${name} ${inner.className}`);
  };
  const list = document.querySelector(".list");
  if (list?.checkVisibility()) {
    for (const row of [...document.querySelectorAll(".row:not(.empty)")].slice(0, 5)) {
      if (row.scrollWidth > row.clientWidth) found.push("row is wider than its box");
      for (const cell of row.children) inside(cell, row, "row:");
      for (const cell of row.querySelectorAll(".when, .verdict, .response, .handler"))
        if (cell.scrollWidth > cell.clientWidth) found.push(`cut: ${cell.textContent}`);
      const pill = row.querySelector(".response");
      if (!pill.checkVisibility() || pill.getBoundingClientRect().width < 30) found.push("no response");
    }
    for (const cell of document.querySelectorAll(".list-head > *")) inside(cell, list, "head:");
  }
  for (const button of document.querySelectorAll(".top button")) inside(button, document.documentElement, "top:");
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) found.push(`document is ${root.scrollWidth} px wide`);
  return found;
}"""
_ALIGNED = """() => ["verdict", "what", "response"].every((name) => {
  const [a, b] = [".list-head", ".row:not(.empty)"].map((where) => document.querySelector(`${where} .${name}`));
  return Math.abs(a.getBoundingClientRect().left - b.getBoundingClientRect().left) < 1;
})"""
_HIDDEN = "Object.defineProperty(document, 'visibilityState', { get: () => window.shown ?? 'visible' });"
_SHOW = "(state) => { window.shown = state; document.dispatchEvent(new Event('visibilitychange')); }"


def sent(desk: Desk, *titles: str, **properties: Any) -> str:
    mark = f"t{uuid4().hex[:10]}"
    for title in titles:
        desk.post(a_vm(f"{title}-{mark}", **properties))
    return mark


async def test_nothing_is_cut_off_at_any_width(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, "a-machine-with-quite-a-long-name", "b", "c")
    delivery = Delivery(url="http://127.0.0.1:9/", status=500, latency_ms=12.5)
    unreachable = replace(delivery, status=None, fault="unreachable", latency_ms=1200.0)
    bodies = [an_invocation(a_body(a_vm(mark)), id=uuid4().hex[:12], received_at=time.time() - 1e7) for _ in range(2)]
    with open_store(None, shared_desk.folder) as store:
        store.add([a_capture(bodies[0], delivery=delivery, response=Response(status=502))])
        store.add([a_capture(bodies[1], delivery=unreachable)])
    page = await open_page(shared_desk, f"?text={mark}")
    await rows(page, 5)
    await expect(page.locator(".row .handler").nth(1)).to_have_text("handler 500 12.5 ms")
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 900})
        assert await page.evaluate(_STICKS_OUT) == [], width
        if width >= 1000:
            assert await page.evaluate(_ALIGNED), width
        await page.locator(".row").first.click()
        await expect(page.locator(".head h2")).to_be_visible()
        assert await page.evaluate(_STICKS_OUT) == [], f"{width} with a capture open"
        await page.keyboard.press("Escape")
        await expect(page.locator(".detail")).to_have_count(0)


async def test_list_can_be_used_at_400_percent_zoom(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, *"abcdef")
    page = await open_page(shared_desk, f"?text={mark}", width=320)
    await page.set_viewport_size({"width": 320, "height": 256})
    await expect(page.locator(".row:not(.empty)").first).to_contain_text("title=f")
    assert await page.evaluate(_STICKS_OUT) == []
    for _ in range(6):
        await page.keyboard.press("j")
    await expect(page.locator(".row.current")).to_be_in_viewport(ratio=0.9)
    await expect(page.locator(".row.current")).to_contain_text("title=a")
    await page.locator(".row:not(.empty)").nth(1).click()
    await page.keyboard.press("5")
    await expect(page.locator(".panel")).to_be_attached()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320


async def test_rows_distinguish_invocations_and_show_one_status(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, "one", cpu=64)
    shared_desk.post(a_vm(f"large-{mark}", log="x" * 400_000))
    page = await open_page(shared_desk, f"?text={mark}", width=1440)
    await rows(page, 2)
    large, small = page.locator(".row:not(.empty)").first, page.locator(".row:not(.empty)").last
    await expect(small.locator(".digest")).to_contain_text(f"title=one-{mark} cpu=64")
    await expect(small).to_have_text(re.compile(r"^(?!.*202.*202).*202 +[\d.]+ ms$", re.DOTALL))
    await expect(large.locator(".what strong")).to_have_text("create_vm")
    await expect(large.locator(".who")).to_have_text("zoë@example.com")
    await expect(large.locator(".digest")).to_contain_text(f"title=large-{mark}")


async def test_cursor_stays_on_its_capture_when_another_arrives(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, *"abcd")
    page = await open_page(shared_desk, f"?text={mark}")
    await rows(page, 4)
    for _ in range(3):
        await page.keyboard.press("j")
    current = page.locator(".row.current")
    await expect(current).to_contain_text(f"title=b-{mark}")
    shared_desk.post(a_vm(f"e-{mark}"))
    await rows(page, 5)
    await expect(current).to_contain_text(f"title=b-{mark}")
    await expect(current).to_have_attribute("aria-posinset", "4")
    await expect(current).to_have_attribute("aria-setsize", "5")
    await page.keyboard.press("Enter")
    await expect(page.locator(".row.open")).to_contain_text(f"title=b-{mark}")
    await page.keyboard.press("j")
    await expect(page.locator(".row.open")).to_contain_text(f"title=a-{mark}")


async def test_key_held_down_acts_once(shared_desk: Desk, receiver: Handler, open_page: OpenPage) -> None:
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


async def test_single_key_shortcuts_can_be_turned_off(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, "a", "b")
    page = await open_page(shared_desk, f"?text={mark}")
    await rows(page, 2)
    await page.keyboard.press("?")
    switch = page.get_by_role("switch", name="Single-key shortcuts")
    await expect(switch).to_be_checked()
    await switch.uncheck()
    await page.keyboard.press("Escape")
    await page.reload()
    await rows(page, 2)
    for key in ("t", "?", "/", "j"):
        await page.keyboard.press(key)
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.locator(".row.current")).to_have_count(0)
    await expect(page.get_by_role("searchbox").first).not_to_be_focused()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.locator(".row.open")).to_contain_text(f"title=b-{mark}")
    await page.keyboard.press("2")
    await expect(page.get_by_role("tab", name="Summary")).to_have_attribute("aria-selected", "true")
    await page.get_by_role("button", name="Keys").click()
    await switch.check()
    await page.keyboard.press("Escape")
    await page.keyboard.press("2")
    await expect(page.get_by_role("tab", name="Body")).to_have_attribute("aria-selected", "true")


async def test_list_does_not_reference_undrawn_rows(tmp_path: Path, open_page: OpenPage) -> None:
    fill(tmp_path, 300)
    with a_desk(tmp_path, command=("inspect",)) as desk:
        page = await open_page(desk)
        await expect(page.get_by_text("300 captures")).to_be_visible()
        await page.keyboard.press("j")
        box = page.get_by_role("listbox", name="Captures")
        await expect(box).to_have_attribute("aria-activedescendant", f"row-{299:012x}")
        await box.evaluate("box => { box.scrollTop = 6000; }")
        await expect(page.locator(f"#row-{299:012x}")).to_have_count(0)
        await expect(box).not_to_have_attribute("aria-activedescendant", re.compile("."))
        await page.close()


async def test_axe_finds_nothing_in_the_frame(own_desk: Desk, open_page: OpenPage) -> None:
    page = await open_page(own_desk, width=400)
    await expect(page.locator(".empty-state pre").first).to_be_visible()
    await with_axe(page)

    async def check(where: str) -> None:
        assert [(each["id"], each["nodes"][0]["html"][:200]) for each in await violations(page)] == [], where

    await check("empty")
    sent(own_desk, *["vm"] * 30)
    await expect(page.locator(".row:not(.empty)").nth(10)).to_be_attached()
    for width, height in ((320, 256), (400, 900), (1440, 900)):
        await page.set_viewport_size({"width": width, "height": height})
        await check(f"list at {width}")
    await page.keyboard.press("j")
    await scroll(page, 900)
    await page.emulate_media(color_scheme="dark")
    await check("dark")
    await page.emulate_media(forced_colors="active")
    await check("forced colors")
    await page.keyboard.press("?")
    await check("keys")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="New only").click()
    await expect(page.get_by_text("Nothing has arrived since")).to_be_visible()
    await check("cleared")


async def test_link_to_a_capture_scrolls_to_its_row(tmp_path: Path, open_page: OpenPage) -> None:
    fill(tmp_path, 3_000)
    with a_desk(tmp_path, command=("inspect",)) as desk:
        page = await open_page(desk, f"?open={100:012x}")
        opened = page.locator(".row.open")
        await expect(opened).to_be_in_viewport(ratio=1)
        await expect(opened).to_have_attribute("aria-posinset", "2900")
        await expect(page).to_have_title("action_0 · 500 · port-hook")
        await page.keyboard.press("j")
        await expect(page.locator(".row.open")).to_have_attribute("aria-posinset", "2901")
        await page.close()


async def test_title_names_the_content_of_a_browser_tab(own_desk: Desk, open_page: OpenPage) -> None:
    port = re.findall(r":(\d+)", own_desk.url)[0]
    page = await open_page(own_desk)
    await expect(page).to_have_title(f"port-hook {port}")
    sent(own_desk, *["vm"] * 30)
    await expect(page.get_by_text("30 captures")).to_be_visible()
    await scroll(page, 300)
    sent(own_desk, "vm")
    await expect(page).to_have_title(f"(1) port-hook {port}")
    await page.get_by_role("button", name="1 new").click()
    await page.locator(".row").first.click()
    await expect(page).to_have_title("create_vm · 202 · port-hook")
    await page.keyboard.press("h")
    await expect(page).to_have_title("Check · port-hook")


async def test_theme_is_chosen_and_saved(shared_desk: Desk, open_page: OpenPage) -> None:
    page = await open_page(shared_desk, color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = await page.evaluate(background)
    await page.get_by_role("button", name="Theme: system").click()
    light = await page.evaluate(background)
    assert light != dark
    await page.reload()
    assert await page.evaluate(background) == light
    await page.get_by_role("button", name="Theme: light").click()
    assert await page.evaluate(background) == dark
    await page.get_by_role("button", name="Theme: dark").click()
    await expect(page.get_by_role("button", name="Theme: system")).to_be_visible()
    await page.emulate_media(color_scheme="light")
    assert await page.evaluate(background) == light


async def test_split_moves_by_pointer_and_by_keyboard_and_is_saved(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, "a")
    page = await open_page(shared_desk, f"?text={mark}", forced_colors="active")
    await page.locator(".row:not(.empty)").first.click()
    split = page.get_by_role("separator", name="Width of the list")
    await expect(split).to_have_attribute("aria-valuenow", "40")
    assert await split.evaluate("line => getComputedStyle(line).backgroundColor") != "rgba(0, 0, 0, 0)"
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
    await expect(split).to_have_attribute("aria-valuenow", "50")
    await page.reload()
    await expect(split).to_have_attribute("aria-valuenow", "50")
    assert abs(await page.evaluate(width) - 800) < 2


async def test_new_only_shows_later_captures_and_deletes_nothing(own_desk: Desk, open_page: OpenPage) -> None:
    sent(own_desk, "a", "b")
    page = await open_page(own_desk)
    await rows(page, 2)
    button = page.get_by_role("button", name="New only")
    assert "Nothing is deleted" in str(await button.get_attribute("title"))
    await button.click()
    await expect(page.get_by_text("Nothing has arrived since")).to_be_visible()
    assert "since=" in page.url
    sent(own_desk, "c")
    await rows(page, 1)
    await page.get_by_role("button", name=re.compile("^Remove the filter")).click()
    await rows(page, 3)


async def test_empty_page_shows_how_to_get_a_public_url(own_desk: Desk, open_page: OpenPage) -> None:
    page = await open_page(own_desk)
    state = page.locator(".empty-state")
    await expect(state).to_contain_text("Port cannot reach this URL")
    await expect(state).to_contain_text("--tunnel auto")
    await expect(state).to_contain_text(f"port-hook trigger ACTION.json --to {own_desk.url}")
    await expect(state).not_to_contain_text("set this URL")
    await state.get_by_role("button", name="Trigger an action or workflow").click()
    dialog = page.get_by_role("dialog", name="Trigger an action or workflow")
    await dialog.get_by_label(re.compile("^Title")).fill("typed")
    await page.mouse.click(5, 5)
    await expect(dialog).to_be_visible()


async def test_eight_tabs_work_because_hidden_pages_close_their_connection(own_desk: Desk, open_page: OpenPage) -> None:
    sent(own_desk, "a")
    first = await open_page(own_desk)
    context = first.context
    await context.add_init_script(_HIDDEN)
    await first.reload()
    pages = [first]
    for _ in range(7):
        await rows(pages[-1], 1)
        await pages[-1].evaluate(_SHOW, "hidden")
        page = await context.new_page()
        await page.goto(f"{own_desk.page}#token={own_desk.token}")
        pages.append(page)
    await rows(pages[-1], 1)
    own_desk.post(a_vm("b"))
    await rows(pages[-1], 2)
    for page in pages[:-1]:
        await page.evaluate(_SHOW, "visible")
        await rows(page, 2)
        await expect(page.locator(".dot.live")).to_have_count(1)
        await page.evaluate(_SHOW, "hidden")


async def test_page_hidden_at_a_scrolled_list_catches_up_without_moving(own_desk: Desk, open_page: OpenPage) -> None:
    sent(own_desk, *["vm"] * 30)
    page = await open_page(own_desk)
    await page.context.add_init_script(_HIDDEN)
    await page.reload()
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
    page = await open_page(own_desk)
    has_arrived = asyncio.Event()

    async def late(route: Route) -> None:
        await has_arrived.wait()
        await route.continue_()

    await page.route("**/api/spans*", late)
    await page.reload()
    await expect(page.get_by_text("30 captures")).to_be_visible()
    await scroll(page, 300)
    sent(own_desk, "one")
    has_arrived.set()
    await expect(page.get_by_role("button", name=own_desk.url)).to_be_visible()  # shown after the numbers
    await expect(page.get_by_role("button", name="1 new")).to_be_visible()
    await expect(page.get_by_text("30 captures")).to_be_visible()


async def test_age_of_a_capture_passes_while_it_is_shown(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, "a")
    page = await open_page(shared_desk, f"?text={mark}")
    await page.locator(".row:not(.empty)").first.click()
    under = page.locator(".under")
    shown = str(await under.inner_text())
    await expect(under).not_to_have_text(shown)


async def test_reused_numbers_show_no_old_rows(tmp_path: Path, open_page: OpenPage) -> None:
    with a_desk(tmp_path, "--respond", "202", "--store", str(tmp_path / "c.db")) as desk:
        desk.post(a_vm("kept"))
        desk.post(a_vm("old"))
        page = await open_page(desk)
        await rows(page, 2)
        await asyncio.to_thread(edit, tmp_path / "c.db", "DELETE FROM captures WHERE seq = 2")
        desk.post(a_vm("new"))
        await expect(page.locator(".row:not(.empty)").first).to_contain_text("title=new")
        await rows(page, 2)
        await page.close()


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


async def test_store_refilled_without_a_connection_shows_no_old_rows(own_desk: Desk, open_page: OpenPage) -> None:
    folder = own_desk.folder
    await asyncio.to_thread(fill, folder, 100)
    page = await open_page(own_desk)
    await page.context.add_init_script(_DROPPABLE)
    await page.reload()
    await expect(page.get_by_text("100 captures")).to_be_visible()
    await page.locator(".scroll").evaluate("box => { box.scrollTop = box.scrollHeight; }")
    await expect(page.locator(".row", has_text=f"r_{0:016}")).to_be_visible()
    await page.evaluate("() => { window.wait = new Promise((go) => { window.go = go; }); window.drop(); }")
    await asyncio.to_thread(edit, folder / ".port-hook" / "captures.db", "DELETE FROM captures")
    await asyncio.to_thread(fill, folder, 100, first=1000)
    await page.evaluate("() => window.go()")
    await expect(page.locator(".row", has_text=f"r_{1000:016}")).to_be_visible()
