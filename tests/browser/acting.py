"""Common steps of the page's tests."""

from __future__ import annotations

from uuid import uuid4

from playwright.async_api import Page, expect


def unique() -> str:
    """Return a text that no other capture has."""
    return f"t{uuid4().hex[:10]}"


async def rows(page: Page, count: int) -> None:
    """Wait until the list has this number of rows."""
    await expect(page.locator(".row:not(.empty)")).to_have_count(count)


async def opened(page: Page, index: int = 0) -> None:
    """Open the capture of a row, and wait until it is shown."""
    await expect(page.locator(".timeline svg")).to_be_visible()  # the last part to appear: then nothing moves
    await page.locator(".row").nth(index).click()
    await expect(page.locator(".head h2")).to_be_visible()


async def scroll(page: Page, top: int) -> None:
    """Scroll the list to `top` pixels, and wait until the page has noticed it."""
    await page.locator(".scroll").evaluate(
        """(box, top) => new Promise((done) => {
             box.addEventListener("scroll", done, { once: true });
             box.scrollTop = top;
           })""",
        top,
    )
