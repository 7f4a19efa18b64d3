"""Forms of the page: the editor, the inputs of actions and workflows, and the check of one capture."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.acting import opened, rows, unique
from tests.browser.conftest import OpenPage
from tests.browser.inspecting import Desk, a_desk, a_vm
from tests.browser.test_page_accessibility import violations, with_axe
from tests.servers import Handler

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]
WORKFLOW = Path(__file__).parents[2] / "examples" / "workflows" / "deploy_service.json"
RUN = re.compile("^Run, and start")
INPUTS: dict[str, Any] = {
    "title": {"type": "string", "title": "Title"},
    "replicas": {"type": "number", "minimum": 1, "maximum": 5, "default": 2},
    "api_key": {"type": "string", "title": "API key", "encryption": "aes256-gcm"},
    "zones": {"type": "array", "title": "Zones", "items": {"type": "string", "enum": ["a1", "b2", "c3"]}},
    "service": {"type": "string", "format": "entity", "blueprint": "microservice"},
    "helm": {"type": "string", "format": "yaml", "title": "Helm values"},
    "labels": {"type": "object", "title": "Labels"},
    "start": {"type": "string", "format": "date-time", "title": "Start at"},
    "owner": {"type": "string", "format": "email", "title": "Owner"},
}
EVERYTHING = {
    "identifier": "everything",
    "title": "Everything",
    "trigger": {"type": "self-service", "operation": "CREATE", "userInputs": {"properties": INPUTS}},
    "invocationMethod": {"type": "WEBHOOK", "url": "https://example.com"},
}
# Safari shows no position.
NO_POSITION = """
const parse = JSON.parse;
JSON.parse = (...given) => {
  try { return parse(...given); } catch { throw new SyntaxError('JSON Parse error: Unexpected identifier "oops"'); }
};
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, receiver: Handler) -> Iterator[Desk]:
    """A listener with an inspector that has an action with inputs of all kinds, and a workflow."""
    folder = tmp_path_factory.mktemp("forms")
    (folder / "everything.json").write_text(json.dumps(EVERYTHING))
    options = ("--forward-to", str(receiver.port), "--actions", "everything.json", "--actions", str(WORKFLOW))
    with a_desk(folder, *options) as found:
        yield found


async def editing(page: Page) -> Locator:
    """Open the editor of the first capture, and return its field for the body."""
    await opened(page)
    await page.keyboard.press("e")
    await expect(page.get_by_role("tab", name="Edit and replay")).to_have_attribute("aria-selected", "true")
    body = page.get_by_label("Body", exact=True)
    await expect(body).to_be_focused()
    return body


def sent(desk: Desk, **fields: Any) -> str:
    mark = unique()
    desk.post(a_vm(mark, **fields))
    return mark


async def triggering(page: Page, action: str) -> Locator:
    await page.keyboard.press("t")
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("combobox", name="Action").select_option(action)
    return dialog


async def check(page: Page, where: str) -> None:
    """Run axe-core, which finds nothing, of any severity."""
    found = await violations(page, ".panel, dialog")
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == [], where


async def test_json_error_has_the_servers_position_in_every_browser(desk: Desk, open_page: OpenPage) -> None:
    mark = sent(desk)
    page = await open_page(desk, f"?text={mark}", width=400)
    await page.add_init_script(NO_POSITION)
    await page.reload()
    body = await editing(page)
    lines = ["{", *(f'  "key{number}": {number},' for number in range(60)), '  "last": 1', "}"]
    faulty = [*lines[:39], "  oops", *lines[40:]]
    await body.fill("\n".join(faulty))
    fault = page.get_by_text("Not JSON: line 40, column 3.")
    await expect(fault).to_be_in_viewport(ratio=1)
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    await page.get_by_role("button", name="Go there").click()
    await expect(body).to_be_focused()
    assert await body.evaluate("area => area.value.slice(area.selectionStart).startsWith('oops')")
    await body.fill("\n".join(lines))
    await expect(page.get_by_text("Not JSON")).to_have_count(0)


async def test_editor_sends_with_keys_from_anywhere_and_escape_leaves_a_field(desk: Desk, open_page: OpenPage) -> None:
    mark = sent(desk)
    page = await open_page(desk, f"?text={mark}")
    body = await editing(page)
    fields = (
        (body, "ControlOrMeta+Enter"),
        (page.get_by_label("region"), "ControlOrMeta+Enter"),
        (page.get_by_label("cpu"), "Enter"),
        (page.get_by_label("To", exact=True), "Enter"),
    )
    for count, (field, key) in enumerate(fields, 2):
        await field.press(key)
        await rows(page, count)
    await body.press("Escape")
    await expect(page.locator("#panel")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.locator(".detail")).to_have_count(0)


async def test_edits_survive_another_tab_and_another_capture(desk: Desk, open_page: OpenPage) -> None:
    mark = sent(desk)
    desk.post(a_vm(f"other-{mark}"))
    page = await open_page(desk, f"?text={mark}")
    body = await editing(page)
    await body.fill('{"edited": true}')
    await page.get_by_label("To", exact=True).fill("4711")
    await page.get_by_role("tab", name="Body").click()
    await page.get_by_role("tab", name="Edit and replay").click()
    await expect(body).to_have_value('{"edited": true}')
    await page.locator(".row").nth(1).click()
    await expect(body).to_have_value(re.compile(f'"title": "{mark}"'))
    await expect(page.get_by_label("To", exact=True)).to_have_value("")
    await page.locator(".row").nth(0).click()
    await expect(body).to_have_value('{"edited": true}')
    await expect(page.get_by_label("To", exact=True)).to_have_value("4711")
    await page.get_by_role("button", name="Reset").click()
    await expect(body).to_have_value(re.compile(f'"title": "other-{mark}"'))


async def test_input_of_several_lines_or_with_json_has_a_large_field(
    desk: Desk, receiver: Handler, open_page: OpenPage
) -> None:
    mark = sent(desk, notes="a\nb", opts={"k": [1]})
    page = await open_page(desk, f"?text={mark}")
    await editing(page)
    notes = page.get_by_label("notes")
    await expect(notes).to_have_value("a\nb")
    await notes.fill("c\nd")
    opts = page.get_by_label("opts")
    await opts.fill('{"k": ')
    await expect(page.get_by_text("This is not JSON.")).to_be_visible()
    await opts.fill('{"k": [2]}')
    await opts.press("ControlOrMeta+Enter")
    await rows(page, 2)
    properties = json.loads(receiver.requests[-1].body)["payload"]["properties"]
    assert (properties["notes"], properties["opts"]) == ("c\nd", {"k": [2]})


async def test_inputs_have_the_control_of_their_type_and_are_sent_with_enter(
    desk: Desk, receiver: Handler, open_page: OpenPage
) -> None:
    mark = unique()
    page = await open_page(desk, f"?text={mark}", timezone_id="Europe/Berlin")
    dialog = await triggering(page, "everything")
    await dialog.get_by_label("Title").fill(mark)
    secret = dialog.get_by_label("API key")
    await expect(secret).to_have_attribute("type", "password")
    await secret.fill("s3cret")
    await dialog.get_by_role("button", name="Show", exact=True).click()
    await expect(secret).to_have_attribute("type", "text")
    await dialog.get_by_role("group", name="Zones").get_by_label("c3").check()
    await dialog.get_by_role("group", name="Zones").get_by_label("a1").check()
    await expect(dialog.get_by_text("an entity of microservice")).to_be_visible()
    await dialog.get_by_label("Helm values").fill("a: 1\nb: 2\n")
    await dialog.get_by_label("Start at").fill("2026-06-01T12:00:00")
    labels = dialog.get_by_label("Labels")
    await labels.fill("{oops")
    await expect(dialog.get_by_label("replicas")).to_have_attribute("max", "5")
    await dialog.get_by_label("Title").press("Enter")
    await expect(labels).to_be_focused()  # the browser shows why it is not sent
    await rows(page, 0)
    await labels.fill('{"team": "core"}')
    await dialog.get_by_label("Title").press("Enter")
    await expect(dialog.get_by_text("202")).to_be_in_viewport()
    await rows(page, 1)
    properties = json.loads(receiver.requests[-1].body)["payload"]["properties"]
    assert properties.pop("api_key") != "s3cret"
    assert properties == {
        "title": mark,
        "replicas": 2,
        "zones": ["a1", "c3"],
        "helm": "a: 1\nb: 2\n",
        "labels": {"team": "core"},
        "start": "2026-06-01T10:00:00.000Z",
    }


async def test_trigger_values_survive_a_click_outside_and_an_error_has_no_option(
    desk: Desk, open_page: OpenPage
) -> None:
    page = await open_page(desk, allowed=("400 (Bad Request)",))
    dialog = await triggering(page, "create_vm")
    await dialog.get_by_label("Region").fill("nowhere")
    await page.mouse.click(5, 5)  # closes only a dialog in which nothing was typed
    await expect(dialog.get_by_label("Region")).to_have_value("nowhere")
    await dialog.get_by_label("Region").press("Escape")
    await expect(dialog).to_have_count(0)
    await page.keyboard.press("t")
    await expect(dialog.get_by_role("combobox", name="Action")).to_have_value("create_vm")
    await expect(dialog.get_by_label("Region")).to_have_value("nowhere")
    await dialog.get_by_label("Region").press("Enter")
    await expect(dialog.get_by_role("alert")).to_contain_text("title is required")
    await expect(dialog.get_by_role("alert")).to_contain_text("Correct the inputs.")
    await expect(dialog.get_by_role("alert")).not_to_contain_text("--")


async def test_workflow_and_one_of_its_nodes_are_triggered(desk: Desk, receiver: Handler, open_page: OpenPage) -> None:
    mark = unique()
    page = await open_page(desk, f"?text={mark}")
    dialog = await triggering(page, "deploy_service#trigger")
    await dialog.get_by_label("service").fill(mark)
    await dialog.get_by_label("service").press("Enter")
    await expect(dialog.get_by_role("status")).to_contain_text("Responses: Check build 202.")
    await rows(page, 1)
    await dialog.get_by_role("combobox", name="Action").select_option("deploy_service#check")
    await dialog.get_by_label("service").fill(mark)
    await dialog.get_by_label("service").press("Enter")
    await expect(dialog.get_by_text("202")).to_be_visible()
    assert json.loads(receiver.requests[-1].body) == {"service": mark, "version": "1.0"}
    await dialog.get_by_role("button", name="Show the capture").click()
    await expect(page.locator(".head .verdict")).to_contain_text("valid")


async def test_capture_is_checked_in_its_tab(desk: Desk, receiver: Handler, open_page: OpenPage) -> None:
    mark = sent(desk)
    page = await open_page(desk, f"?text={mark}")
    await opened(page)
    await page.keyboard.press("7")
    await expect(page.get_by_role("tab").last).to_have_text("Check")
    await expect(page.get_by_role("tab", name="Check")).to_have_attribute("aria-selected", "true")
    boxes = page.get_by_role("group", name="Checks").get_by_role("checkbox")
    await expect(boxes).to_have_count(4)
    for box in (await boxes.all())[1:]:
        await box.uncheck()
    await page.get_by_label("To", exact=True).fill(str(receiver.port))
    await page.get_by_label("To", exact=True).press("Enter")
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
    await expect(page.get_by_role("heading", name="Check the handler")).to_be_focused()
    await expect(finding).to_be_visible()


async def test_check_takes_the_inputs_of_an_action(desk: Desk, receiver: Handler, open_page: OpenPage) -> None:
    mark = unique()
    page = await open_page(desk, "?view=check")
    await page.get_by_role("combobox", name="Request").select_option("action:everything")
    boxes = page.get_by_role("group", name="Checks").get_by_role("checkbox")
    await expect(boxes).to_have_count(4)
    for box in (await boxes.all())[1:]:
        await box.uncheck()
    await page.get_by_label("To", exact=True).fill(str(receiver.port))
    await page.get_by_label("Title").fill(mark)
    await page.get_by_label("API key").press("Enter")
    await expect(page.get_by_text(re.compile(r"^\s*\d+ checks in "))).to_be_visible()
    assert any(mark.encode() in each.body for each in receiver.requests)


@pytest.mark.parametrize(
    ("width", "how"),
    [
        (1440, {"color_scheme": "light"}),
        pytest.param(320, {"color_scheme": "dark"}, marks=pytest.mark.extended),
        pytest.param(400, {"forced_colors": "active"}, marks=pytest.mark.extended),
    ],
)
async def test_axe_finds_nothing_in_the_forms(desk: Desk, open_page: OpenPage, width: int, how: dict[str, Any]) -> None:
    mark = sent(desk, notes="a\nb", opts={"k": 1})
    page = await open_page(desk, f"?text={mark}", width=width, **how)
    body = await editing(page)
    await with_axe(page)
    await body.fill("oops")
    await expect(page.get_by_text("Not JSON: line 1, column 1.")).to_be_visible()
    await check(page, "editor")
    await body.press("Escape")
    await page.keyboard.press("7")
    await expect(page.get_by_role("button", name=RUN)).to_be_visible()
    await check(page, "check")
    dialog = await triggering(page, "everything")
    await dialog.get_by_label("Labels").fill("{")
    await expect(dialog.get_by_text("This is not JSON.")).to_be_visible()
    await check(page, "trigger")
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
