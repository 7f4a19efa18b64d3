"""The page's texts about signatures, responses and comparisons, and what it copies, in a real Chromium."""

from __future__ import annotations

import json
import re
import time
from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Delivery, MessageOrigin, Response
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.signatures.messages import verify_received
from port_hook_cli.signatures.signing import signed_message
from tests.browser.conftest import OpenPage
from tests.browser.inspecting import Desk, a_vm
from tests.factories import SECRET, a_body, a_capture, an_invocation, now_signed, signed

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]

JSON = Headers((("content-type", "application/json"),))


def mark() -> str:
    return f"t{uuid4().hex[:10]}"


def answered(text: str, status: int, body: bytes, *, latency_ms: float = 2.0, **fields: Any) -> Capture:
    """Return a capture with this text, and the handler's response, which the listener relayed."""
    answer: dict[str, Any] = {"status": status, "headers": JSON, "body": body}
    request = an_invocation(a_body(a_vm(text)), id=uuid4().hex[:12], received_at=time.time(), **fields)
    delivery = Delivery(url="http://127.0.0.1:9/", latency_ms=latency_ms, **answer)
    return a_capture(request, delivery=delivery, response=Response(**answer))


def added(desk: Desk, *captures: Capture) -> list[str]:
    with open_store(None, desk.folder) as store:
        store.add(captures)
    return [capture.invocation.id for capture in captures]


async def opened(page: Page) -> None:
    await page.locator(".row:not(.empty)").first.click()
    await expect(page.locator(".head h2")).to_be_visible()


async def test_warning_of_a_valid_signature_is_in_a_warning_box_and_in_the_list(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    text = mark()
    body = a_body(a_vm(text))
    headers = now_signed(body)
    for _ in range(2):
        assert shared_desk.send(body, headers, {}) == 202
    page = await open_page(shared_desk, f"?text={text}")
    await expect(page.get_by_role("option", name=re.compile("signature valid with a warning"))).to_have_count(1)
    verdicts = page.locator(".row .verdict")
    await expect(verdicts).to_have_text([re.compile("valid.*, with a warning"), re.compile("^valid$")])
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
    await page.get_by_role("tab", name="Signature").click()
    await expect(page.locator(".cause.warn")).to_have_count(1)


async def test_invalid_timestamp_is_explained_above_two_equal_signatures(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    text = mark()
    body = a_body(a_vm(text))
    assert shared_desk.send(body, signed(body, timestamp="yesterday"), {}) == 401
    page = await open_page(shared_desk, f"?text={text}&verdict=malformed")
    await opened(page)
    await page.keyboard.press("3")
    panel = page.get_by_role("tabpanel")
    await expect(panel.get_by_text("the same")).to_be_visible()
    said = "The timestamp is not a whole number. The signature matches anyway."
    await expect(panel.locator(".lead")).to_have_text(said)
    await expect(panel).not_to_contain_text("does not match")
    await page.keyboard.press("1")
    await expect(panel.locator(".way")).to_contain_text(said)


async def test_kafka_message_gets_no_response_and_is_signed_without_its_headers(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    text = mark()
    value = signed_message(a_vm(text), SECRET, str(int(time.time())))
    headers, now = message_headers(value), time.time()
    request = an_invocation(
        value, id=uuid4().hex[:12], received_at=now, headers=headers, origin=MessageOrigin("org.runs", 0, 1, None)
    )
    verdict = verify_received(headers, value, SECRET, is_message=True, now=now)
    handled = answered(text, 202, b"{}")
    message = a_capture(request, verdict=verdict, delivery=handled.delivery, response=handled.response)
    (name,) = added(shared_desk, message)
    page = await open_page(shared_desk, f"?open={name}")
    panel = page.get_by_role("tabpanel")
    await expect(panel.locator(".way")).to_contain_text("Port gets no response")
    await expect(panel.locator(".way")).to_contain_text("Port signed this message, without its two signature headers")
    await expect(panel.locator(".way")).to_contain_text("until the consumer of the topic reports its result")
    await expect(page.locator(".detail")).not_to_contain_text(re.compile("Port got|raw bytes|exactly these bytes"))
    await expect(page.locator(".verdict[title*='raw bytes']")).to_have_count(0)
    await expect(page.locator(".head .pill")).to_have_count(0)
    await page.keyboard.press("4")
    await expect(panel).to_contain_text("Port gets no response to a Kafka message.")
    await page.keyboard.press("3")
    await expect(panel.locator(".difference mark").first).to_contain_text("X-Port-Signature")


async def test_first_difference_of_the_signed_form_is_marked(shared_desk: Desk, open_page: OpenPage) -> None:
    text = mark()
    document = {"a": text, **a_vm(text)}
    sent, signed_form = json.dumps(document).encode(), a_body(document)
    assert shared_desk.send(sent, now_signed(signed_form), {}) == 202
    page = await open_page(shared_desk, f"?text={text}", width=1000)
    await opened(page)
    await page.keyboard.press("3")
    panel = page.get_by_role("tabpanel")
    await expect(panel.get_by_role("heading", name="First difference, at byte 5")).to_be_visible()
    await expect(panel.locator(".difference dt")).to_have_text(["Raw body", "Signed: js"])
    await expect(panel.locator(".difference code").first).to_have_text(re.compile(f'^{{"a":␣"{text}", "'))
    await expect(panel.locator(".difference mark")).to_have_text(["␣", ""])
    await expect(panel.locator(".difference small")).to_have_text(["1 byte, in hex: 20", "no bytes"])


async def test_unchanged_response_is_shown_once(shared_desk: Desk, open_page: OpenPage) -> None:
    body = b'{"unchanged":1}'
    same = answered(mark(), 202, body)
    other = a_capture(answered(mark(), 202, body).invocation, delivery=same.delivery, response=Response(status=500))
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
    text = mark()
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
    text = mark()
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
    assert abs(float(shown[1]) - latency_ms) <= 0.06, (shown[1], latency_ms)


async def test_copied_and_saved_requests_are_signed_now(shared_desk: Desk, open_page: OpenPage) -> None:
    text = mark()
    captured = an_invocation(a_body(a_vm(text)), id=uuid4().hex[:12], headers=signed(a_body(a_vm(text))))
    (name,) = added(shared_desk, a_capture(captured))
    page = await open_page(shared_desk, f"?open={name}")
    await page.get_by_role("button", name="curl", exact=True).click()
    await expect(page.get_by_text("newly signed, valid for 5 minutes")).to_be_visible()
    command = await page.evaluate("navigator.clipboard.readText()")
    stamp = re.search(r"x-port-timestamp: (\d+)", command)
    assert stamp is not None
    assert abs(int(stamp[1]) - time.time()) < 60
    for chosen, is_new in (("httpie", True), ("har", False)):
        async with page.expect_download() as download:
            await page.get_by_label("Export as").select_option(chosen)
        content = (await (await download.value).path()).read_text("utf-8")
        assert ("1700000000" in content) is not is_new


async def test_tabs_are_reached_by_arrows_home_and_end_and_control_the_panel(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    a, b = added(shared_desk, answered(mark(), 202, b"{}"), answered(mark(), 202, b"{}"))
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
