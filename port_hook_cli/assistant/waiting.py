"""The tool that waits for the next capture."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from port_hook_cli.assistant.results import ToolOutput, capture_details, has_text
from port_hook_cli.assistant.tool import ACTION, RUN_ID, SEARCH, UNTRUSTED, VERDICT, Arguments, Workspace, a_text, tool
from port_hook_cli.captures.browsing.browser import StoreBrowser
from port_hook_cli.captures.browsing.query import CaptureQuery
from port_hook_cli.invocations.models import Capture, Status
from port_hook_cli.text.remark import note

DEFAULT_WAIT_S = 30
MAX_WAIT_S = 55
"""The maximum time to wait, in seconds. Some clients cancel a call after 60 seconds."""

# This is the same interval as in `inspect`. If nothing has changed, a poll reads only one number from SQLite.
_POLL_S = 0.2
# A capture is saved before it has a response. If the connection is closed, it never gets a response.
_OUTCOME_S = 10.0


@tool(
    title="Wait for the next invocation",
    description="Wait until a running `port-hook listen` saves a matching request, and show it with its "
    f"response. Without `after`, only requests that arrive during this call count. {UNTRUSTED}",
    parameters={
        "timeout_s": {
            "type": "number",
            "description": "Wait at most this many seconds.",
            "exclusiveMinimum": 0,
            "maximum": MAX_WAIT_S,
            "default": DEFAULT_WAIT_S,
        },
        "after": a_text("The latest known capture. A later capture is returned immediately.", minLength=1),
        "action": ACTION,
        "run_id": RUN_ID,
        "verdict": VERDICT,
        "search": SEARCH,
    },
)
async def wait_for_invocation(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Wait until a listener saves a matching capture, and show the capture."""
    timeout_s = arguments.get("timeout_s", DEFAULT_WAIT_S)
    text, masker = arguments.get("search", ""), workspace.masker
    watch = StoreWatch(
        workspace.store_file,
        _query(arguments),
        arguments.get("after"),
        lambda capture: not text or has_text(capture, text, masker),
    )
    found: Capture | None = None
    try:
        async with asyncio.timeout(timeout_s):
            while found is None:
                found = await asyncio.to_thread(watch.look)
                await asyncio.sleep(0 if found else _POLL_S)
            async with asyncio.timeout(_OUTCOME_S):
                while found.response is None:
                    await asyncio.sleep(_POLL_S)
                    found = await asyncio.to_thread(watch.look) or found
    except TimeoutError:
        pass
    finally:
        watch.close()
    if found is None:
        workspace.say(note(f"no invocation arrived within {timeout_s:g} s. Call again to continue"))
        return ToolOutput(None)
    return capture_details(found, workspace.masker)


def _query(arguments: Arguments) -> CaptureQuery:
    verdict = arguments.get("verdict")
    return CaptureQuery(
        action=arguments.get("action"),
        run_id=arguments.get("run_id"),
        text=arguments.get("search", ""),
        verdicts=() if verdict is None else (Status(verdict),),
    )


class StoreWatch:
    """Finds the oldest new capture. Several threads may use an instance, one at a time.

    A capture is new if it arrived after the capture `after`. Without `after`, it is new if it arrived after the first
    look. The watch finds a new capture if it matches the query and `is_wanted` returns True for it.
    """

    def __init__(
        self,
        path: Path,
        query: CaptureQuery,
        after: str | None,
        is_wanted: Callable[[Capture], bool] = lambda _: True,
    ) -> None:
        self._path, self._query, self._after, self._is_wanted = path, query, after, is_wanted
        self._store: StoreBrowser | None = None
        self._known = 0
        self._has_looked = False
        self._lock = Lock()

    def look(self) -> Capture | None:
        """Return the oldest new matching capture, or None. Raises StoreError."""
        with self._lock:
            store = self._opened()
            self._has_looked = True
            if store is None:
                return None
            if store.catch_up().is_reset:
                self._known = 0
            while listed := store.rows(store.page(self._query, after=self._known, limit=1, oldest_first=True)):
                capture = store.find(listed[0].capture.invocation.id)[1]
                if self._is_wanted(capture):
                    return capture
                self._known = listed[0].seq
            return None

    def close(self) -> None:
        """Close the store as soon as no other thread is looking for captures."""
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None

    def _opened(self) -> StoreBrowser | None:
        """Return the open store, or None until the store and the capture `after` exist."""
        if self._store is None:
            if self._after is None and not self._path.exists():
                return None
            self._store = StoreBrowser(self._path)
            self._known = self._first_known(self._store)
        return self._store

    def _first_known(self, store: StoreBrowser) -> int:
        if self._after is not None:
            return store.find(self._after)[0]
        return 0 if self._has_looked else store.last_seen
