"""axe-core finds nothing on the page, and the page respects the settings of the user's system."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page, expect

from port_hook_cli.text.secret import Secret
from tests.browser.conftest import IS_FULL, OpenPage
from tests.browser.inspecting import Desk, a_vm

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]

WIDTHS = (320, 400, 1440)
LOOKS = ("light", "dark", "forced")


def looks() -> list[Any]:
    """Return each width with each look: one in `make test`, all in `make test-all` and `make browser`.

    In `make test`, test_axe_finds_nothing_in_the_frame has narrow pages, dark and forced colors.
    """
    return [
        pytest.param(width, look, marks=() if (width, look) == (1440, "light") or IS_FULL else pytest.mark.extended)
        for width in WIDTHS
        for look in LOOKS
    ]


RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}


async def violations(page: Page, part: Any = None) -> list[Any]:
    """Run axe-core on the page or a part of it, and return the violations of any severity.

    The many other results stay in the page.
    """
    run = "([part, rules]) => axe.run(part ?? document, rules).then((found) => found.violations)"
    return list(await page.evaluate(run, [part, RULES]))


async def check(page: Page, where: str) -> list[str]:
    """Return the violations that axe-core finds on the page, as lines."""
    return [
        f"{where}: {each['impact']}: {each['id']}: {each['help']}: {[node['html'][:160] for node in each['nodes'][:3]]}"
        for each in await violations(page)
    ]


async def with_axe(page: Page) -> Page:
    """Run axe-core in the page. The test injects it, past the page's rules for scripts."""
    axe = pytest.importorskip("axe_playwright_python.async_playwright", reason="axe-core is not installed").Axe()
    await page.evaluate(axe.axe_script)
    return page


async def check_overlays(page: Page, desk: Desk) -> list[str]:
    """Look at what replaces or covers the list."""
    found: list[str] = []
    await page.keyboard.press("p")
    await expect(page.get_by_role("region", name="Held requests")).to_be_visible()
    held = asyncio.create_task(asyncio.to_thread(desk.post, a_vm("held")))
    await page.get_by_role("button", name="Respond…").click()
    found += await check(page, "hold")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Release all").click()
    assert await held == 202
    await page.keyboard.press("h")
    await expect(page.get_by_role("heading", name="Check the handler")).to_be_focused()
    found += await check(page, "check")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Time").click()
    found += await check(page, "time")
    await page.keyboard.press("Escape")
    return found


@pytest.mark.parametrize(("width", "look"), looks())
async def test_axe_finds_nothing(own_desk: Desk, open_page: OpenPage, width: int, look: Any) -> None:
    colors = {"forced_colors": "active"} if look == "forced" else {"color_scheme": look}
    found: list[str] = []
    page = await open_page(own_desk, width=width, **colors)
    await expect(page.get_by_text("Waiting for the first invocation")).to_be_visible()
    await with_axe(page)
    found += await check(page, "empty")
    own_desk.post(a_vm("one"))
    own_desk.post(a_vm("two", cpu=8))
    own_desk.post(a_vm("wrong"), secret=Secret("another-client-secret-of-thirty-two-characters"))
    await expect(page.locator(".row:not(.empty)")).to_have_count(3)
    found += await check(page, "list")
    await page.locator(".row").first.click()
    for key, name in enumerate(("Summary", "Body", "Signature", "Response", "Run", "Edit and replay", "Check"), 1):
        await page.keyboard.press(str(key))
        await expect(page.get_by_role("tab", name=name, exact=True)).to_have_attribute("aria-selected", "true")
        await expect(page.locator(".panel > *").first).to_be_attached()
        await expect(page.get_by_text("Loading…")).to_have_count(0)
        found += await check(page, name)
    await page.keyboard.press("1")
    await page.keyboard.press("r")
    await expect(page.get_by_role("region", name="Result")).to_be_visible()
    await page.keyboard.press("m")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("d")
    await expect(page.locator(".changes").first).to_be_visible()
    found += await check(page, "comparison")
    await page.keyboard.press("Escape")
    for letter, name in (("?", "Keys"), ("t", "Trigger an action or workflow")):
        await page.keyboard.press(letter)
        await expect(page.get_by_role("dialog", name=name)).to_be_visible()
        if letter == "t":
            await expect(page.get_by_role("combobox", name="Action")).to_be_visible()
        found += await check(page, name)
        await page.keyboard.press("Escape")
    found += await check_overlays(page, own_desk)
    await page.keyboard.press("/")
    await page.keyboard.type("nothing-like-this")
    await expect(page.get_by_text("No captures match")).to_be_visible()
    found += await check(page, "no matches")
    assert found == []


async def test_nothing_moves_with_reduced_motion(shared_desk: Desk, open_page: OpenPage) -> None:
    shared_desk.post(a_vm("one"))
    running = "document.getAnimations().filter((each) => each.playState === 'running').length"
    still = await open_page(shared_desk, reduced_motion="reduce")
    await expect(still.locator(".dot.live")).to_have_count(1)
    assert await still.evaluate(running) == 0
    moving = await open_page(shared_desk, reduced_motion="no-preference")
    await expect(moving.locator(".dot.live")).to_have_count(1)
    assert await moving.evaluate(running) > 0


async def test_selection_is_visible_with_forced_colors(shared_desk: Desk, open_page: OpenPage) -> None:
    shared_desk.post(a_vm("one"))
    page = await open_page(shared_desk, forced_colors="active")
    await page.locator(".row:not(.empty)").first.click()
    # The page may render the row again, for a moment, after the click.
    await expect(page.locator(".row.open")).to_have_css("outline-style", "solid")
    await expect(page.locator('.tabs [aria-selected="true"]')).to_have_css("outline-style", "solid")
