"""What a user does with the page, in a real Chromium."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from playwright.async_api import Route, expect

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.models import Delivery, Response, Simulated
from port_hook_cli.text.secret import Secret
from tests.browser.acting import opened, rows, scroll, unique
from tests.browser.conftest import OpenPage
from tests.browser.inspecting import Desk, a_desk, a_vm, fill
from tests.factories import a_body, a_capture, a_document, an_invocation
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import Handler, application, handler

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]

# Records the scroll positions and the first rows of the list in each frame, until a button says that rows wait.
_SEEN_UNTIL_WAITING = """(box) => new Promise((done) => {
  const seen = new Set();
  const look = () => {
    seen.add(`${box.scrollTop} ${box.querySelector(".row").id}`);
    if (document.querySelector(".waiting")) done([...seen]); else requestAnimationFrame(look);
  };
  look();
})"""
WRONG = Secret("another-client-secret-of-thirty-two-characters")


def sent(desk: Desk, *titles: str, **fields: Any) -> str:
    """Send an invocation for each title, and return a text that only these contain."""
    mark = unique()
    for title in titles or ("vm",):
        desk.post(a_vm(f"{title}-{mark}", **fields))
    return mark


async def test_request_becomes_a_row_soon_after_its_response(own_desk: Desk, open_page: OpenPage) -> None:
    page = await open_page(own_desk)
    await expect(page.get_by_text("Waiting for the first invocation")).to_be_visible()
    await expect(page.locator(".timeline, .filters")).to_have_count(0)
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
    seen = asyncio.ensure_future(
        page.evaluate(
            """() => new Promise((done) => new MutationObserver(() => document.querySelector(".row:not(.empty)")
               && done(performance.timeOrigin + performance.now()))
               .observe(document.body, {childList: true, subtree: true}))"""
        )
    )
    await page.evaluate("1")
    assert await asyncio.to_thread(own_desk.post, a_vm("first")) == 202
    responded = time.time() * 1000
    after = await seen - responded
    sys.stdout.write(f"A row {after:.0f} ms after the response.\n")
    assert after < 1500


async def test_arrivals_wait_when_the_list_is_not_at_its_top(own_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(own_desk, *["vm"] * 40)
    page = await open_page(own_desk)
    await page.locator(".row:not(.empty)").first.wait_for()
    await scroll(page, 500)
    await expect(page.locator(".row[aria-label]").first).to_be_attached()
    for title in "abc":
        own_desk.post(a_vm(f"{title}-{mark}"))
    await page.get_by_role("button", name="3 new").click()
    assert await page.locator(".scroll").evaluate("box => box.scrollTop") == 0
    await expect(page.get_by_text("43 captures")).to_be_visible()


async def test_filters_narrow_the_list_and_are_in_the_url(own_desk: Desk, open_page: OpenPage) -> None:
    sent(own_desk, "a", "b")
    own_desk.post(a_vm("wrong"), secret=WRONG)
    page = await open_page(own_desk)
    await rows(page, 3)
    await page.get_by_role("button", name="invalid").click()
    await rows(page, 1)
    assert "verdict=invalid" in page.url
    await page.get_by_role("button", name="invalid").click()
    await page.get_by_label("Response", exact=True).select_option("2xx")
    await rows(page, 2)
    await page.get_by_label("Handler", exact=True).select_option("none")
    await expect(page.get_by_text("No captures match")).to_be_visible()
    await page.get_by_role("button", name="Clear the filters").click()
    await rows(page, 3)
    assert "?" not in page.url


async def test_menu_of_signatures_filters_on_narrow_pages(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, "a")
    shared_desk.post(a_vm(f"wrong-{mark}"), secret=WRONG)
    page = await open_page(shared_desk, f"?text={mark}", width=400)
    await rows(page, 2)
    await page.locator(".menu summary").click()
    await page.get_by_role("checkbox", name="invalid").check()
    await rows(page, 1)
    await page.keyboard.press("Escape")
    await expect(page.locator(".menu > div")).to_be_hidden()
    await expect(page.locator(".menu summary")).to_be_focused()


async def test_search_finds_text_in_bodies(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, "needle", "hay")
    page = await open_page(shared_desk)
    await page.keyboard.press("/")
    await page.keyboard.type(f"needle-{mark}")
    await rows(page, 1)
    assert f"text=needle-{mark}" in page.url


async def test_dragging_over_the_timeline_filters_by_time(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, "a", "b")
    page = await open_page(shared_desk, f"?text={mark}")
    await page.locator(".timeline svg").wait_for()
    box = await page.locator(".timeline").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 20)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 20, steps=3)
    await page.mouse.up()
    await expect(page.get_by_role("button", name=re.compile("Remove the filter .* to "))).to_be_visible()
    assert "since=" in page.url
    assert "until=" in page.url


async def test_tree_unfolds_and_finds(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, "vm", nested={"level": {"deep": "treasure"}})
    page = await open_page(shared_desk, f"?text={mark}")
    await opened(page)
    await page.keyboard.press("2")
    node = page.get_by_role("treeitem").filter(has_text="nested").last
    await expect(page.get_by_text("treasure")).to_have_count(0)
    await node.get_by_role("button", name="Unfold").click()
    await page.get_by_role("treeitem").filter(has_text="level").last.get_by_role("button", name="Unfold").click()
    await expect(page.get_by_text('"treasure"')).to_be_visible()
    await page.get_by_label("Find a key or value in the body").fill("treasure")
    await expect(page.get_by_text("1 found")).to_be_visible()
    await expect(page.get_by_role("button", name="/payload/properties/nested/level/deep")).to_be_visible()


async def test_edited_body_is_sent_and_both_responses_are_shown(
    shared_desk: Desk, receiver: Handler, open_page: OpenPage
) -> None:
    mark = sent(shared_desk)
    page = await open_page(shared_desk, f"?text={mark}")
    await opened(page)
    await page.keyboard.press("e")
    body = page.get_by_label("Body", exact=True)
    await body.fill('{\n  "a": 1,\n  oops\n}')
    await expect(page.get_by_text(re.compile("Not JSON: line 3, column 3"))).to_be_visible()
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    await body.fill(json.dumps(a_vm(f"edited-{mark}")))
    await page.get_by_role("button", name="Send", exact=True).click()
    result = page.get_by_role("region", name="Result")
    await expect(result.get_by_text("Before")).to_be_visible()
    await expect(result.get_by_text('{"accepted":true}')).to_have_count(2)
    assert f"edited-{mark}".encode() in receiver.requests[-1].body
    await rows(page, 2)


async def test_input_follows_the_body_after_undone_typing(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk)
    page = await open_page(shared_desk, f"?text={mark}")
    await opened(page)
    await page.keyboard.press("e")
    memory = page.get_by_label("memory")
    await memory.press("End")
    await memory.press("1")
    await memory.press("Backspace")
    await page.get_by_label("Body", exact=True).fill(json.dumps(a_vm(mark, memory=64)))
    await expect(memory).to_have_value("64")


async def test_summary_says_what_the_listener_simulated(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = unique()
    failed = a_capture(
        an_invocation(a_body(a_vm(mark)), id=uuid4().hex[:12], received_at=time.time()),
        response=Response(status=500),
        simulated=Simulated(failure="fail-rate", delay_s=2.0),
    )
    with open_store(None, shared_desk.folder) as store:
        store.add([failed])
    page = await open_page(shared_desk, f"?text={mark}")
    await opened(page)
    await expect(page.get_by_text("Simulated: failure (--fail-rate), delay of 2.00 s (--delay)")).to_be_visible()


async def test_form_of_inputs_writes_into_the_body(shared_desk: Desk, receiver: Handler, open_page: OpenPage) -> None:
    mark = sent(shared_desk)
    page = await open_page(shared_desk, f"?text={mark}")
    await opened(page)
    await page.keyboard.press("e")
    await page.get_by_label("cpu", exact=True).fill("16")
    await page.get_by_label("cpu", exact=True).blur()
    await expect(page.get_by_label("Body", exact=True)).to_have_value(re.compile('"cpu": 16'))
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.get_by_role("region", name="Result")).to_be_visible()
    assert json.loads(receiver.requests[-1].body)["payload"]["properties"]["cpu"] == 16


async def test_failed_replay_shows_the_failure_and_not_a_pending_response(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    mark = unique()
    original = an_invocation(a_body(a_vm(mark)), id=uuid4().hex[:12], received_at=time.time())
    replay = replace(original, id=uuid4().hex[:12], received_at=time.time() + 1, replay_of=original.id)
    delivery = Delivery(url="http://127.0.0.1:9/", fault="unreachable", error="nothing listens", latency_ms=1.0)
    with open_store(None, shared_desk.folder) as store:
        store.add([a_capture(original, response=Response(status=200)), a_capture(replay, delivery=delivery)])
    page = await open_page(shared_desk, f"?text={mark}")
    await rows(page, 2)
    await expect(page.locator(".row .response")).to_have_text(["unreachable", "200"])
    await opened(page, 1)
    await expect(page.locator(".replays .pill")).to_have_text("unreachable")
    await page.locator(".replays button").first.click()
    await expect(page.get_by_text("No response", exact=True)).to_be_visible()
    await expect(page.get_by_text("Port got no response yet")).to_have_count(0)


async def test_replay_key_shows_the_outcome_in_the_page(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk)
    page = await open_page(shared_desk, f"?text={mark}")
    await opened(page)
    await page.keyboard.press("r")
    result = page.get_by_role("region", name="Result")
    await expect(result.get_by_text("Now")).to_be_visible()
    await rows(page, 2)
    await result.get_by_role("button", name="Compare the requests").click()
    await expect(page.get_by_role("tab", name="Comparison")).to_be_visible()


async def test_comparison_marks_changed_paths(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = unique()
    shared_desk.post(a_vm(mark, cpu=2))
    shared_desk.post(a_vm(mark, cpu=8))
    page = await open_page(shared_desk, f"?text={mark}")
    await rows(page, 2)
    await opened(page, 1)
    await page.keyboard.press("m")
    await page.keyboard.press("k")
    await page.keyboard.press("d")
    changed = page.locator(".changes tr.changed").filter(has_text="/payload/properties/cpu")
    await expect(changed.locator("del")).to_have_text("2")
    await expect(changed.locator("ins")).to_have_text("8")
    await page.reload()
    await expect(changed.locator("ins")).to_have_text("8")


async def test_encrypted_inputs_are_decrypted_on_click_only(shared_desk: Desk, open_page: OpenPage) -> None:
    page = await open_page(shared_desk)
    await page.keyboard.press("t")
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("combobox", name="Action").select_option("rotate_key")
    await dialog.get_by_label("API key").fill("the-plain-key")
    await dialog.get_by_role("button", name="Trigger").click()
    await dialog.get_by_role("button", name="Show the capture").click()
    await expect(page.get_by_role("heading", name="Encrypted inputs")).to_be_visible()
    await expect(page.get_by_text("the-plain-key")).to_have_count(0)
    await page.get_by_role("button", name="Decrypt here").click()
    await expect(page.get_by_text("the-plain-key")).to_be_visible()
    await page.get_by_role("button", name="Hide").click()
    await expect(page.get_by_text("the-plain-key")).to_have_count(0)


async def test_trigger_form_has_the_focus_when_it_appears(shared_desk: Desk, open_page: OpenPage) -> None:
    page = await open_page(shared_desk)
    has_focus = asyncio.ensure_future(
        page.evaluate(
            """() => new Promise((done) => new MutationObserver(() => {
                 const choice = document.querySelector("dialog select");
                 if (choice) done(document.activeElement === choice);
               }).observe(document.body, {childList: true, subtree: true}))"""
        )
    )
    await page.evaluate("1")
    await page.keyboard.press("t")
    assert await has_focus


async def test_triggered_action_becomes_a_capture(shared_desk: Desk, receiver: Handler, open_page: OpenPage) -> None:
    mark = unique()
    page = await open_page(shared_desk, f"?text={mark}")
    await page.keyboard.press("t")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("combobox", name="Action")).to_be_focused()
    await dialog.get_by_label(re.compile("^Title")).fill(mark)
    await dialog.get_by_role("button", name="Trigger").click()
    await expect(dialog.get_by_text("202")).to_be_visible()
    await rows(page, 1)
    assert mark.encode() in receiver.requests[-1].body


async def test_input_keeps_what_is_typed_when_a_capture_arrives(own_desk: Desk, open_page: OpenPage) -> None:
    page = await open_page(own_desk)
    await page.keyboard.press("t")
    title = page.get_by_role("dialog").get_by_label(re.compile("^Title"))
    await title.fill("dev")
    own_desk.post(a_document())
    await rows(page, 1)
    await title.press_sequentially("-env")
    await expect(title).to_have_value("dev-env")
    await page.get_by_role("dialog").get_by_role("button", name="Trigger").click()
    await expect(page.get_by_role("dialog").get_by_text("202")).to_be_visible()


async def test_run_is_reported_from_the_page(tmp_path: Path, receiver: Handler, open_page: OpenPage) -> None:
    with a_sandbox() as sandbox:
        options = ("--forward-to", str(receiver.port), "--insecure-api")
        with a_desk(tmp_path, *options, env=environ_of(sandbox)) as desk:
            desk.post(a_document(), secret=sandbox.client_secret)
            page = await open_page(desk)
            await opened(page)
            await page.keyboard.press("5")
            await expect(page.locator(".run-head .pill")).to_have_text("IN_PROGRESS")
            await page.get_by_label("Log message").fill("Created the machine")
            await page.get_by_role("button", name="Success").click()
            await expect(page.locator(".run-head .pill")).to_have_text("SUCCESS")
            await expect(page.get_by_text("Created the machine")).to_be_visible()
            await page.close()


async def test_workflow_run_shows_its_result_and_nodes_with_fitting_text(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    run = {"id": "wfr_0000000000000001", "kind": "workflow", "status": "COMPLETED", "label": "FAILED", "link": []}
    node = {"id": "start", "title": "Start", "type": "SELF_SERVE_TRIGGER", "status": "IN_PROGRESS", "next": []}
    shown = {"available": True, "run": run, "logs": [], "nodes": [node]}
    page = await open_page(shared_desk, f"?text={sent(shared_desk, 'one')}")
    await page.route("**/api/runs/*", lambda route: route.fulfill(json=shown))
    await opened(page)
    await page.keyboard.press("5")
    await expect(page.locator(".run-head .pill")).to_have_text("FAILED")
    await expect(page.locator(".step-kind")).to_have_text("self-serve trigger · in progress")
    fits = "(each) => each.scrollWidth <= each.clientWidth"
    assert await page.locator(".step-kind").evaluate(fits)


async def test_back_and_forward_walk_through_captures_and_tabs_and_a_reload_keeps_the_state(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    mark = sent(shared_desk, "one", "two")
    page = await open_page(shared_desk, f"?text={mark}")
    await opened(page, 0)
    first = page.url
    await opened(page, 1)
    second = page.url
    await page.keyboard.press("3")
    await expect(page.get_by_role("tab", name="Signature")).to_have_attribute("aria-selected", "true")
    await page.reload()
    await expect(page.get_by_role("tab", name="Signature")).to_have_attribute("aria-selected", "true")
    await rows(page, 2)
    await page.go_back()
    assert page.url == first
    await expect(page.locator(".row.open")).to_have_attribute("id", re.compile(first.rpartition("open=")[2][:12]))
    await page.go_forward()
    assert page.url.startswith(second)


async def test_everything_works_by_keyboard_alone(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk, "one", "two", "three")
    page = await open_page(shared_desk, f"?text={mark}")
    await rows(page, 3)
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(page.locator(".row.current")).to_have_count(1)
    await page.keyboard.press("k")
    await page.keyboard.press("Enter")
    await expect(page.locator(".row").first).to_have_class(re.compile(r"\bopen\b"))
    for key, name in enumerate(("Summary", "Body", "Signature", "Response", "Run", "Edit and replay"), 1):
        await page.keyboard.press(str(key))
        await expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("c")
    await expect(page.get_by_text("Copied the curl command to the clipboard.")).to_be_visible()
    assert "curl " in str(await page.evaluate("navigator.clipboard.readText()"))
    await page.keyboard.press("Escape")
    await expect(page.locator(".detail")).to_have_count(0)
    await expect(page.locator(".scroll")).to_be_focused()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.locator(".scroll")).to_be_focused()


async def test_tab_key_visits_search_filters_list_and_detail_in_this_order(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    mark = sent(shared_desk)
    page = await open_page(shared_desk, f"?text={mark}", width=1000)
    await opened(page)
    await page.reload()
    await expect(page.locator(".panel dl")).to_be_visible()
    visited: list[str] = []
    for _ in range(24):
        await page.keyboard.press("Tab")
        visited.append(
            await page.evaluate(
                "document.activeElement.closest('.search, .filters, .scroll, .head, .tabs, .panel')?.className ?? ''"
            )
        )
    firsts = [visited.index(name) for name in ("search", "filters", "scroll", "head", "tabs", "panel")]
    assert firsts == sorted(firsts)


async def test_page_follows_a_restarted_server(tmp_path: Path, receiver: Handler, open_page: OpenPage) -> None:
    options = ("--forward-to", str(receiver.port))
    with a_desk(tmp_path, *options) as desk:
        port = desk.origin.rpartition(":")[2]
        desk.post(a_vm("before"))
        page = await open_page(desk, allowed=("Failed to load", "ERR_"))
        await rows(page, 1)
        token = desk.token
    await expect(page.locator(".dot.live")).to_have_count(0)
    with a_desk(tmp_path, *options, "--inspect-port", port) as desk:
        desk.post(a_vm("after"))
        if desk.token != token:
            # A new token, because another program had the port: the user opens the new URL in this tab.
            await expect(page.get_by_text("Open the URL")).to_be_visible()
            await page.goto(desk.entry)
        await rows(page, 2)
        await expect(page.locator(".dot.live")).to_have_count(1)


async def test_text_is_shown_for_manual_copying_when_it_cannot_be_copied(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    mark = sent(shared_desk)
    page = await open_page(shared_desk, f"?text={mark}")
    await page.context.clear_permissions()
    await page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('refused')); }")
    await opened(page)
    await page.keyboard.press("c")
    await expect(page.get_by_role("dialog", name="Copy this text").get_by_label("Text")).to_have_value(
        re.compile("curl ")
    )


async def test_error_while_drawing_shows_a_message_and_a_way_out(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk)
    page = await open_page(shared_desk, f"?text={mark}")
    await rows(page, 1)

    async def broken(route: Any) -> None:
        response = await route.fetch()
        document = {**await response.json(), "verdict": None}
        await route.fulfill(response=response, json=document)

    await page.route(re.compile(r"/api/captures/[0-9a-zA-Z]+$"), broken)
    await page.locator(".row").first.click()
    await expect(page.get_by_role("heading", name="This capture cannot be shown")).to_be_visible()
    await expect(page.get_by_role("button", name="Reload")).to_be_visible()
    await rows(page, 1)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("heading", name="This capture cannot be shown")).to_have_count(0)


async def test_page_stays_live_however_often_its_filters_change(shared_desk: Desk, open_page: OpenPage) -> None:
    sent(shared_desk)  # an empty list has no filters
    page = await open_page(shared_desk)
    await expect(page.locator(".dot.live")).to_have_count(1)
    button = page.get_by_role("button", name="malformed")
    for _ in range(18):
        async with page.expect_response(lambda response: "/api/events" in response.url) as found:
            await button.click()
        assert (await found.value).status == 200
    mark = sent(shared_desk)
    await expect(page.locator(".row:not(.empty)").first).to_be_visible()
    await page.get_by_role("searchbox").first.fill(mark)
    await rows(page, 1)


async def test_list_is_requested_before_the_timeline_and_a_reload_requests_no_file_again(
    shared_desk: Desk, open_page: OpenPage
) -> None:
    mark = sent(shared_desk)
    page = await open_page(shared_desk, f"?text={mark}&verdict=valid&tab=body")
    await rows(page, 1)
    await page.reload()
    await rows(page, 1)
    await expect(page.locator(".timeline svg")).to_be_attached()
    entries = await page.evaluate(
        "performance.getEntriesByType('resource').map(({name, transferSize}) => [new URL(name), transferSize])"
        ".map(([url, size]) => [url.pathname, url.search, size])"
    )
    asked = [(path, query) for path, query, _ in entries if path in {"/api/captures", "/api/spans", "/api/histogram"}]
    assert asked[0] == ("/api/captures", f"?text={mark}&verdict=valid&limit=40")
    assert [path for path, _ in asked].count("/api/captures") == 1
    files = {path.rpartition("/")[2]: size for path, _, size in entries if path.endswith(".js")}
    assert set(files.values()) == {0}
    assert {"app.js", "start.js", "preact.js"} <= set(files)


async def test_response_arriving_while_the_list_loads_is_shown(tmp_path: Path, open_page: OpenPage) -> None:
    release = threading.Event()

    async def respond(_: web.Request) -> web.Response:
        await asyncio.to_thread(release.wait, 30)
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/", respond)
    with application(app) as url, a_desk(tmp_path, "--forward-to", url) as desk:
        watcher, page = await open_page(desk), await open_page(desk)
        sending = asyncio.create_task(asyncio.to_thread(desk.post, a_vm("one")))
        try:
            await expect(watcher.locator(".row .response")).to_have_text("pending")

            async def hold(route: Route) -> None:
                response = await route.fetch()
                assert (await response.json())["captures"][0]["response"] is None
                release.set()
                await expect(watcher.locator(".row .response")).to_have_text("200")
                await route.fulfill(response=response)

            await page.route("**/api/captures?*", hold)
            await page.goto(desk.page)
            await expect(page.locator(".row .response")).to_have_text("200")
        finally:
            release.set()
            await sending
            await asyncio.gather(page.close(), watcher.close())


async def test_list_does_not_move_when_very_many_captures_arrive(tmp_path: Path, open_page: OpenPage) -> None:
    fill(tmp_path, 300)
    with a_desk(tmp_path, command=("inspect",)) as desk:
        page = await open_page(desk)
        await expect(page.get_by_text("300 captures")).to_be_visible()
        await expect(page.locator(".dot.live")).to_have_count(1)
        box = page.locator(".scroll")
        await box.evaluate("box => { box.scrollTop = 5000; }")
        await expect(page.locator(".row:not(.empty)").first).to_contain_text(f"{300 - 5000 // 38 + 7:016d}")
        first = await box.locator(".row").first.get_attribute("id")
        seen = asyncio.ensure_future(box.evaluate(_SEEN_UNTIL_WAITING))
        await page.evaluate("1")  # the watch has begun
        await asyncio.to_thread(fill, tmp_path, 100, first=300)
        assert await seen == [f"5000 {first}"]
        await page.get_by_role("button", name="100 new").click()
        await expect(page.get_by_text("400 captures")).to_be_visible()
        await page.close()


async def test_arrow_keys_walk_through_the_tree(shared_desk: Desk, open_page: OpenPage) -> None:
    mark = sent(shared_desk)
    page = await open_page(shared_desk, f"?text={mark}")
    await opened(page)
    await page.keyboard.press("2")
    root = page.get_by_role("treeitem").first
    await root.focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("treeitem").nth(1)).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("ArrowLeft")
    await expect(page.get_by_role("treeitem")).to_have_count(1)
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("treeitem").nth(1)).to_be_visible()


async def test_request_interrupted_by_the_end_of_its_listener_is_not_pending_in_an_open_page(
    tmp_path: Path, open_page: OpenPage
) -> None:
    with handler(delay_s=30) as target, a_desk(tmp_path, "--forward-to", target.url) as desk:
        page = await open_page(desk, allowed=("Failed to load", "ERR_"))  # the listener ends before the page
        sending = asyncio.create_task(asyncio.to_thread(desk.post, a_vm("one")))
        await expect(page.locator(".row .response")).to_have_text("pending")
        desk.process.send_signal(signal.SIGINT)
        await expect(page.locator(".row .response")).to_have_text("interrupted")
        with pytest.raises(http.client.RemoteDisconnected):
            await sending
        await page.close()
