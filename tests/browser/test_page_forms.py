"""Forms of the page, in cases that are rarer than those of test_page_flows.py."""

from __future__ import annotations

import json
import re

import pytest
from playwright.async_api import expect

from tests.browser.acting import RUN_CHECK, editing, only_signature_checks, opened, rows, sent, triggering, unique
from tests.browser.conftest import OpenPage
from tests.browser.inspecting import Desk
from tests.servers import Handler

pytestmark = [pytest.mark.once, pytest.mark.extended, pytest.mark.asyncio(loop_scope="session")]

# Safari shows no position.
NO_POSITION = """
const parse = JSON.parse;
JSON.parse = (...given) => {
  try { return parse(...given); } catch { throw new SyntaxError('JSON Parse error: Unexpected identifier "oops"'); }
};
"""
# The key comes before the browser moves the focus out of the closed dialog, and reports that it is closed.
CLOSED_AND_REOPENED = """field => {
  field.focus();
  field.closest("dialog").close();
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "t", bubbles: true, cancelable: true }));
}"""


async def test_json_error_has_the_servers_position_in_every_browser(shared_desk: Desk, open_page: OpenPage) -> None:
    page = await open_page(shared_desk, f"?text={sent(shared_desk)}", width=400, script=NO_POSITION)
    body = await editing(page)
    lines = ["{", *(f'  "key{number}": {number},' for number in range(60)), '  "last": 1', "}"]
    await body.fill("\n".join([*lines[:39], "  oops", *lines[40:]]))
    await expect(page.get_by_text("Not JSON: line 40, column 3.")).to_be_in_viewport(ratio=1)
    await page.get_by_role("button", name="Go there").click()
    await expect(body).to_be_focused()
    assert await body.evaluate("area => area.value.slice(area.selectionStart).startsWith('oops')")


async def test_editor_keeps_edits_for_each_capture_and_sends_with_keys_from_anywhere(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    mark = sent(shared_desk, "vm", "other")
    page = await open_page(shared_desk, f"?text={mark}")
    body, to = await editing(page), page.get_by_label("To", exact=True)
    await body.fill('{"edited": true}')
    await to.fill("4711")
    await page.get_by_role("tab", name="Body").click()
    await page.get_by_role("tab", name="Edit and replay").click()
    await expect(body).to_have_value('{"edited": true}')
    await page.locator(".row").nth(1).click()
    await expect(body).to_have_value(re.compile(f'"title": "vm-{mark}"'))
    await expect(to).to_have_value("")
    await page.locator(".row").nth(0).click()
    await expect(body).to_have_value('{"edited": true}')
    await expect(to).to_have_value("4711")
    await page.get_by_role("button", name="Reset").click()
    await expect(body).to_have_value(re.compile(f'"title": "other-{mark}"'))
    await to.fill("")
    fields = ((body, "ControlOrMeta+Enter"), (page.get_by_label("cpu"), "Enter"), (to, "Enter"))
    for count, (field, key) in enumerate(fields, 3):
        await expect(page.get_by_role("button", name=re.compile("^Send"))).to_be_enabled()  # the last one has ended
        await field.press(key)
        await rows(page, count)
    await body.press("Escape")
    await expect(page.locator("#panel")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.locator(".detail")).to_have_count(0)


async def test_workflow_and_one_of_its_nodes_are_triggered_and_values_survive(
    shared_desk: Desk, receiver: Handler, open_page: OpenPage
) -> None:
    mark = unique()
    page = await open_page(shared_desk, f"?text={mark}", allowed=("400 (Bad Request)",))
    dialog = await triggering(page, "create_vm")
    region = dialog.get_by_label("Region")
    await region.fill("nowhere")
    await page.mouse.click(5, 5)  # closes only a dialog in which nothing was typed
    await expect(region).to_have_value("nowhere")
    await region.press("Escape")
    await expect(dialog).to_have_count(0)
    await page.keyboard.press("t")
    await expect(dialog.get_by_role("combobox", name="Action")).to_have_value("create_vm")
    await expect(region).to_have_value("nowhere")
    await region.evaluate(CLOSED_AND_REOPENED)
    await expect(region).to_have_value("nowhere")
    await region.press("Enter")
    alert = dialog.get_by_role("alert")
    await expect(alert).to_contain_text("title is required")
    await expect(alert).to_contain_text("Correct the inputs.")
    await expect(alert).not_to_contain_text("--")

    await dialog.get_by_role("combobox", name="Action").select_option("deploy_service#trigger")
    await dialog.get_by_label("service").fill(mark)
    await dialog.get_by_label("service").press("Enter")
    await expect(dialog.get_by_role("status")).to_contain_text("Responses: Check build 202.")
    await rows(page, 1)
    await dialog.get_by_role("combobox", name="Action").select_option("deploy_service#check")
    await dialog.get_by_label("service").fill(mark)
    await dialog.get_by_label("service").press("Enter")
    await expect(dialog.get_by_text("202")).to_be_visible()
    assert json.loads(receiver.requests[-1].body) == {"service": mark, "version": "1.0"}


async def test_capture_is_checked_in_its_tab_and_an_action_with_its_inputs(
    shared_desk: Desk, receiver: Handler, open_page: OpenPage
) -> None:
    page = await open_page(shared_desk, f"?text={sent(shared_desk)}")
    await opened(page)
    await page.keyboard.press("7")
    await expect(page.get_by_role("button", name=RUN_CHECK)).to_be_visible()
    await only_signature_checks(page)
    to = page.get_by_label("To", exact=True)
    await to.fill(str(receiver.port))
    await to.press("Enter")
    await expect(page.get_by_text(re.compile(r"^\s*\d+ checks in .* failed"))).to_be_visible()
    finding = page.get_by_role("row").filter(has_text="does not verify signatures")
    await finding.get_by_role("button").first.click()
    await expect(page.locator(".head .verdict")).to_contain_text("missing")
    await expect(page.get_by_role("tab", name="Summary")).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("7")
    await expect(finding).to_have_count(0)  # this is another capture
    await page.go_back()
    await expect(finding).to_be_visible()
    await page.keyboard.press("h")
    await expect(finding).to_be_visible()
    await page.get_by_role("combobox", name="Request").select_option("action:everything")
    await only_signature_checks(page)
    await page.get_by_label("Title").fill(mark := unique())
    await page.get_by_label("API key").press("Enter")
    await expect(page.get_by_text(re.compile(r"^\s*\d+ checks in "))).to_be_visible()
    assert any(mark.encode() in each.body for each in receiver.requests)
