"""One Chromium and one page for all tests. Both detect what a page must never do.

A failed test saves a picture of each opened page. With PORT_HOOK_TRACE=1, it also saves traces, and prints the commands
that show them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.browser.inspecting import Desk, a_desk
from tests.browser.starting import CannotStart, a_browser
from tests.servers import Handler, handler

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, Route

# The full size of the size tests (`tests/campaign browser`). Read before a test removes PORT_ from the environment.
IS_FULL = bool(os.environ.get("PORT_HOOK_BROWSER"))
IS_TRACED = bool(os.environ.get("PORT_HOOK_TRACE"))
EXAMPLES = Path(__file__).parents[2] / "examples"

# Frames over 50 ms, as the browser reports them.
_WATCH = """
window.slow = [];
new PerformanceObserver((list) => { for (const task of list.getEntries()) window.slow.push(task.duration); })
  .observe({ type: "longtask", buffered: true });
"""
# A guard against a hang only: another process may have the machine for seconds.
_PATIENCE_MS = 30_000
_ANSWER = b'HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 17\r\n\r\n{"accepted":true}'

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

OpenPage = Callable[..., Awaitable["Page"]]
Routes = Mapping[re.Pattern[str], Callable[["Route"], Awaitable[None]]]
StartDesk = Callable[..., Desk]


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
    folder = Path(__file__).parent
    for item in items:
        if item.path.parent == folder and item.get_closest_marker("timeout") is None:
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

    def __init__(self, page: Page) -> None:
        self.problems: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("dialog", self._on_dialog)
        page.on("request", self._on_request)

    def begin(self, origin: str, allowed: tuple[str, ...]) -> None:
        """Forget the problems. From now on, report requests to other places, and messages with other texts."""
        self._origin, self._allowed = origin, allowed
        self.problems.clear()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(text in message.text for text in self._allowed):
            self.problems.append(f"console: {message.text}")

    async def _on_dialog(self, dialog: Dialog) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self._origin}/", "data:", "blob:")):
            self.problems.append(f"request: {request.url}")


class Tab:
    """A page in a context of its own, which one test after another uses: a new renderer takes a second."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context, self.page = context, page
        self.watch = Watch(page)

    @classmethod
    async def opened(cls, browser: Browser) -> Tab:
        # Not UTC: times that a user types and sees are local.
        how: dict[str, Any] = {"timezone_id": "Europe/Berlin", "locale": "en-US"}
        context = await browser.new_context(permissions=["clipboard-read", "clipboard-write"], **how)
        context.set_default_timeout(_PATIENCE_MS)
        if IS_TRACED:
            await context.tracing.start(snapshots=True)
        await context.add_init_script(_WATCH)
        return cls(context, await context.new_page())

    async def emptied(self) -> None:
        """Remove what a test left behind, such as other pages."""
        for page in self.context.pages:
            if page is not self.page:
                await page.close()
        await self.page.unroute_all(behavior="ignoreErrors")
        # A page outside any site has no storage.
        await self.page.evaluate("() => { try { localStorage.clear(); sessionStorage.clear(); } catch {} }")
        await self.page.goto("about:blank")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def tabs(browser: Browser) -> AsyncIterator[list[Tab]]:
    """The page that no test uses at the moment, if there is one."""
    unused: list[Tab] = []
    yield unused
    for tab in unused:
        await tab.context.close()


@pytest.fixture
def start_desk(tmp_path: Path) -> Iterator[StartDesk]:
    """Start a listener with an inspector, or another command, in the test's folder. It ends after the test's pages."""
    with ExitStack() as stack:
        yield lambda *options, **how: stack.enter_context(a_desk(tmp_path, *options, **how))


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(
    browser: Browser, tabs: list[Tab], request: pytest.FixtureRequest, tmp_path: Path, start_desk: StartDesk
) -> AsyncIterator[OpenPage]:
    """Open the inspector's page of a desk: `await open_page(desk, "?open=ID", width=1000, color_scheme="dark")`.

    `routes` are responses of the test instead of the server's, and `script` runs before the page's own. The test fails
    if a page has done what it must never do.
    """
    used: list[tuple[Tab, bool]] = []

    async def open_(
        desk: Desk,
        query: str = "",
        *,
        width: int = 1600,
        allowed: tuple[str, ...] = (),
        routes: Routes | None = None,
        script: str = "",
        **media: Any,
    ) -> Page:
        is_alone = bool(script) or IS_FULL or IS_TRACED  # a script changes the context
        tab = tabs.pop() if tabs and not is_alone else await Tab.opened(browser)
        used.append((tab, is_alone))
        tab.watch.begin(desk.origin, allowed)
        await tab.page.set_viewport_size({"width": width, "height": 900})
        await tab.page.emulate_media(
            **{"reduced_motion": "reduce", "color_scheme": "light", "forced_colors": "none"} | media
        )
        for pattern, answer in (routes or {}).items():
            await tab.page.route(pattern, answer)
        if script:
            await tab.context.add_init_script(script)
        await tab.page.goto(f"{desk.page}{query}#token={desk.token}")
        return tab.page

    yield open_
    problems = [problem for tab, _ in used for problem in tab.watch.problems]
    is_failed = request.node.stash[_FAILED] or bool(problems)
    for number, (tab, is_alone) in enumerate(used):
        if is_failed:
            await _save(tab, tmp_path / f"page-{number}")
        if is_failed or is_alone or tabs or tab.page.is_closed():
            await tab.context.close()
        else:
            await tab.emptied()
            tabs.append(tab)
    assert problems == []


async def _save(tab: Tab, path: Path) -> None:
    """Save what the page shows, and a trace if there is one. pytest shows the lines with the failure."""
    if not tab.page.is_closed():
        print(f"Picture: {path}.png")  # noqa: T201
        await tab.page.screenshot(path=f"{path}.png")
    if IS_TRACED:
        await tab.context.tracing.stop(path=f"{path}.zip")
        print(f"Trace: {sys.executable} -m playwright show-trace {path}.zip")  # noqa: T201


@pytest.fixture(scope="session")
def receiver() -> Iterator[Handler]:
    """A handler that responds to everything with 202."""
    with handler(_ANSWER) as it:
        yield it


@pytest.fixture(scope="session")
def shared_desk(tmp_path_factory: pytest.TempPathFactory, receiver: Handler) -> Iterator[Desk]:
    """A listener with an inspector that has an action with inputs of all kinds and a workflow.

    Tests distinguish their captures from those of others.
    """
    folder = tmp_path_factory.mktemp("desk")
    for name in ("actions", "workflows"):
        (folder / name).mkdir()
    (folder / "actions" / "everything.json").write_text(json.dumps(EVERYTHING))
    shutil.copy(EXAMPLES / "workflows" / "deploy_service.json", folder / "workflows")
    with a_desk(folder, str(receiver.port)) as desk:
        yield desk


@pytest.fixture
def own_desk(start_desk: StartDesk, receiver: Handler) -> Desk:
    """A listener with an inspector and an empty store."""
    return start_desk("--forward-to", str(receiver.port))
