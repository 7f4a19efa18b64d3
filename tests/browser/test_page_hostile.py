"""Text of untrusted senders changes nothing on the page but its own text, and blocks nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.models import Cause, MessageOrigin, Status, Verdict
from tests.browser.conftest import OpenPage
from tests.browser.inspecting import Desk, a_desk, a_vm
from tests.factories import a_body, a_capture, an_invocation
from tests.servers import handler

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]

# In milliseconds. A frame may take 200 ms on a developer's machine. The limit is generous, because machines differ.
LONGEST_FRAME = 1000

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
HIDDEN = "a\u202eb\u2066c\u200bd\u200fe\ufefff\u0000g\u001b[2Jh"


def mark() -> str:
    return f"h{uuid4().hex[:10]}"


async def elements(page: Page) -> Any:
    """Return the elements that only hostile text could add. The page's own forms have no action URL."""
    return await page.evaluate(
        '() => document.querySelectorAll(\'img:not([src^="/page/"][src$="/icon.svg"]), iframe, object, embed, base,'
        ' form[action], body style, body script, [onerror], [onload], [onfocus], a[href^="javascript:"]\').length'
    )


async def look_at_everything(page: Page) -> None:
    """Open the first capture and all of its parts."""
    await page.locator(".row:not(.empty)").first.click()
    await expect(page.locator(".head")).to_be_visible()
    for key, name in enumerate(("Summary", "Body", "Signature", "Response", "Run", "Edit and replay"), 1):
        await page.keyboard.press(str(key))
        await expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
        await expect(page.locator(".panel > *").first).to_be_attached()
        assert await elements(page) == 0
    await page.keyboard.press("2")
    for view in ("Raw", "Headers"):
        button = page.get_by_role("button", name=view).first
        if await button.count():
            await button.click()
    assert await elements(page) == 0
    slow = await page.evaluate("window.slow")
    sys.stdout.write(f"The longest frame took {max(slow, default=0):.0f} ms.\n")
    assert max(slow, default=0) < LONGEST_FRAME
    await expect(page.locator(".failure")).to_have_count(0)
    await page.keyboard.press("Escape")
    await expect(page.locator(".row:not(.empty)").first).to_be_visible()


async def test_markup_in_names_inputs_users_and_headers_stays_text(shared_desk: Desk, open_page: OpenPage) -> None:
    own = mark()
    text = "".join(MARKUP)
    for each in (*MARKUP, text):
        document = a_vm(f"{own} {each}", **{each: each})
        document["action"] = f"{own}{each}"
        document["trigger"]["by"]["user"] = {"email": each, "firstName": each}
        document["payload"]["action"]["trigger"] = each
        document["context"]["entity"] = each
        shared_desk.post(document, x_hostile=each)
    page = await open_page(shared_desk, f"?text={own}")
    await expect(page.locator(".row .what strong")).to_have_text(
        [f"{own}{each}"[:200] for each in (text, *MARKUP[::-1])]
    )
    await look_at_everything(page)


async def test_markup_in_a_handlers_response_stays_text(own_folder_desk: Desk, open_page: OpenPage) -> None:
    own_folder_desk.post(a_vm("x"))
    page = await open_page(own_folder_desk)
    await look_at_everything(page)
    await page.locator(".row").first.click()
    await page.keyboard.press("4")
    await expect(page.get_by_text("<img src=x onerror=alert(1)>").first).to_be_visible()


async def test_script_links_of_a_run_are_not_links(shared_desk: Desk, open_page: OpenPage) -> None:
    own = mark()
    shared_desk.post(a_vm(own))
    page = await open_page(shared_desk, f"?text={own}")
    links = [
        "javascript:alert(1)",
        " JaVaScRiPt:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "https://ok.invalid/",
    ]
    run = {
        "available": True,
        "run": {"id": "r_1", "kind": "action", "name": "<b>x</b>", "status": "SUCCESS", "label": "<i>y</i>",
                "summary": MARKUP[1], "link": links, "created_at": None, "ended_at": None, "url": links[0]},
        "logs": [{"at": None, "level": MARKUP[0], "text": MARKUP[1]}],
        "nodes": [{"id": MARKUP[0], "type": MARKUP[1], "title": MARKUP[2], "status": MARKUP[0], "result": None,
                   "started_at": None, "ended_at": None, "run_id": None, "next": ["missing"], "is_current": False}],
    }  # fmt: skip
    await page.route("**/api/runs/**", lambda route: route.fulfill(json=run))
    await page.locator(".row").first.click()
    await page.keyboard.press("5")
    await expect(page.locator(".links li")).to_have_count(4)
    assert await page.locator(".links a").evaluate_all("links => links.map((link) => link.href)") == [links[3]]
    assert await elements(page) == 0


async def test_hidden_characters_are_shown_as_escapes(shared_desk: Desk, open_page: OpenPage) -> None:
    own = mark()
    document = a_vm(f"{own}{HIDDEN}")
    document["action"] = f"{own}{HIDDEN}"
    shared_desk.post(document)
    page = await open_page(shared_desk, f"?text={own}")
    await expect(page.locator(".row .what").first).to_contain_text("\\u202eb\\u2066c\\u200bd")
    await look_at_everything(page)
    text = await page.evaluate("document.body.innerText")
    assert not set(text) & set("\u202e\u2066\u200b\u200f\ufeff\u0000\u001b")


def nested(own: str, opening: bytes, closing: bytes, levels: int) -> bytes:
    return b'{"%s":%s1%s}' % (own.encode(), opening * levels, closing * levels)


@pytest.mark.parametrize(
    "body_of",
    [
        pytest.param(lambda own: a_body(a_vm(own, large="x" * 9_000_000)), id="9 MB"),
        pytest.param(lambda own: nested(own, b"[", b"]", 10_000), id="10,000 arrays"),
        pytest.param(lambda own: nested(own, b'{"a":', b"}", 900), id="900 objects", marks=pytest.mark.extended),
        pytest.param(
            lambda own: a_body(a_vm(own, **{f"k{number}": number for number in range(100_000)})),
            id="100,000 keys",
            marks=pytest.mark.extended,
        ),
        pytest.param(
            lambda own: a_body(a_vm(own)).replace(own.encode(), rb"%s\ud83dx\ude00" % own.encode()),
            id="lone surrogates",
            marks=pytest.mark.extended,
        ),
    ],
)
async def test_large_deep_or_odd_body_opens_immediately(
    shared_desk: Desk, open_page: OpenPage, body_of: Callable[[str], bytes]
) -> None:
    own = mark()
    shared_desk.post(body=body_of(own))
    page = await open_page(shared_desk, f"?text={own}")
    await look_at_everything(page)


async def test_long_names_stay_in_their_columns(shared_desk: Desk, open_page: OpenPage) -> None:
    own = mark()
    document = a_vm(own)
    document["action"] = f"{own}{'very_long_' * 500}"
    document["trigger"]["by"]["user"]["email"] = "x" * 5000
    shared_desk.post(document, x_long="y" * 5000)
    for width in (400, 1600):
        page = await open_page(shared_desk, f"?text={own}", width=width)
        await look_at_everything(page)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_binary_body_is_shown_as_bytes(shared_desk: Desk, open_page: OpenPage) -> None:
    own = mark()
    shared_desk.post(body=bytes(range(256)), x_mark=own)
    page = await open_page(shared_desk, f"?text={own}")
    await page.locator(".row:not(.empty)").first.click()
    await page.keyboard.press("2")
    await expect(page.locator("pre.raw")).to_contain_text("00 01 02")
    await look_at_everything(page)


@pytest.fixture
def own_folder_desk(tmp_path: Any) -> Any:
    """A listener whose handler responds with markup."""
    body = b"<img src=x onerror=alert(1)><script>alert(1)</script>"
    head = b"HTTP/1.1 500 <script>alert(1)</script>\r\ncontent-type: text/html\r\nx-a: <svg onload=alert(1)>\r\n"
    with (
        handler(head + b"content-length: %d\r\n\r\n%s" % (len(body), body)) as receiver,
        a_desk(tmp_path, "--forward-to", str(receiver.port)) as desk,
    ):
        yield desk


async def test_tooltips_show_hidden_characters_as_escapes(shared_desk: Desk, open_page: OpenPage) -> None:
    found = mark()
    invocation = an_invocation(
        a_body(a_vm(found)), id=uuid4().hex[:12], received_at=time.time(), origin=MessageOrigin("t\u202ec", 0, 1)
    )
    verdict = Verdict(status=Status.VALID, signed_form="raw", causes=(Cause("s\u202eg", "why", "fix"),))
    with open_store(None, shared_desk.folder) as store:
        store.add([a_capture(invocation, verdict=verdict)])
    page = await open_page(shared_desk, f"?text={found}")
    await expect(page.locator(".row:not(.empty)")).to_have_count(1)
    titles = await page.locator(".row [title]").evaluate_all("all => all.map((each) => each.title)")
    assert "s\\u202eg" in titles
    assert any("t\\u202ec" in title for title in titles)
    assert not any("\u202e" in title for title in titles)
