"""What a user does with the page, one story each, in a real Chromium."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import expect

from port_hook_cli.text.secret import Secret
from tests.browser.acting import (
    RUN_CHECK,
    added,
    assert_fits,
    check,
    editing,
    only_signature_checks,
    opened,
    rows,
    scroll,
    sent,
    tab,
    triggering,
    unique,
    with_axe,
)
from tests.browser.conftest import OpenPage
from tests.browser.inspecting import Desk, a_vm
from tests.factories import a_body, a_capture, an_invocation, signed
from tests.servers import Handler, handler

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]

WRONG = Secret("another-client-secret-of-thirty-two-characters")
TABS = ("Summary", "Body", "Signature", "Response", "Run", "Edit and replay", "Check")
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
# Resolves with the time of the first row.
_FIRST_ROW = """() => new Promise((done) => new MutationObserver(() => document.querySelector(".row:not(.empty)")
  && done(performance.timeOrigin + performance.now())).observe(document.body, {childList: true, subtree: true}))"""
MARKUP = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'-alert(1)-'",
    "<style>body{display:none}</style>",
    "<base href=//example.com>",
    "<iframe src=javascript:alert(1)>",
    "{{constructor.constructor('alert(1)')()}}${alert(1)}",
    "</textarea></pre></dialog><form action=//example.com><input autofocus onfocus=alert(1)>",
)
# The elements that only hostile text could add. The page's own forms have no action URL.
_ADDED = (
    '() => document.querySelectorAll(\'img:not([src^="/page/"][src$="/icon.svg"]), iframe, object, embed, base,'
    ' form[action], body style, body script, [onerror], [onload], [onfocus], a[href^="javascript:"]\').length'
)


async def test_first_request_is_shown_live_and_read(own_desk: Desk, open_page: OpenPage) -> None:
    port = re.findall(r":(\d+)", own_desk.url)[0]
    page = await open_page(own_desk)
    state = page.locator(".empty-state")
    await expect(state).to_contain_text("Waiting for the first invocation")
    for text in ("Port cannot reach this URL", "--tunnel auto", f"trigger ACTION.json --to {own_desk.url}"):
        await expect(state).to_contain_text(text)
    await expect(state).not_to_contain_text("set this URL")
    await expect(page.locator(".timeline, .filters")).to_have_count(0)
    await expect(page).to_have_title(f"port-hook {port}")
    await expect(page.get_by_text("live", exact=True)).to_be_visible()

    seen = asyncio.ensure_future(page.evaluate(_FIRST_ROW))
    await page.evaluate("1")  # the watch has begun
    body = json.dumps(a_vm("first", log="x" * 400_000, nested={"level": {"deep": "treasure"}}), indent=3).encode()
    assert await asyncio.to_thread(own_desk.post, body=body) == 202
    assert await seen - time.time() * 1000 < 1500
    row = page.locator(".row:not(.empty)")
    await expect(row.locator(".what strong")).to_have_text("create_vm")
    await expect(row.locator(".who")).to_have_text("zoë@example.com")
    await expect(row.locator(".digest")).to_contain_text("title=first")
    await expect(row).to_have_text(re.compile(r"^(?!.*202.*202).*202 +[\d.]+ ms$", re.DOTALL))  # one status
    await expect(page.get_by_role("img", name=re.compile("^1 arrived, from .+ to "))).to_be_visible()

    await opened(page)
    await expect(page).to_have_title("create_vm · 202 · port-hook")
    age = str(await page.locator(".under").inner_text())
    panel = await tab(page, 2, "Body")
    await expect(page.get_by_text("treasure")).to_have_count(0)
    for name in ("nested", "level"):
        node = page.get_by_role("treeitem").filter(has_text=name).last
        await node.get_by_role("button", name="Unfold").click()
    await expect(page.get_by_text('"treasure"')).to_be_visible()
    await page.get_by_label("Find a key or value in the body").fill("treasure")
    await expect(page.get_by_text("1 found")).to_be_visible()
    await expect(page.get_by_role("button", name="/payload/properties/nested/level/deep")).to_be_visible()
    async with page.expect_download() as saved:
        await page.get_by_role("button", name="Download").click()
    download = await saved.value
    assert download.suggested_filename == "request.bin"
    assert (await download.path()).read_bytes() == body
    await tab(page, 3, "Signature")
    await expect(panel.get_by_text("the same")).to_be_visible()
    await tab(page, 4, "Response")
    await expect(panel.get_by_text("unchanged from your handler")).to_be_visible()
    await expect(panel.locator(".body")).to_have_count(1)
    await expect(page.locator(".under")).not_to_have_text(age)  # it passes while it is shown


# Clicks a button that closes the dialog, and opens the dialog again before the browser's event says that it has closed.
_REOPEN_AT_ONCE = """(label) => new Promise((done) => {
  const button = (name) => [...document.querySelectorAll("button")].find((each) => each.textContent === name);
  const dialog = document.querySelector("dialog");
  dialog.addEventListener("close", () => done());
  new MutationObserver((_, observer) => {
    if (dialog.isConnected) return;
    observer.disconnect();
    button("Time").click();
  }).observe(document.body, { childList: true, subtree: true });
  button(label).click();
})"""


async def test_captures_are_found_by_text_facts_and_time(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = unique()
    ada, zoe = f"ada-{mark}@example.com", f"zoë-{mark}@example.com"
    for user, title in ((zoe, "hay"), (ada, "Needle"), (zoe, "hay")):
        document = a_vm(f"{title}-{mark}", deep={"list": [{"name": f"needle-{mark}"}]} if title != "hay" else 1)
        document["trigger"]["by"]["user"]["email"] = user
        shared_desk.post(document)
    shared_desk.post(a_vm(f"wrong-{mark}"), secret=WRONG)
    page = await open_page(shared_desk)
    search = page.get_by_role("searchbox").first
    await page.keyboard.press("/")
    await page.keyboard.type(f"needle-{mark}")
    await page.keyboard.press("Enter")
    await expect(page.locator(".way")).to_be_visible()  # it opens the first match
    await expect(page.get_by_role("listbox", name="Captures")).to_be_focused()
    await rows(page, 1)
    await tab(page, 2, "Body")
    await expect(page.get_by_label("Find a key or value in the body")).to_have_value(f"needle-{mark}")
    await expect(page.get_by_text("2 found")).to_be_visible()
    await expect(page.locator(".matches mark")).to_have_text([f"Needle-{mark}", f"needle-{mark}"])
    await page.get_by_role("button", name="Raw").click()
    await expect(page.locator("pre.raw mark")).to_have_count(2)

    await search.fill(mark)
    await rows(page, 4)
    await page.locator(".row").nth(1).click()
    await page.get_by_role("tab", name="Summary").click()
    await page.locator(".facts").get_by_role("button", name=re.compile(zoe)).click()
    await rows(page, 2)
    await page.reload()
    await rows(page, 2)
    await page.get_by_role("button", name=f"Remove the filter user {zoe}").click()
    await rows(page, 4)
    for name in ("Handler 202", "Signature valid"):
        await page.locator(".way").get_by_role("button", name=name).click()
    await rows(page, 3)
    assert {"handler=202", "verdict=valid"} <= set(page.url.partition("?")[2].split("&"))
    await page.get_by_label("Response", exact=True).select_option("5xx")
    await expect(page.get_by_text("No captures match")).to_be_visible()
    await page.get_by_role("button", name="Clear the filters").click()
    await expect(page.locator(".filters .chip.on")).to_have_count(0)
    assert not {"handler", "verdict", "response", "text"} & set(re.findall(r"(\w+)=", page.url))

    await page.get_by_role("button", name="Time", exact=True).click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.evaluate(_REOPEN_AT_ONCE, "Last 5 minutes")
    await expect(page.locator(".filters .chip.on")).to_contain_text("since ")
    assert abs(time.time() - 300 - float(re.search(r"since=(\d+)", page.url)[1])) < 60  # type: ignore[index]
    await page.get_by_label("To", exact=True).fill("2020-01-01T00:00:00")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("The end must be after the start.")
    await page.get_by_label("From", exact=True).fill("2019-12-31T12:00:00")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("No captures match")).to_be_visible()
    assert "since=1577790000&until=1577833200" in page.url  # an hour before UTC


async def test_held_requests_are_let_pass_responded_to_by_hand_and_released(
    own_desk: Desk, open_page: OpenPage, receiver: Handler
) -> None:
    before = len(receiver.requests)
    page = await open_page(own_desk)
    await page.get_by_role("button", name="Hold", exact=True).click()
    panel = page.get_by_role("region", name="Held requests")
    await expect(panel).to_contain_text("0 held")
    requests = []
    for number, name in enumerate(("passes", "answered", "released"), 1):  # in order, because they share a run
        requests.append(asyncio.create_task(asyncio.to_thread(own_desk.post, {**a_vm("vm"), "action": name})))
        await expect(panel.get_by_role("status")).to_have_text(f"{number} held")
    items = {name: panel.get_by_role("listitem").filter(has_text=name) for name in ("passes", "answered", "released")}
    await expect(page.locator(".row", has_text="answered").locator(".response")).to_have_text("held")
    await expect(items["passes"]).to_contain_text(re.compile(r"arrived [1-9]\d* s ago"))  # it ticks

    await items["passes"].get_by_role("button", name="Let it pass").click()
    assert await requests[0] == 202
    await expect(items["passes"]).to_have_count(0)

    await expect(page).to_have_title(re.compile(r"^\(2 held\) "))
    await expect(items["answered"]).to_contain_text("title=vm")
    await items["answered"].get_by_role("button", name="Respond…").click()
    form = page.get_by_role("form", name=re.compile("^Respond to answered"))
    await expect(form.locator(":focus")).to_have_count(1)  # before that, nothing would get the key
    await page.keyboard.press("Escape")
    await expect(form).to_have_count(0)
    await expect(items["answered"].get_by_role("button", name="Respond…")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(form.get_by_label("Body")).to_have_value("{}")
    await form.get_by_label("Status").fill("503")
    await form.get_by_label("Delay in seconds").fill("0.2")
    await form.get_by_label("Body").fill('{"later": true}')
    await form.get_by_label("Body").press("Control+Enter")
    assert await requests[1] == 503
    await expect(page.locator(".row", has_text="answered").locator(".response")).to_have_text("503")
    await expect(form).to_have_count(0)  # it would get the key

    await page.keyboard.press("p")
    assert await requests[2] == 202
    await expect(panel).to_have_count(0)
    await page.locator(".row", has_text="answered").click()
    await expect(page.get_by_text("Responded by hand, after 0.2 s")).to_be_visible()
    await expect(page.get_by_text("You responded by hand.")).to_be_visible()
    await expect(page.locator(".row", has_text="answered").locator(".handler")).to_have_text("by hand")
    bodies = [json.loads(request.body)["action"] for request in receiver.requests[before:]]
    assert bodies == ["passes", "released"]


async def test_handler_is_checked_and_a_finding_opens_its_request(shared_desk: Desk, open_page: OpenPage) -> None:
    page = await open_page(shared_desk, f"?text={sent(shared_desk)}")
    await opened(page)
    await page.keyboard.press("h")
    await expect(page.get_by_role("heading", name="Check the handler")).to_be_focused()
    await expect(page).to_have_title("Check · port-hook")
    await expect(page.get_by_role("combobox", name="Request")).to_have_value(re.compile("^capture:"))
    to = page.get_by_label("To", exact=True)
    await to.fill("https://handler.example")
    await expect(page.get_by_role("alert")).to_contain_text("only handlers on this machine")
    await expect(page.get_by_role("button", name="Run")).to_be_disabled()
    with handler(delay_s=60) as silent:
        await to.fill(str(silent.port))
        await page.get_by_role("button", name=RUN_CHECK).click()
        await expect(page.get_by_role("progressbar")).to_be_visible()
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.get_by_text("You canceled the check.")).to_be_visible()
    await to.fill("")
    await expect(to).to_have_attribute("placeholder", re.compile(r"^http://127\.0\.0\.1:\d+/$"))
    await only_signature_checks(page)
    button = page.get_by_role("button", name=RUN_CHECK)
    assert int(re.findall(r"\d+", await button.text_content() or "")[0]) > 1  # the requests
    await button.press("Enter")
    await expect(page.get_by_text(re.compile(r"^\d+ checks in .* failed"))).to_be_visible()
    finding = page.get_by_role("row").filter(has_text="does not verify signatures")
    await expect(finding.get_by_text("failed")).to_be_visible()
    await expect(finding.get_by_text("Fix:")).to_be_visible()
    await finding.get_by_role("button").first.press("Enter")
    await expect(page.locator(".head .verdict")).to_contain_text("missing")
    await expect(finding).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator(".detail")).to_have_count(0)
    await page.keyboard.press("Escape")
    await expect(page.locator(".row").first).to_be_visible()
    await page.keyboard.press("h")
    await expect(finding).to_be_visible()
    assert "view=check" in page.url


async def test_edited_request_is_sent_and_compared_with_the_original(
    shared_desk: Desk, receiver: Handler, open_page: OpenPage
) -> None:
    mark = sent(shared_desk, notes="a\nb", opts={"k": [1]})
    page = await open_page(shared_desk, f"?text={mark}")
    body = await editing(page)
    send = page.get_by_role("button", name="Send", exact=True)
    whole = str(await body.input_value())
    await body.fill(whole.replace("\n", "\noops\n", 1))
    await expect(page.get_by_text(re.compile("Not JSON: line 2, column 1"))).to_be_visible()
    await expect(send).to_be_disabled()
    await page.get_by_role("button", name="Go there").click()
    assert await body.evaluate("area => area.value.slice(area.selectionStart).startsWith('oops')")
    await body.fill(whole)
    await expect(page.get_by_text("Not JSON")).to_have_count(0)
    cpu = page.get_by_label("cpu", exact=True)
    await cpu.fill("16")
    await cpu.blur()
    await expect(body).to_have_value(re.compile('"cpu": 16'))
    await body.fill(str(await body.input_value()).replace('"cpu": 16', '"cpu": 32'))
    await expect(cpu).to_have_value("32")  # the input follows the body
    await expect(page.get_by_label("notes")).to_have_value("a\nb")
    await page.get_by_label("notes").fill("c\nd")
    opts = page.get_by_label("opts")
    await opts.fill('{"k": ')
    await expect(page.get_by_text("This is not JSON.")).to_be_visible()
    await opts.fill('{"k": [2]}')
    await opts.press("ControlOrMeta+Enter")
    result = page.get_by_role("region", name="Result")
    await expect(result.get_by_text("Before")).to_be_visible()
    await expect(result.get_by_text('{"accepted":true}')).to_have_count(2)
    await rows(page, 2)
    properties = json.loads(receiver.requests[-1].body)["payload"]["properties"]
    assert (properties["cpu"], properties["notes"], properties["opts"]) == (32, "c\nd", {"k": [2]})

    await result.get_by_role("button", name="Compare the requests").click()
    await expect(page.get_by_role("tab", name="Comparison")).to_be_visible()
    changed = page.locator(".changes tr.changed").filter(has_text="/payload/properties/cpu")
    for _ in range(2):
        await expect(changed.locator("del, ins")).to_have_text(["2", "32"])
        await page.reload()


async def test_request_is_copied_and_saved_signed_now(shared_desk: Desk, open_page: OpenPage) -> None:
    body = a_body(a_vm(unique()))
    (name,) = added(shared_desk, a_capture(an_invocation(body, id=uuid4().hex[:12], headers=signed(body))))
    page = await open_page(shared_desk, f"?open={name}")
    await page.get_by_role("button", name="curl", exact=True).click()
    await expect(page.get_by_text("newly signed, valid for 5 minutes")).to_be_visible()
    command = str(await page.evaluate("navigator.clipboard.readText()"))
    stamp = re.search(r"x-port-timestamp: (\d+)", command)
    assert stamp is not None
    assert abs(int(stamp[1]) - time.time()) < 60
    for chosen, is_new in (("httpie", True), ("har", False)):
        async with page.expect_download() as download:
            await page.get_by_label("Export as").select_option(chosen)
        content = (await (await download.value).path()).read_text("utf-8")
        assert ("1700000000" in content) is not is_new
    await page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('refused')); }")
    await page.keyboard.press("c")
    manual = page.get_by_role("dialog", name="Copy this text")
    await expect(manual.get_by_label("Text")).to_have_value(re.compile("curl "))


async def test_action_is_triggered_and_its_encrypted_input_decrypted_on_click_only(
    shared_desk: Desk, receiver: Handler, open_page: OpenPage
) -> None:
    mark = unique()
    page = await open_page(shared_desk, f"?text={mark}")
    await page.keyboard.press("t")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("combobox", name="Action")).to_be_focused()
    await dialog.get_by_role("combobox", name="Action").select_option("everything")
    title = dialog.get_by_label("Title")
    await title.fill(mark[:5])
    shared_desk.post(a_vm(mark))
    await rows(page, 1)
    await title.press_sequentially(mark[5:])
    await expect(title).to_have_value(mark)  # the arrival changed nothing
    secret = dialog.get_by_label("API key")
    await expect(secret).to_have_attribute("type", "password")
    await secret.fill("the-plain-key")
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
    await title.press("Enter")
    await expect(labels).to_be_focused()  # the browser shows why it is not sent
    await rows(page, 1)
    await labels.fill('{"team": "core"}')
    await title.press("Enter")
    await expect(dialog.get_by_text("202")).to_be_in_viewport()
    await rows(page, 2)
    properties = json.loads(receiver.requests[-1].body)["payload"]["properties"]
    assert properties.pop("api_key") != "the-plain-key"
    assert properties == {
        "title": mark,
        "replicas": 2,
        "zones": ["a1", "c3"],
        "helm": "a: 1\nb: 2\n",
        "labels": {"team": "core"},
        "start": "2026-06-01T10:00:00.000Z",  # Berlin is two hours ahead
    }
    await dialog.get_by_role("button", name="Show the capture").click()
    await expect(page.get_by_role("heading", name="Encrypted inputs")).to_be_visible()
    await expect(page.get_by_text("the-plain-key")).to_have_count(0)
    await page.get_by_role("button", name="Decrypt here").click()
    await expect(page.get_by_text("the-plain-key")).to_be_visible()
    await page.get_by_role("button", name="Hide").click()
    await expect(page.get_by_text("the-plain-key")).to_have_count(0)


async def test_page_is_operated_by_keys_and_the_back_button(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, "one", "two", "three")
    page = await open_page(shared_desk, f"?text={mark}")
    await rows(page, 3)
    visited = [""]
    while visited[-1] != "scroll" and len(visited) < 40:
        await page.keyboard.press("Tab")
        part = "document.activeElement.closest('.search, .filters, .scroll')?.className ?? ''"
        visited.append(await page.evaluate(part))
    firsts = [visited.index(name) for name in ("search", "filters", "scroll")]
    assert firsts == sorted(firsts)
    await page.keyboard.press("Escape")
    current = page.locator(".row.current")
    for key, title in (("j", "three"), ("j", "two"), ("k", "three"), ("j", "two")):
        await page.keyboard.press(key)
        await expect(current).to_contain_text(f"title={title}")
    shared_desk.post(a_vm(f"four-{mark}"))
    await rows(page, 4)
    await expect(current).to_contain_text("title=two")  # it stays on its capture
    await expect(current).to_have_attribute("aria-posinset", "3")
    await expect(current).to_have_attribute("aria-setsize", "4")
    await page.keyboard.press("Enter")
    await expect(page.locator(".row.open")).to_contain_text("title=two")
    for number, name in enumerate(TABS, 1):
        await tab(page, number, name)
    await page.keyboard.press("j")
    await expect(page.locator(".row.open")).to_contain_text("title=one")
    await page.locator(".row").first.click()
    await page.reload()
    await expect(page.locator(".row.open")).to_contain_text("title=four")
    await expect(page.get_by_role("tab", name="Check", exact=True)).to_have_attribute("aria-selected", "true")
    await page.go_back()
    await expect(page.locator(".row.open")).to_contain_text("title=one")
    await page.keyboard.press("r")
    await expect(page.get_by_role("region", name="Result").get_by_text("Now")).to_be_visible()
    await rows(page, 5)
    await page.keyboard.press("Escape")
    await expect(page.locator(".detail")).to_have_count(0)
    await expect(page.locator(".scroll")).to_be_focused()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.locator(".scroll")).to_be_focused()


@pytest.mark.extended
async def test_page_is_used_at_every_width(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, "a-machine-with-quite-a-long-name", "b", "c")
    shared_desk.post(a_vm(f"wrong-{mark}"), secret=WRONG)
    page = await open_page(shared_desk, f"?text={mark}")
    await rows(page, 4)
    await check(await with_axe(page), "list")
    for width in (1440, 1000, 400, 320):
        await page.set_viewport_size({"width": width, "height": 900})
        assert await page.evaluate(_STICKS_OUT) == [], width
        if width >= 1000:
            assert await page.evaluate(_ALIGNED), width
        await page.locator(".row").last.click()
        await expect(page.locator(".head h2")).to_be_visible()
        assert await page.evaluate(_STICKS_OUT) == [], f"{width} with a capture open"
        await page.keyboard.press("Escape")
        await expect(page.locator(".detail")).to_have_count(0)
    await page.locator(".row").last.click()
    await page.locator(".facts").get_by_role("button", name=re.compile("^zoë")).click()
    await expect(page.locator(".row").first).to_be_visible()  # the capture no longer covers the list
    await expect(page.locator(".filters .chip.on")).to_contain_text("zoë")
    await page.locator(".menu summary").click()
    await page.get_by_role("checkbox", name="invalid").check()
    await rows(page, 1)
    await page.keyboard.press("Escape")
    await expect(page.locator(".menu > div")).to_be_hidden()
    await expect(page.locator(".menu summary")).to_be_focused()
    await assert_fits(page)


@pytest.mark.extended
async def test_arrivals_wait_while_the_user_reads_further_down(own_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(own_desk, *["vm"] * 30)
    port = re.findall(r":(\d+)", own_desk.url)[0]
    page = await open_page(own_desk)
    await expect(page.get_by_text("30 captures")).to_be_visible()
    await scroll(page, 300)
    first = await page.locator(".row[aria-label]").first.get_attribute("id")
    for title in "abc":
        own_desk.post(a_vm(f"{title}-{mark}"))
    await expect(page).to_have_title(f"(3) port-hook {port}")
    assert await page.locator(".scroll").evaluate("box => box.scrollTop") == 300
    await expect(page.locator(".row[aria-label]").first).to_have_attribute("id", str(first))
    await page.get_by_role("button", name="3 new").click()
    await expect(page.get_by_text("33 captures")).to_be_visible()
    assert await page.locator(".scroll").evaluate("box => box.scrollTop") == 0

    button = page.get_by_role("button", name="New only")
    assert "Nothing is deleted" in str(await button.get_attribute("title"))
    await button.click()
    await expect(page.get_by_text("Nothing has arrived since")).to_be_visible()
    own_desk.post(a_vm("later"))
    await rows(page, 1)
    await page.get_by_role("button", name=re.compile("^Remove the filter")).click()
    await expect(page.get_by_text("34 captures")).to_be_visible()


@pytest.mark.extended
async def test_axe_finds_nothing_in_any_part(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, "one", "two")
    shared_desk.post(a_vm(f"wrong-{mark}"), secret=WRONG)
    page = await open_page(shared_desk, f"?text={mark}", width=1440)
    await rows(page, 3)
    await with_axe(page)
    await opened(page, 1)
    await check(page, "list and summary")
    for number, name in enumerate(TABS[1:], 2):
        await tab(page, number, name)
        await expect(page.get_by_text("Loading…")).to_have_count(0)
        await check(page, name, ".panel")
    await page.get_by_role("tab", name="Summary").click()
    for key in "mjd":
        await page.keyboard.press(key)
    await expect(page.locator(".changes").first).to_be_visible()
    await check(page, "comparison", ".panel")
    await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await check(page, "keys", "dialog")
    await page.keyboard.press("Escape")
    dialog = await triggering(page, "everything")
    await dialog.get_by_label("Labels").fill("{")
    await expect(dialog.get_by_text("This is not JSON.")).to_be_visible()
    await check(page, "trigger", "dialog")


async def test_hostile_text_stays_text(tmp_path: Path, start_desk: Any, open_page: OpenPage) -> None:
    body = b"<img src=x onerror=alert(1)><script>alert(1)</script>"
    head = b"HTTP/1.1 500 <script>alert(1)</script>\r\ncontent-type: text/html\r\nx-a: <svg onload=alert(1)>\r\n"
    with handler(head + b"content-length: %d\r\n\r\n%s" % (len(body), body)) as target:
        desk = start_desk("--forward-to", str(target.port))
        hidden = "a\u202eb\u2066c\u200bd\u200fe\ufefff\u0000g\u001b[2Jh"
        text = "".join(MARKUP)
        document = a_vm(text, **{each: each for each in MARKUP})
        document["action"] = f"{hidden}{text}"
        document["trigger"]["by"]["user"] = {"email": text, "firstName": text}
        document["payload"]["action"]["trigger"] = text
        document["context"]["entity"] = text
        desk.post(document, x_hostile=text)
        page = await open_page(desk)
        await expect(page.locator(".row .what strong")).to_contain_text("\\u202eb\\u2066c\\u200bd")
        await expect(page.locator(".row .what strong")).to_contain_text(MARKUP[0])
        await opened(page)
        await expect(page.locator(".head .verdict")).to_be_in_viewport(ratio=1)
        await expect(page.locator(".hints")).to_have_text("The handler failed. Check its log.")
        for key, name in enumerate(TABS, 1):
            await tab(page, key, name)
            await expect(page.locator(".panel > *").first).to_be_attached()
            assert await page.evaluate(_ADDED) == 0, name
            assert not set(await page.evaluate("document.body.innerText")) & set("\u202e\u2066\u200b\u200f\ufeff\0\x1b")
        panel = await tab(page, 4, "Response")
        await expect(panel.get_by_text("<img src=x onerror=alert(1)>").first).to_be_visible()
        await tab(page, 2, "Body")
        for view in ("Raw", "Headers"):
            await page.get_by_role("button", name=view).first.click()
        assert await page.evaluate(_ADDED) == 0
        await assert_fits(page)
        await expect(page.locator(".failure")).to_have_count(0)
