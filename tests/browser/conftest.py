"""One Chromium for all tests, and a separate context for each. Both detect what a page must never do.

A failed test saves a trace of each opened page, and prints the command that shows it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.browser.inspecting import Desk, a_desk
from tests.browser.starting import CannotStart, a_browser
from tests.servers import Handler, handler

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request

# The full size of the size tests (`tests/campaign browser`). Read before a test removes PORT_ from the environment.
IS_FULL = bool(os.environ.get("PORT_HOOK_BROWSER"))

# Frames over 50 ms, as the browser reports them.
_WATCH = """
window.slow = [];
new PerformanceObserver((list) => { for (const task of list.getEntries()) window.slow.push(task.duration); })
  .observe({ type: "longtask", buffered: true });
"""
# A guard against a hang only: another process may have the machine for seconds.
_PATIENCE_MS = 30_000
_ANSWER = b'HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 17\r\n\r\n{"accepted":true}'

ROTATE_KEY = {
    "identifier": "rotate_key",
    "title": "Rotate a key",
    "trigger": {
        "type": "self-service",
        "operation": "CREATE",
        "userInputs": {"properties": {"api_key": {"type": "string", "title": "API key", "encryption": "aes256-gcm"}}},
    },
    "invocationMethod": {"type": "WEBHOOK", "url": "https://example.com"},
}

OpenPage = Callable[..., Awaitable["Page"]]


# The modules import Playwright, so they are not even collected without it.
if find_spec("playwright") is None:
    collect_ignore_glob = ["test_page_[!s]*.py", "test_page_size.py", "test_starting.py"]


def pytest_report_header() -> str | None:
    """Return why browser tests are missing."""
    return None if find_spec("playwright") else "browser: Playwright is not installed, so no test uses a browser"


# With ten processes per core, the longest test took 35 s.
_TIMEOUT_S = 60
_FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set a time limit for each test that doesn't set its own."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_TIMEOUT_S))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the fixtures of a test whether it failed."""
    report = yield
    item.stash[_FAILED] = report.failed
    return report


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    from playwright.async_api import expect

    expect.set_options(timeout=_PATIENCE_MS)
    try:
        async with a_browser() as opened:
            yield opened
    except CannotStart as reason:
        pytest.skip(str(reason))


class Watch:
    """Things that a page must never do: errors, dialogs, requests to other places."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self.problems: list[str] = []
        self.allowed: tuple[str, ...] = ()

    def follow(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("dialog", self._on_dialog)
        page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(text in message.text for text in self.allowed):
            self.problems.append(f"console: {message.text}")

    async def _on_dialog(self, dialog: Any) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self._origin}/", "data:", "blob:")):
            self.problems.append(f"request: {request.url}")


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenPage]:
    """Open the inspector's page of a desk: `await open_page(desk, "?open=ID", width=1000, color_scheme="dark")`.

    `page.watch` records what the page must never do. The test fails if it is not empty.
    """
    contexts: list[BrowserContext] = []
    watches: list[Watch] = []

    async def open_(
        desk: Desk, query: str = "", *, width: int = 1600, allowed: tuple[str, ...] = (), **how: Any
    ) -> Page:
        how = {"reduced_motion": "reduce", "timezone_id": "UTC", "locale": "en-US", **how}
        context = await browser.new_context(viewport={"width": width, "height": 900}, **how)
        contexts.append(context)
        context.set_default_timeout(_PATIENCE_MS)
        if not IS_FULL:  # the measurements would include the trace
            await context.tracing.start(snapshots=True)
        await context.add_init_script(_WATCH)
        await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=desk.origin)
        page = await context.new_page()
        watch = Watch(desk.origin)
        watch.allowed = allowed
        watch.follow(page)
        watches.append(watch)
        await page.goto(f"{desk.page}{query}#token={desk.token}")
        return page

    yield open_
    problems = [problem for watch in watches for problem in watch.problems]
    is_kept = not IS_FULL and (request.node.stash[_FAILED] or bool(problems))
    for number, context in enumerate(contexts):
        trace = tmp_path / f"trace-{number}.zip"
        if is_kept:
            await context.tracing.stop(path=trace)
        await context.close()
        if is_kept:
            # pytest shows the line with the failure.
            print(f"Trace: {sys.executable} -m playwright show-trace {trace}")  # noqa: T201
    assert problems == []


@pytest.fixture(scope="session")
def receiver() -> Iterator[Handler]:
    """A handler that responds to everything with 202."""
    with handler(_ANSWER) as it:
        yield it


@pytest.fixture(scope="session")
def shared_desk(tmp_path_factory: pytest.TempPathFactory, receiver: Handler) -> Iterator[Desk]:
    """A listener with an inspector, for tests that distinguish their captures from those of others."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "rotate_key.json").write_text(json.dumps(ROTATE_KEY))
    with a_desk(folder, "--forward-to", str(receiver.port), "--actions", "rotate_key.json") as desk:
        yield desk


@pytest.fixture
def own_desk(tmp_path: Path, receiver: Handler) -> Iterator[Desk]:
    """A listener with an inspector and an empty store."""
    with a_desk(tmp_path, "--forward-to", str(receiver.port)) as desk:
        yield desk
