"""The tools that read: list, show, explain and compare captures, wait for the next one, and render a template."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import closing
from functools import partial, wraps
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from port_hook_cli.actions.jq_differences import template_differences
from port_hook_cli.actions.templates import rendering_record
from port_hook_cli.assistant.results import (
    ToolOutput,
    capture_details,
    content_without_signatures,
    has_text,
    masked,
    short_summary,
)
from port_hook_cli.assistant.workspace import Arguments, Workspace
from port_hook_cli.captures.documents.request_file import SavedRequest, explain, from_exchange
from port_hook_cli.captures.index.capture_index import CaptureIndex
from port_hook_cli.captures.index.query import CaptureQuery
from port_hook_cli.captures.store.finder import CaptureUse, Finder, open_body_filter
from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.models import SIGNATURE_HEADER, TIMESTAMP_HEADER, Exchange, Headers, Status
from port_hook_cli.invocations.statuses import Expectation
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json
from port_hook_cli.port_api.settings import ONLY_THE_SECRET
from port_hook_cli.text.durations import parse_since
from port_hook_cli.text.remark import note, plain
from port_hook_cli.text.safe import printable
from port_hook_cli.text.secret import Masker

if TYPE_CHECKING:
    from port_hook_cli.captures.store.body_filter import JqBodyFilter
    from port_hook_cli.captures.store.statements import StoreFilter


DEFAULT_LIMIT = 20
DEFAULT_WAIT_S = 30
MAX_WAIT_S = 55
"""Some clients cancel a call after 60 seconds."""

# As often as `inspect` does. If nothing is new, a look reads only one number from SQLite.
_POLL_S = 0.2
# A capture is saved before its response. A dropped connection never gets a response.
_OUTCOME_S = 10.0
_LIST_CHARACTERS = 30_000
_TIMEOUT_S = 5.0
_SIGNATURES = (SIGNATURE_HEADER, TIMESTAMP_HEADER)


def _in_thread(work: Callable[[Arguments, Workspace], ToolOutput]) -> Callable[..., Awaitable[ToolOutput]]:
    """Return the tool that does this work in a thread, so that the server can do other work meanwhile."""

    @wraps(work)
    async def tool(arguments: Arguments, workspace: Workspace) -> ToolOutput:
        return await asyncio.to_thread(work, arguments, workspace)

    return tool


@_in_thread
def list_captures(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """List captures, newest first, as `captures` does."""
    limit, skip = arguments.get("limit", DEFAULT_LIMIT), arguments.get("skip", 0)
    masker = workspace.masker
    with (
        workspace.open_store() as kept,
        open_body_filter(arguments.get("jq"), workspace.say, name="the jq expression") as bodies,
    ):
        shown = None if bodies is None else partial(_of_masked, bodies, masker)
        found = kept.select(_wanted(arguments, workspace), bodies=shown)
        if text := arguments.get("search"):
            found = (exchange for exchange in found if has_text(exchange, text, masker))
        listed, has_more = _listed(islice(found, skip, None), limit)
    if not listed:
        workspace.say(plain("No captures match."))
    following = skip + len(listed)
    cut = f"There are more: call list_captures again with skip={following}." if has_more else ""
    return ToolOutput({"captures": listed}, cut)


def _of_masked(bodies: JqBodyFilter, masker: Masker, found: Iterable[tuple[int, Any]]) -> Iterator[int]:
    """Yield the numbers of the bodies that match. An expression could tell an agent what is masked in a body."""
    return bodies(
        (number, masker.content(content_without_signatures(body)) if isinstance(body, bytes) else body)
        for number, body in found
    )


def _listed(found: Iterator[Exchange], limit: int) -> tuple[list[dict[str, Any]], bool]:
    """Return as many captures as fit, and whether there are more."""
    listed: list[dict[str, Any]] = []
    size = 0
    for exchange in found:
        summary = short_summary(exchange)
        size += len(json.dumps(summary))
        if listed and (len(listed) == limit or size > _LIST_CHARACTERS):
            return listed, True
        listed.append(summary)
    return listed, False


def _wanted(arguments: Arguments, workspace: Workspace) -> StoreFilter:
    from port_hook_cli.captures.store.statements import StoreFilter

    verdict, code, since = (arguments.get(name) for name in ("verdict", "status_code", "since"))
    return StoreFilter(
        action=arguments.get("action"),
        status=None if verdict is None else Status(verdict),
        run_id=arguments.get("run_id"),
        since_s=None if since is None else parse_since(since, now=workspace.runtime.now()),
        text=arguments.get("search", ""),
        response=None if code is None else Expectation.parse(code),
        failed=arguments.get("failed", False),
    )


@_in_thread
def show_capture(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Show a capture with header fields, bodies, verdict and outcome."""
    return capture_details(
        find_capture(arguments.get("capture", "last"), workspace),
        workspace.masker,
        part=arguments.get("part", "request"),
        offset=arguments.get("offset", 0),
        as_text=arguments.get("body_as") == "text",
    )


def find_capture(name: str, workspace: Workspace) -> Exchange:
    """Return the capture of the store with this id, or `last`; raises StoreError. A name never means a file."""
    with closing(
        Finder(workspace.store, workspace.runtime, CaptureUse.SHOW, workspace.say, reads_files=False)
    ) as finder:
        return finder.find(name).exchange


@_in_thread
def explain_verdict(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Verify a capture or a given request, as `verify` does."""
    from port_hook_cli.signatures.verification import DEFAULT_TOLERANCE_S
    from port_hook_cli.signatures.view import verdict_record

    saved = _saved(arguments, workspace)
    settings = workspace.access(ONLY_THE_SECRET).settings
    now = arguments.get("now", saved.compared_at)
    now = workspace.runtime.now() if now is None else now
    explained = explain(
        saved,
        settings.require_secret(),
        now=now,
        tolerance_s=arguments.get("tolerance_s", DEFAULT_TOLERANCE_S),
        conflict=settings.conflict,
    )
    for text in (f"verified with the client secret from {settings.secret_place}", *explained.notes):
        workspace.say(note(text))
    return ToolOutput(verdict_record(explained.verdict))


def _saved(arguments: Arguments, workspace: Workspace) -> SavedRequest:
    given = {"body", "body_base64", "headers"} & set(arguments)
    if "capture" in arguments or not given:
        if given:
            raise UsageError("`capture` and a body with headers exclude each other.", hint="Give one of them.")
        return from_exchange(find_capture(arguments.get("capture", "last"), workspace))
    headers = Headers(tuple((_on_the_wire(name), _on_the_wire(value)) for name, value in _fields(arguments)))
    return SavedRequest(headers=headers, body=_body(arguments))


def _fields(arguments: Arguments) -> Iterator[tuple[str, str]]:
    yield from arguments.get("headers", {}).items()


def _body(arguments: Arguments) -> bytes:
    text, encoded = arguments.get("body"), arguments.get("body_base64")
    if (text is None) is (encoded is None):
        raise UsageError("Give either `body` or `body_base64`.", hint="`body` is the exact text that was received.")
    if encoded is None:
        return str(text).encode("utf-8", "surrogatepass")
    try:
        return b64decode(encoded, validate=True)
    except (NotBase64, ValueError) as error:
        raise UsageError("`body_base64` is not base64.", hint="Or give the text as `body`.") from error


def _on_the_wire(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


@_in_thread
def diff_captures(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Compare two captures, as `diff` does."""
    from port_hook_cli.captures.comparison import Ignoring, compare, diff_record, without_ignored

    ignoring = Ignoring.parse(arguments.get("ignore", ()), headers=_SIGNATURES)
    a, b = (masked(find_capture(arguments[side], workspace), workspace.masker) for side in ("a", "b"))
    found = without_ignored(compare(a, b), ignoring, bodies_only=False)
    return ToolOutput(
        diff_record((a.invocation.id, b.invocation.id), found),
        "" if found["complete"] else "Not all changes are listed: use `ignore` to leave out those that you know.",
    )


async def wait_for_invocation(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Wait until a listener saves a capture that matches, and show it."""
    timeout_s = arguments.get("timeout_s", DEFAULT_WAIT_S)
    text, masker = arguments.get("search", ""), workspace.masker
    watch = StoreWatch(
        workspace.store_file,
        _query(arguments),
        arguments.get("after"),
        lambda exchange: not text or has_text(exchange, text, masker),
    )
    found: Exchange | None = None
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
        workspace.say(note(f"no invocation arrived within {timeout_s:g} s; call again to keep waiting"))
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
    """Finds the oldest capture that is new. It may be used in several threads, by one at a time.

    New is what arrived after the capture `after`, or else after the first look. A capture is found if it matches the
    query and `is_wanted` returns True for it.
    """

    def __init__(
        self,
        path: Path,
        query: CaptureQuery,
        after: str | None,
        is_wanted: Callable[[Exchange], bool] = lambda _: True,
    ) -> None:
        self._path, self._query, self._after, self._is_wanted = path, query, after, is_wanted
        self._index: CaptureIndex | None = None
        self._known = 0
        self._has_looked = False
        self._lock = Lock()

    def look(self) -> Exchange | None:
        """Return the oldest new capture that matches, or None; raises StoreError."""
        with self._lock:
            index = self._opened()
            self._has_looked = True
            if index is None:
                return None
            if index.catch_up(texts=0).is_reset:
                self._known = 0
            while listed := index.listed(index.page(self._query, after=self._known, limit=1, oldest_first=True)):
                exchange = index.get(listed[0].exchange.invocation.id)[1]
                if self._is_wanted(exchange):
                    return exchange
                self._known = listed[0].seq
            return None

    def close(self) -> None:
        """Close the store, after a look that another thread has begun."""
        with self._lock:
            if self._index is not None:
                self._index.close()
                self._index = None

    def _opened(self) -> CaptureIndex | None:
        """Return the index; None until the store and the capture to begin after exist."""
        if self._index is None:
            if self._after is None and not self._path.exists():
                return None
            self._index = CaptureIndex(self._path, uses_texts=False)
            self._known = self._first_known(self._index)
        return self._index

    def _first_known(self, index: CaptureIndex) -> int:
        if self._after is not None:
            index.catch_up_rows()
            return index.get(self._after)[0]
        return 0 if self._has_looked else index.newest


async def render_template(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Render a template with data, as `render` does."""
    template, data = (as_in_node(f"`{name}`", arguments.get(name)) for name in ("template", "data"))
    with Renderer(timeout_s=_TIMEOUT_S) as renderer:
        rendering = await renderer.arender_and_tell(template, data, strict=arguments.get("strict", False))
    for difference in template_differences(template):
        workspace.say(note(printable(difference.message)))
    return ToolOutput(rendering_record(rendering))


def as_in_node(what: str, value: Any) -> Any:
    """Return a JSON value with its numbers as Node reads them; raises UsageError if it is nested too deep."""
    try:
        return read_json(json.dumps(value))
    except (NotJson, RecursionError, ValueError) as error:
        raise UsageError(f"{what} cannot be read: it is nested too deep.", hint="Reduce the nesting.") from error
