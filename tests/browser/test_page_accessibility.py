"""axe-core finds nothing on narrow, dark and forced-color pages, and the page respects the user's settings."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import expect

from tests.browser.acting import assert_fits, check, editing, opened, rows, sent, tab, triggering, with_axe
from tests.browser.conftest import OpenPage
from tests.browser.inspecting import Desk, a_vm

pytestmark = [pytest.mark.once, pytest.mark.extended, pytest.mark.asyncio(loop_scope="session")]

LOOKS: dict[int, dict[str, str]] = {320: {"color_scheme": "dark"}, 400: {"forced_colors": "active"}}


@pytest.mark.parametrize("width", LOOKS)
async def test_axe_finds_nothing_on_narrow_pages(own_desk: Desk, open_page: OpenPage, width: int) -> None:
    page = await open_page(own_desk, width=width, **LOOKS[width])
    await expect(page.locator(".empty-state pre").first).to_be_visible()
    await with_axe(page)
    await check(page, "empty")
    sent(own_desk, "one", "two", opts={"k": 1})
    await rows(page, 2)
    await check(page, "list")
    await page.keyboard.press("p")
    panel = page.get_by_role("region", name="Held requests")
    held = asyncio.create_task(asyncio.to_thread(own_desk.post, a_vm("held")))
    await panel.get_by_role("button", name="Respond…").click()
    await check(page, "hold", ".held")
    assert await panel.evaluate("(box) => box.scrollWidth <= box.clientWidth")
    await panel.get_by_role("form").get_by_label("Delay in seconds").fill("0.4")
    await panel.get_by_role("form").get_by_label("Delay in seconds").press("Enter")
    await expect(panel).to_contain_text("responded by hand: 200 after 0.4 s")
    await panel.get_by_role("button", name="Release all").click()
    assert await held == 200
    await page.get_by_role("button", name="Time").click()
    await check(page, "time", ".filters")
    await page.keyboard.press("Escape")

    body = await editing(page, 1)
    await body.fill("oops")
    await expect(page.get_by_text("Not JSON: line 1, column 1.")).to_be_visible()
    await check(page, "editor")
    await body.press("Escape")
    for key, name in ((1, "Summary"), (2, "Body"), (3, "Signature"), (7, "Check")):
        await tab(page, key, name)
        await check(page, name, ".panel")
    dialog = await triggering(page, "create_vm")
    await check(page, "trigger", "dialog")
    await assert_fits(page)
    await dialog.get_by_label("Region").press("Escape")
    await expect(dialog).to_have_count(0)
    await page.keyboard.press("Escape")
    await expect(page.locator(".detail")).to_have_count(0)
    await page.keyboard.press("/")
    await page.keyboard.type("nothing-like-this")
    await expect(page.get_by_text("No captures match")).to_be_visible()
    await check(page, "no matches")


async def test_motion_is_reduced_and_the_selection_visible_with_forced_colors(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    page = await open_page(shared_desk, f"?text={sent(shared_desk)}", forced_colors="active")
    running = "document.getAnimations().filter((each) => each.playState === 'running').length"
    await expect(page.locator(".dot.live")).to_have_count(1)
    assert await page.evaluate(running) == 0
    await page.emulate_media(reduced_motion="no-preference")
    assert await page.evaluate(running) > 0
    await opened(page)
    # The page may render the row again, for a moment, after the click.
    await expect(page.locator(".row.open")).to_have_css("outline-style", "solid")
    await expect(page.locator('.tabs [aria-selected="true"]')).to_have_css("outline-style", "solid")
    split = page.get_by_role("separator", name="Width of the list")
    assert await split.evaluate("line => getComputedStyle(line).backgroundColor") != "rgba(0, 0, 0, 0)"
