"""Checks of the handler, started and read on the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.inspecting import Desk, a_desk, a_vm
from tests.browser.test_page_accessibility import check as check_access
from tests.browser.test_page_accessibility import with_axe
from tests.servers import handler

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]
HOSTILE = "<img src=x onerror=alert(1)>\u202e"
RUN = re.compile("^Run, and start")


async def only(page: Page, *groups: str) -> None:
    """Exclude the checks of all other groups."""
    boxes = page.get_by_role("group", name="Checks").get_by_role("checkbox")
    await expect(boxes).to_have_count(4)
    for box in await boxes.all():
        name = await box.evaluate("box => box.labels[0].querySelector('span').firstChild.textContent.trim()")
        await box.set_checked(name in groups)


async def test_finding_of_a_check_opens_its_request(own_desk: Desk, open_page: OpenPage) -> None:
    own_desk.post(a_vm("one"))
    page = await open_page(own_desk)
    await page.locator(".row:not(.empty)").first.click()
    await expect(page.locator(".head h2")).to_be_visible()
    await page.keyboard.press("h")
    await expect(page.get_by_role("heading", name="Check the handler")).to_be_focused()
    await expect(page.get_by_role("combobox", name="Request")).to_have_value(re.compile("^capture:"))
    await only(page, "signature")
    before = await page.get_by_role("button", name=RUN).text_content()
    await page.get_by_role("button", name=RUN).press("Enter")
    await expect(page.get_by_text(re.compile(r"^\d+ checks in .* failed"))).to_be_visible()
    assert int(re.findall(r"\d+", before or "")[0]) > 1
    finding = page.get_by_role("row").filter(has_text="does not verify signatures")
    await expect(finding.get_by_text("failed")).to_be_visible()
    await expect(finding.get_by_text("Fix:")).to_be_visible()
    await finding.get_by_role("button").first.press("Enter")
    await expect(page.locator(".head .verdict")).to_contain_text("missing")
    await expect(finding).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator(".detail")).to_have_count(0)
    await page.keyboard.press("Escape")
    await expect(page.locator(".row:not(.empty)").first).to_be_visible()
    await page.keyboard.press("h")
    await expect(finding).to_be_visible()
    assert "view=check" in page.url


async def test_check_is_canceled_and_its_target_chosen(own_desk: Desk, open_page: OpenPage) -> None:
    with handler(delay_s=60) as silent:
        page = await open_page(own_desk, "?view=check")
        placeholder = page.get_by_label("To", exact=True)
        await expect(placeholder).to_have_attribute("placeholder", re.compile(r"^http://127\.0\.0\.1:\d+/$"))
        await page.get_by_label("To", exact=True).fill("https://handler.example")
        await expect(page.get_by_role("alert")).to_contain_text("only handlers on this machine")
        await expect(page.get_by_role("button", name="Run")).to_be_disabled()
        await page.get_by_label("To", exact=True).fill(str(silent.port))
        await page.get_by_role("button", name=RUN).click()
        await expect(page.get_by_role("progressbar")).to_be_visible()
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.get_by_text("You canceled the check.")).to_be_visible()
        await expect(page.get_by_role("button", name=RUN)).to_be_enabled()


@pytest.mark.parametrize(("width", "scheme"), [pytest.param(400, "dark", marks=pytest.mark.extended), (1600, "light")])
async def test_check_shows_text_of_a_hostile_handler_as_text(
    tmp_path: Path, open_page: OpenPage, width: int, scheme: str
) -> None:
    answer = f"HTTP/1.1 {HOSTILE}\r\n\r\n".encode()
    with handler(answer) as hostile, a_desk(tmp_path, "--forward-to", str(hostile.port)) as desk:
        page = await open_page(desk, "?view=check", width=width, color_scheme=scheme)
        await page.get_by_label("To", exact=True).fill(str(hostile.port))
        await only(page, "signature")
        await page.get_by_role("button", name=RUN).click()
        await expect(page.get_by_text(re.compile(r"^\d+ checks in "))).to_be_visible()
        await expect(page.locator(".checks img")).to_have_count(0)
        assert "\u202e" not in (await page.locator(".checks").inner_text())
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await check_access(await with_axe(page), "check")
