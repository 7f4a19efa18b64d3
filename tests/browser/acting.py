"""Common steps of the page's tests."""

from __future__ import annotations

import re
import time
from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import Locator, Page, expect

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Delivery, Response
from tests.browser.inspecting import Desk, a_vm
from tests.factories import a_body, a_capture, an_invocation

RUN_CHECK = re.compile("^Run, and start")
JSON = Headers((("content-type", "application/json"),))
# What axe-core checks. It also looks for best practices.
RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}


def unique() -> str:
    """Return a text that no other capture has."""
    return f"t{uuid4().hex[:10]}"


def sent(desk: Desk, *titles: str, **fields: Any) -> str:
    """Send an invocation for each title, and return a text that only these contain."""
    mark = unique()
    for title in titles or ("vm",):
        desk.post(a_vm(f"{title}-{mark}", **fields))
    return mark


def added(desk: Desk, *captures: Capture) -> list[str]:
    """Add captures to the desk's store, and return their IDs when the inspector has them."""
    with open_store(None, desk.folder) as store:
        store.add(captures)
    desk.get("/api/captures?limit=1")
    return [capture.invocation.id for capture in captures]


def answered(text: str, status: int, body: bytes, *, latency_ms: float = 2.0, **fields: Any) -> Capture:
    """Return a capture with this text, and the handler's response, which the listener relayed."""
    answer: dict[str, Any] = {"status": status, "headers": JSON, "body": body}
    fields = {"id": uuid4().hex[:12], "received_at": time.time(), **fields}
    delivery = Delivery(url="http://127.0.0.1:9/", latency_ms=latency_ms, **answer)
    return a_capture(an_invocation(a_body(a_vm(text)), **fields), delivery=delivery, response=Response(**answer))


async def rows(page: Page, count: int) -> None:
    """Wait until the list has this number of rows."""
    await expect(page.locator(".row:not(.empty)")).to_have_count(count)


async def opened(page: Page, index: int = 0) -> None:
    """Open the capture of a row, and wait until it is shown."""
    await expect(page.locator(".timeline svg")).to_be_attached()  # the last part to appear: then nothing moves
    await page.locator(".row:not(.empty)").nth(index).click()
    await expect(page.locator(".head h2")).to_be_visible()


async def tab(page: Page, key: int, name: str) -> Locator:
    """Open a tab of the capture by its key, and return its panel."""
    await page.keyboard.press(str(key))
    await expect(page.get_by_role("tab", name=name, exact=True)).to_have_attribute("aria-selected", "true")
    return page.get_by_role("tabpanel")


async def editing(page: Page, index: int = 0) -> Locator:
    """Open the editor of a capture, and return its field for the body."""
    await opened(page, index)
    await page.keyboard.press("e")
    body = page.get_by_label("Body", exact=True)
    await expect(body).to_be_focused()
    return body


async def triggering(page: Page, action: str) -> Locator:
    """Open the form of an action, and return its dialog."""
    await page.keyboard.press("t")
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("combobox", name="Action").select_option(action)
    return dialog


async def only_signature_checks(page: Page) -> None:
    """Exclude the checks of all other groups."""
    boxes = page.get_by_role("group", name="Checks").get_by_role("checkbox")
    await expect(boxes).to_have_count(4)
    for box in (await boxes.all())[1:]:
        await box.uncheck()


async def scroll(page: Page, top: int) -> None:
    """Scroll the list to `top` pixels, and wait until the page has noticed it."""
    await page.locator(".scroll").evaluate(
        """(box, top) => new Promise((done) => {
             box.addEventListener("scroll", done, { once: true });
             box.scrollTop = top;
           })""",
        top,
    )


async def with_axe(page: Page) -> Page:
    """Run axe-core in the page. The test injects it, past the page's rules for scripts."""
    axe = pytest.importorskip("axe_playwright_python.async_playwright", reason="axe-core is not installed").Axe()
    await page.evaluate(axe.axe_script)
    return page


async def check(page: Page, where: str, part: Any = None) -> None:
    """Run axe-core, which finds nothing of any severity, on the page or a part of it. It is fast on a small part."""
    run = "([part, rules]) => axe.run(part ?? document, rules).then((found) => found.violations)"
    found = await page.evaluate(run, [part, RULES])
    assert [(each["impact"], each["id"], [node["html"][:160] for node in each["nodes"][:3]]) for each in found] == [], (
        where
    )


async def assert_fits(page: Page) -> None:
    """Assert that the page is not wider than its window."""
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
