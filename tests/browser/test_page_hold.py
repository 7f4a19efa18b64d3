"""Held requests in the page: shown by all pages, let pass, responded to by hand, and released together."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.inspecting import Desk, a_vm
from tests.browser.test_page_accessibility import violations, with_axe
from tests.servers import Handler

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]


async def test_held_requests_are_let_pass_responded_to_by_hand_and_released(
    own_desk: Desk, open_page: OpenPage, receiver: Handler
) -> None:
    before = len(receiver.requests)
    page, other = await open_page(own_desk), await open_page(own_desk)
    hold = page.get_by_role("button", name="Hold", exact=True)
    await hold.click()
    panel = page.get_by_role("region", name="Held requests")
    await expect(panel).to_contain_text("0 held")
    await expect(other.get_by_role("button", name="Holding 0")).to_have_attribute("aria-pressed", "true")
    sent = []
    for number, name in enumerate(("passes", "answered", "released"), 1):  # in order, because they share a run
        sent.append(asyncio.create_task(asyncio.to_thread(own_desk.post, {**a_vm("vm"), "action": name})))
        await expect(panel.get_by_role("status")).to_have_text(f"{number} held")
    items = {name: panel.get_by_role("listitem").filter(has_text=name) for name in ("passes", "answered", "released")}
    await expect(other.get_by_role("status").get_by_text("3 held")).to_be_visible()
    await expect(page.locator(".row", has_text="answered").locator(".response")).to_have_text("held")
    await expect(items["passes"]).to_contain_text(re.compile(r"arrived [1-9]\d* s ago"))  # it ticks

    await items["passes"].get_by_role("button", name="Let it pass").click()
    assert await sent[0] == 202
    await expect(items["passes"]).to_have_count(0)

    await expect(page).to_have_title(re.compile(r"^\(2 held\) "))
    await expect(items["answered"]).to_contain_text("title=vm")
    await items["answered"].get_by_role("button", name="Respond…").click()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("form", name=re.compile("^Respond to answered"))).to_have_count(0)
    await expect(items["answered"].get_by_role("button", name="Respond…")).to_be_focused()
    await page.keyboard.press("Enter")
    form = page.get_by_role("form", name=re.compile("^Respond to answered"))
    await expect(form.get_by_label("Body")).to_have_value("{}")
    await form.get_by_label("Status").fill("503")
    await form.get_by_label("Delay in seconds").fill("0.2")
    await form.get_by_label("Body").fill('{"later": true}')
    await form.get_by_label("Body").press("Control+Enter")
    assert await sent[1] == 503
    await expect(page.locator(".row", has_text="answered").locator(".response")).to_have_text("503")

    await page.keyboard.press("p")
    assert await sent[2] == 202
    await expect(panel).to_have_count(0)
    await expect(other.get_by_role("region", name="Held requests")).to_have_count(0)
    await page.locator(".row", has_text="answered").click()
    await expect(page.get_by_text("Responded by hand, after 0.2 s")).to_be_visible()
    await expect(page.get_by_text("You responded by hand.")).to_be_visible()
    await expect(page.locator(".row", has_text="answered").locator(".handler")).to_have_text("by hand")
    bodies = [json.loads(request.body)["action"] for request in receiver.requests[before:]]
    assert bodies == ["passes", "released"]
    await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await expect(page.get_by_text("hold incoming requests, or release them")).to_be_visible()


async def test_panel_of_held_requests_is_accessible_and_fits_narrow_pages(own_desk: Desk, open_page: OpenPage) -> None:
    page = await open_page(own_desk)
    await page.keyboard.press("p")
    panel = page.get_by_role("region", name="Held requests")
    await expect(panel).to_contain_text("0 held")
    sent = [asyncio.create_task(asyncio.to_thread(own_desk.post, a_vm(name))) for name in ("first", "second")]
    await expect(panel.get_by_role("status")).to_have_text("2 held")
    for button in await panel.get_by_role("button", name="Respond…").all():
        await button.click()
    forms = panel.get_by_role("form")
    await expect(forms).to_have_count(2)
    await with_axe(page)
    for width, scheme, forced in ((1440, "light", "none"), (320, "dark", "none"), (400, "light", "active")):
        await page.set_viewport_size({"width": width, "height": 900})
        await page.emulate_media(color_scheme=scheme, forced_colors=forced)  # type: ignore[arg-type]
        found = await violations(page, {"include": [".held"]})
        assert [(each["id"], each["help"]) for each in found] == [], width
        assert await panel.evaluate("(box) => box.scrollWidth <= box.clientWidth"), width
    await forms.first.get_by_label("Status").fill("201")
    await forms.first.get_by_role("button", name="Send response").click()
    await expect(panel.get_by_role("status")).to_have_text("1 held")
    await forms.first.get_by_label("Delay in seconds").fill("0.4")
    await forms.first.get_by_label("Delay in seconds").press("Enter")
    await expect(panel).to_contain_text("responded by hand: 200 after 0.4 s")
    await panel.get_by_role("button", name="Release all").click()
    assert sorted([await each for each in sent]) == [200, 201]
    await expect(panel).to_have_count(0)
