"""Finding captures and their content: facts as filters, search, times, the tree, headers."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from port_hook_cli.text.secret import Secret
from tests.browser.acting import opened, rows, unique
from tests.browser.conftest import OpenPage
from tests.browser.inspecting import Desk, a_desk, a_vm
from tests.browser.test_page_accessibility import check, with_axe
from tests.servers import handler

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]


def an_action(mark: str, *, user: str, **parts: Any) -> dict[str, Any]:
    document = a_vm(mark)
    document["trigger"]["by"]["user"]["email"] = user
    return {**document, **parts}


async def test_facts_of_the_open_capture_filter_the_list(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = unique()
    ada, zoe = f"ada-{mark}@example.com", f"zoë-{mark}@example.com"
    for user in (zoe, ada, zoe):
        shared_desk.post(an_action(mark, user=user, action=f"act_{mark}"))
    shared_desk.post({"context": {"nodeRunId": f"wfnr_{mark}"}, "workflow": f"wf_{mark}", "node": mark, "by": ada})
    page = await open_page(shared_desk, f"?text={mark}")
    await rows(page, 4)
    await opened(page, 1)
    facts = page.locator(".facts")
    await facts.get_by_role("button", name=re.compile(zoe)).click()
    await rows(page, 2)
    await expect(facts.get_by_role("button", name=re.compile(zoe))).to_have_attribute("aria-pressed", "true")
    await page.reload()
    await rows(page, 2)
    await page.get_by_role("button", name=f"Remove the filter user {zoe}").click()
    await rows(page, 4)
    assert "user=" not in page.url
    await page.get_by_role("button", name=re.compile(f"^act_{mark}")).click()
    await rows(page, 3)
    await page.get_by_role("button", name=f"Remove the filter action act_{mark}").click()
    way = page.locator(".way")
    await way.get_by_role("button", name="Port got 202").click()
    await expect(page.get_by_label("Response", exact=True)).to_have_value("202")
    await way.get_by_role("button", name="Handler 202").click()
    await way.get_by_role("button", name="Signature valid").click()
    await rows(page, 4)
    assert {"response=202", "handler=202", "verdict=valid"} <= set(page.url.partition("?")[2].split("&"))
    await opened(page, 0)
    await facts.get_by_role("button", name=mark, exact=True).click()
    await expect(page.get_by_role("button", name=f"Remove the filter node {mark}")).to_be_visible()
    await facts.get_by_role("button", name=f"wf_{mark}").click()
    await rows(page, 1)
    assert f"workflow=wf_{mark}" in page.url
    await page.get_by_label("Latency", exact=True).select_option("30000")
    await expect(page.get_by_text("No captures match")).to_be_visible()
    assert "latency=30000" in page.url


async def test_fact_shows_the_list_when_the_capture_covers_it(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = unique()
    shared_desk.post(an_action(mark, user=f"ada-{mark}@example.com"))
    page = await open_page(shared_desk, f"?text={mark}", width=400)
    await page.locator(".row:not(.empty)").click()
    await page.locator(".facts").get_by_role("button", name=re.compile(f"ada-{mark}")).click()
    await rows(page, 1)
    await expect(page.locator(".row").first).to_be_visible()
    await expect(page.locator(".filters .chip.on")).to_contain_text(f"ada-{mark}")


async def test_enter_opens_the_first_match_and_marks_it_in_the_body(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = unique()
    for title in ("hay", "Needle", "hay"):
        shared_desk.post(a_vm(f"{title}-{mark}", deep={"list": [{"name": f"needle-{mark}"}]} if title != "hay" else 1))
    page = await open_page(shared_desk)
    await page.keyboard.press("/")
    await page.keyboard.type(f"needle-{mark}")
    await page.keyboard.press("Enter")
    await expect(page.locator(".way")).to_be_visible()
    await expect(page.get_by_role("listbox", name="Captures")).to_be_focused()
    await rows(page, 1)
    await page.get_by_role("tab", name="Body").click()
    await expect(page.get_by_label("Find a key or value in the body")).to_have_value(f"needle-{mark}")
    await expect(page.get_by_text("2 found")).to_be_visible()
    await expect(page.locator(".matches mark")).to_have_text([f"Needle-{mark}", f"needle-{mark}"])
    await expect(page.get_by_role("tree").locator("mark").first).to_have_text(f"Needle-{mark}")
    await check(await with_axe(page), "a search in the tree")
    await page.get_by_label("Find a key or value in the body").fill("")
    await expect(page.locator("mark, .matches")).to_have_count(0)
    await page.get_by_role("button", name="Raw").click()
    await expect(page.locator("pre.raw mark")).to_have_count(2)


async def test_text_in_a_header_does_not_search_the_tree(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = unique()
    shared_desk.post(a_vm("vm"), x_trace=mark)
    page = await open_page(shared_desk, f"?text={mark}")
    await opened(page)
    await page.keyboard.press("2")
    await expect(page.get_by_role("treeitem").nth(5)).to_be_visible()
    await expect(page.get_by_label("Find a key or value in the body")).to_have_value("")
    await page.get_by_role("button", name=re.compile("Headers")).click()
    await expect(page.locator("table.headers mark")).to_have_text([mark])


async def test_keys_of_the_tree_reach_its_ends_parents_and_children(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = unique()
    shared_desk.post(body=b'{"first": {"a": [1, 2]}, "mark": "%s", "last": null}' % mark.encode())
    page = await open_page(shared_desk, f"?text={mark}")
    await opened(page)
    await page.keyboard.press("2")
    item = page.get_by_role("treeitem")
    await expect(item).to_have_count(7)
    await item.first.focus()

    async def press(key: str, now_at: int) -> None:
        await page.keyboard.press(key)
        await expect(item.nth(now_at)).to_be_focused()

    for key, now_at in (("End", 6), ("ArrowLeft", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowRight", 3)):
        await press(key, now_at)
    await expect(item.nth(4)).to_have_attribute("aria-level", "4")
    await expect(item.nth(4)).to_have_attribute("aria-posinset", "2")
    await expect(item.nth(4)).to_have_attribute("aria-setsize", "2")
    for key, now_at in (("ArrowRight", 3), ("ArrowLeft", 2), ("ArrowLeft", 2)):
        await press(key, now_at)
    await expect(item).to_have_count(5)
    await expect(item.nth(2)).to_have_attribute("aria-expanded", "false")
    for key, now_at in (("ArrowLeft", 1), ("ArrowLeft", 1), ("ArrowLeft", 0), ("End", 3), ("Home", 0)):
        await press(key, now_at)


async def test_time_is_a_filter_without_a_drag(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = unique()
    shared_desk.post(a_vm(mark))
    page = await open_page(shared_desk, f"?text={mark}")
    await rows(page, 1)
    await expect(page.get_by_role("img", name=re.compile("^1 arrived, from .+ to "))).to_be_visible()
    await page.get_by_role("button", name="Time", exact=True).click()
    await check(await with_axe(page), "times")
    await page.get_by_role("button", name="Last 5 minutes").click()
    await expect(page.locator(".filters .chip.on")).to_contain_text("since ")
    await rows(page, 1)
    assert abs(time.time() - 300 - float(re.search(r"since=(\d+)", page.url)[1])) < 60  # type: ignore[index]
    await page.get_by_role("button", name="Time", exact=True).press("Enter")
    await page.get_by_label("To", exact=True).fill("2020-01-01T00:00:00")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("The end must be after the start.")
    await page.get_by_label("From", exact=True).fill("2019-12-31T12:00:00")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("No captures match")).to_be_visible()
    assert "since=1577793600&until=1577836800" in page.url
    await page.get_by_role("button", name=re.compile("^Remove the filter Dec 31, 2019")).click()
    await rows(page, 1)


async def test_timeline_distinguishes_rejected_from_failed(tmp_path: Path, open_page: OpenPage) -> None:
    failing = b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n"
    with handler(failing) as target, a_desk(tmp_path, "--forward-to", target.url) as desk:
        desk.post(a_vm("a"))
        desk.post(a_vm("b"))
        desk.post(a_vm("c"), secret=Secret("another-client-secret-of-thirty-two-characters"))
        page = await open_page(desk)
        await expect(page.get_by_role("img", name=re.compile("^3 arrived, 1 rejected, 2 failed"))).to_be_visible()
        await expect(page.locator(".axis .reading")).to_contain_text("3 arrived, 1 rejected, 2 failed")
        await opened(page, 1)
        await expect(page.locator(".hints")).to_have_text("The handler failed. Check its log.")
        await page.close()


async def test_thousands_of_headers_open_without_a_long_task(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = unique()
    many: dict[str, Any] = {f"x_h{number:04}": f"v{number}" for number in range(5000)}
    shared_desk.post(a_vm(mark), **many)
    page = await open_page(shared_desk, f"?text={mark}")
    await opened(page)
    await page.keyboard.press("2")
    button = page.get_by_role("button", name=re.compile(r"Headers \(50\d\d\)"))
    await button.wait_for()
    await page.evaluate("window.slow = []")
    await button.click()
    lines = page.locator("table.headers tr")
    await expect(lines).to_have_count(200)
    longest = max(await page.evaluate("window.slow"), default=0)
    sys.stdout.write(f"The longest task was {longest:.0f} ms.\n")
    assert longest < 200
    await page.get_by_role("button", name="Show 200 more").click()
    await expect(lines).to_have_count(400)
    await page.get_by_label("Find a header").fill("v4999")
    await expect(lines).to_have_count(1)


async def test_invisible_characters_are_escapes(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = unique()
    hidden = "a\ufe0fb\u034fc\u2800d\u17b4e\u2063f\U000e0100g\u2764\ufe0f"
    shared_desk.post(an_action(mark, user=hidden))
    page = await open_page(shared_desk, f"?text={mark}")
    await expect(page.locator(".row .who")).to_have_text(
        "a\\ufe0fb\\u034fc\\u2800d\\u17b4e\\u2063f\\udb40\\udd00g\u2764\ufe0f"
    )
