"""The parts of an open capture, in cases that are rarer than those of test_page_flows.py."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from playwright.async_api import expect

from port_hook_cli.invocations.models import Cause, Delivery, MessageOrigin, Response, Simulated, Status, Verdict
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.signatures.messages import verify_received
from port_hook_cli.signatures.signing import signed_message
from tests.browser.acting import added, answered, assert_fits, opened, rows, tab, unique
from tests.browser.conftest import OpenPage
from tests.browser.inspecting import Desk, a_vm
from tests.factories import SECRET, a_body, a_capture, now_signed, signed

pytestmark = [pytest.mark.once, pytest.mark.extended, pytest.mark.asyncio(loop_scope="session")]


async def test_signature_tab_shows_the_warning_the_invalid_timestamp_and_the_first_difference(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    mark = unique()
    document = {"a": mark, **a_vm(mark)}
    signed_form = a_body(document)
    assert shared_desk.send(json.dumps(document).encode(), now_signed(signed_form), {}) == 202
    assert shared_desk.send(signed_form, signed(signed_form, timestamp="yesterday"), {}) == 401
    body = a_body(a_vm(mark))
    headers = now_signed(body)
    for _ in range(2):
        assert shared_desk.send(body, headers, {}) == 202
    page = await open_page(shared_desk, f"?text={mark}")
    await rows(page, 4)
    await expect(page.get_by_role("option", name=re.compile("signature valid with a warning"))).to_have_count(1)
    verdicts = page.locator(".row .verdict")
    await expect(verdicts.nth(0)).to_have_text(re.compile("valid.*, with a warning"))
    await expect(verdicts.nth(1)).to_have_text("valid")
    await opened(page)
    await expect(page.locator(".head .verdict")).to_contain_text("with a warning")
    box = page.locator(".cause")
    await expect(box).to_have_class("cause warn")
    await expect(box).to_contain_text("This signature was seen before")
    warning = await page.locator(".verdict .warn").first.evaluate("mark => getComputedStyle(mark).color")
    border = await box.evaluate("box => getComputedStyle(box).borderTopColor")
    good = await page.locator(".head .verdict").evaluate("mark => getComputedStyle(mark).color")
    assert warning != good
    assert border != await page.evaluate("getComputedStyle(document.body).color")

    await page.locator(".row").nth(2).click()
    panel = await tab(page, 3, "Signature")
    await expect(panel.get_by_text("the same")).to_be_visible()
    said = "The timestamp is not a whole number. The signature matches anyway."
    await expect(panel.locator(".lead")).to_have_text(said)
    await expect(panel).not_to_contain_text("does not match")
    await tab(page, 1, "Summary")
    await expect(panel.locator(".way")).to_contain_text(said)

    await page.locator(".row").nth(3).click()
    await tab(page, 3, "Signature")
    await expect(panel.get_by_role("heading", name="First difference, at byte 5")).to_be_visible()
    await expect(panel.locator(".difference dt")).to_have_text(["Raw body", "Signed: js"])
    await expect(panel.locator(".difference code").first).to_have_text(re.compile(f'^{{"a":␣"{mark}", "'))
    await expect(panel.locator(".difference mark")).to_have_text(["␣", ""])
    await expect(panel.locator(".difference small")).to_have_text(["1 byte, in hex: 20", "no bytes"])


async def test_kafka_message_gets_no_response_and_is_signed_without_its_headers(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    text = unique()
    value = signed_message(a_vm(text), SECRET, str(int(time.time())))
    headers, now = message_headers(value), time.time()
    handled = answered(text, 202, b"{}", headers=headers, origin=MessageOrigin("org.runs", 0, 1, None))
    verdict = verify_received(headers, value, SECRET, is_message=True, now=now)
    message = replace(handled, invocation=replace(handled.invocation, body=value), verdict=verdict)
    (name,) = added(shared_desk, message)
    page = await open_page(shared_desk, f"?open={name}")
    panel = page.get_by_role("tabpanel")
    await expect(panel.locator(".way")).to_contain_text("Port gets no response")
    await expect(panel.locator(".way")).to_contain_text(
        "The signature matches this message, without its two signature headers"
    )
    await expect(panel.locator(".way")).to_contain_text("until the consumer of the topic reports its result")
    await expect(page.locator(".detail")).not_to_contain_text(re.compile("Port got|raw bytes|exactly these bytes"))
    await expect(page.locator(".verdict[title*='raw bytes']")).to_have_count(0)
    await expect(page.locator(".head .pill")).to_have_count(0)
    await page.keyboard.press("4")
    await expect(panel).to_contain_text("Port gets no response to a Kafka message.")
    await page.keyboard.press("3")
    await expect(panel.locator(".difference mark").first).to_contain_text("X-Port-Signature")


async def test_unchanged_response_is_shown_once(shared_desk: Desk, open_page: OpenPage) -> None:
    body = b'{"unchanged":1}'
    same = answered(unique(), 202, body)
    other = a_capture(answered(unique(), 202, body).invocation, delivery=same.delivery, response=Response(status=500))
    names = added(shared_desk, same, other)
    page = await open_page(shared_desk, f"?open={names[0]}&tab=response")
    panel = page.get_by_role("tabpanel")
    await expect(panel.get_by_text("unchanged from your handler")).to_be_visible()
    await expect(panel.locator(".body")).to_have_count(1)
    await page.goto(page.url.replace(names[0], names[1]))
    await expect(panel.get_by_text("500", exact=True)).to_be_visible()
    await expect(panel.locator(".body")).to_have_count(2)
    await expect(panel.get_by_text("unchanged from your handler")).to_have_count(0)


async def test_comparison_of_outcomes_is_colored_by_meaning_and_shows_response_members(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    text = unique()
    a, b = added(
        shared_desk,
        answered(text, 202, b'{"ok":true,"job":{"id":1}}'),
        answered(text, 500, b'{"ok":false,"job":{"id":2}}'),
    )
    page = await open_page(shared_desk, f"?open={b}&against={a}")
    outcome = page.get_by_role("table", name="Outcome")
    await expect(outcome.locator("tbody tr")).to_have_count(2)
    await expect(outcome.locator("ins")).to_have_text(["500", "500"])
    await expect(outcome.locator("td:last-child")).to_have_text([re.compile("500 worse")] * 2)
    colors = "cells => cells.map((cell) => getComputedStyle(cell).color)"
    worse = await outcome.locator("ins").evaluate_all(colors)
    paths = page.get_by_role("table", name="Response body").locator("th[scope=row]")
    await expect(paths).to_have_text(["/ok", "/job/id"])
    await page.get_by_role("button", name="Swap").click()
    await expect(outcome.locator("td:last-child")).to_have_text([re.compile("202 better")] * 2)
    better = await outcome.locator("ins").evaluate_all(colors)
    assert len({*worse}) == len({*better}) == 1
    assert worse[0] != better[0]
    red = await page.locator(".head .pill").evaluate("pill => getComputedStyle(pill).color")
    assert red == better[0]  # the open capture is now the one with 202


async def test_both_times_of_a_replay_are_the_handlers(shared_desk: Desk, open_page: OpenPage) -> None:
    text = unique()
    (name,) = added(shared_desk, answered(text, 500, b"{}", latency_ms=2502.0))
    page = await open_page(shared_desk, f"?open={name}")
    await page.get_by_role("button", name="Replay", exact=True).click()
    result = page.get_by_role("region", name="Result")
    now = result.locator("div").nth(1)
    await expect(now).to_contain_text(re.compile(r"202 in [\d.]+ ms"))
    replays = shared_desk.get(f"/api/captures/{name}")["replays"]
    latency_ms = replays[0]["handler"]["latency_ms"]
    shown = re.search(r"in ([\d.]+) ms", await now.inner_text())
    assert shown is not None
    rounding_ms = 0.06 if latency_ms < 100 else 0.5  # the page shows whole milliseconds from 100 on
    assert abs(float(shown[1]) - latency_ms) <= rounding_ms, (shown[1], latency_ms)


async def test_tabs_are_reached_by_arrows_home_and_end_and_control_the_panel(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    a, b = added(shared_desk, answered(unique(), 202, b"{}"), answered(unique(), 202, b"{}"))
    page = await open_page(shared_desk, f"?open={a}")
    tabs = page.get_by_role("tab")
    await tabs.first.focus()
    for key, name in (("End", "Check"), ("ArrowRight", "Summary"), ("ArrowLeft", "Check")):
        await page.keyboard.press(key)
        await expect(page.locator("[role=tab]:focus")).to_have_text(name)
        await expect(page.locator("[role=tab][aria-selected=true]")).to_have_text(name)
    await page.keyboard.press("Home")
    await expect(page.locator("[role=tab]:focus")).to_have_text("Summary")
    await page.goto(f"{page.url.partition('?')[0]}?open={b}&against={a}")
    await expect(tabs.last).to_have_text("Comparison")
    dangling = await page.evaluate(
        """() => [...document.querySelectorAll("[aria-controls], [aria-labelledby]")]
          .map((each) => each.getAttribute("aria-controls") ?? each.getAttribute("aria-labelledby"))
          .filter((id) => !document.getElementById(id))"""
    )
    assert dangling == []
    await expect(page.locator("[role=tab][tabindex='0']")).to_have_text("Comparison")
    await tabs.last.focus()
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("[role=tab]:focus")).to_have_text("Check")
    await expect(tabs).to_have_count(7)


async def test_body_tab_has_a_tree_with_keys_and_thousands_of_headers(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = unique()
    many: dict[str, Any] = {f"x_h{number:04}": f"v{number}" for number in range(5000)}
    shared_desk.post(body=b'{"first": {"a": [1, 2]}, "mark": "any", "last": null}', x_a_trace=mark, **many)
    page = await open_page(shared_desk, f"?text={mark}")
    await opened(page)
    await tab(page, 2, "Body")
    item = page.get_by_role("treeitem")
    await expect(item).to_have_count(7)
    await expect(page.get_by_label("Find a key or value in the body")).to_have_value("")  # the text is in a header
    await item.first.focus()

    async def press(key: str, now_at: int) -> None:
        await page.keyboard.press(key)
        await expect(item.nth(now_at)).to_be_focused()

    for key, now_at in (("End", 6), ("ArrowLeft", 0), ("ArrowDown", 1), ("ArrowUp", 0), ("ArrowRight", 1)):
        await press(key, now_at)
    for key, now_at in (("ArrowRight", 2), ("ArrowRight", 3)):
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

    button = page.get_by_role("button", name=re.compile(r"Headers \(50\d\d\)"))
    await page.evaluate("window.slow = []")
    await button.click()
    lines = page.locator("table.headers tr")
    await expect(lines).to_have_count(200)
    await expect(page.locator("table.headers mark")).to_have_text([mark])
    longest = max(await page.evaluate("window.slow"), default=0)
    sys.stdout.write(f"The longest task was {longest:.0f} ms.\n")
    assert longest < 200
    await page.get_by_role("button", name="Show 200 more").click()
    await expect(lines).to_have_count(400)
    await page.get_by_label("Find a header").fill("v4999")
    await expect(lines).to_have_count(1)


async def test_replay_without_a_response_is_not_pending_and_the_summary_says_what_was_simulated(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    original = answered(mark := unique(), 200, b"")
    replay = replace(original.invocation, id=f"{unique()[1:]}0", replay_of=original.invocation.id)
    delivery = Delivery(url="http://127.0.0.1:9/", fault="unreachable", error="nothing listens", latency_ms=1.0)
    simulated = Simulated(failure="fail-first", delay_s=2.0)
    added(shared_desk, replace(original, simulated=simulated), a_capture(replay, delivery=delivery))
    page = await open_page(shared_desk, f"?text={mark}")
    await rows(page, 2)
    await expect(page.locator(".row .response")).to_have_text(["unreachable", "200"])
    await opened(page, 1)
    await expect(page.get_by_text("Simulated: failure (--fail-first), delay of 2.00 s (--delay)")).to_be_visible()
    await expect(page.locator(".replays .pill")).to_have_text("unreachable")
    await page.locator(".replays button").first.click()
    await expect(page.get_by_text("No response", exact=True)).to_be_visible()
    await expect(page.get_by_text("Port got no response yet")).to_have_count(0)


# A frame may take 200 ms on a developer's machine. The limit is generous, because machines differ.
LONGEST_FRAME_MS = 1000
BODIES: dict[str, Callable[[str], bytes]] = {
    "9 MB": lambda own: a_body(a_vm(own, large="x" * 9_000_000)),
    "10,000 arrays": lambda own: b'{"%s":%s1%s}' % (own.encode(), b"[" * 10_000, b"]" * 10_000),
    "100,000 keys": lambda own: a_body(a_vm(own, **{f"k{number}": number for number in range(100_000)})),
    "binary": lambda own: own.encode() + bytes(range(256)),
    "long names": lambda own: a_body(a_vm(own) | {"action": f"{own}{'very_long_' * 500}"}),
}


async def test_large_deep_or_odd_bodies_open_immediately(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = unique()
    for body_of in BODIES.values():
        shared_desk.post(body=body_of(mark), x_long="y" * 5000)
    page = await open_page(shared_desk, f"?text={mark}", width=400)
    await rows(page, len(BODIES))
    for index, name in enumerate(reversed(BODIES)):
        await opened(page, index)
        for key, shown in ((2, "Body"), (3, "Signature"), (6, "Edit and replay"), (1, "Summary")):
            await tab(page, key, shown)
            await expect(page.locator(".panel > *").first).to_be_attached()
        if name == "binary":
            await tab(page, 2, "Body")
            await expect(page.locator("pre.raw")).to_contain_text("00 01 02")
        await assert_fits(page)
        await expect(page.locator(".failure")).to_have_count(0)
        await page.keyboard.press("Escape")
        await expect(page.locator(".detail")).to_have_count(0)
    slow = max(await page.evaluate("window.slow"), default=0)
    sys.stdout.write(f"The longest frame took {slow:.0f} ms.\n")
    assert slow < LONGEST_FRAME_MS


async def test_tooltips_show_hidden_characters_as_escapes(shared_desk: Desk, open_page: OpenPage) -> None:
    message = answered(mark := unique(), 202, b"", origin=MessageOrigin("t\u202ec", 0, 1))
    verdict = Verdict(status=Status.VALID, signed_form="raw", causes=(Cause("s\u202eg", "why", "fix"),))
    added(shared_desk, replace(message, verdict=verdict))
    page = await open_page(shared_desk, f"?text={mark}")
    await expect(page.locator(".row:not(.empty)")).to_have_count(1)
    titles = await page.locator(".row [title]").evaluate_all("all => all.map((each) => each.title)")
    assert "s\\u202eg" in titles
    assert any("t\\u202ec" in title for title in titles)
    assert not any("\u202e" in title for title in titles)
