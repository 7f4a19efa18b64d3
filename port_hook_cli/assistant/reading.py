"""The tools that read captures: list, show, explain and compare them."""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from port_hook_cli.assistant.results import (
    PARTS,
    ToolOutput,
    capture_details,
    content_without_signatures,
    has_text,
    masked,
    short_summary,
)
from port_hook_cli.assistant.tool import (
    ACTION,
    CAPTURE,
    RUN_ID,
    SEARCH,
    UNTRUSTED,
    VERDICT,
    Arguments,
    Workspace,
    a_count,
    a_flag,
    a_text,
    an_object,
    one_of,
    some_texts,
    tool,
)
from port_hook_cli.captures.documents.request_file import SavedRequest, explain, from_capture
from port_hook_cli.captures.store.finder import CaptureUse, Finder, open_body_filter
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER, Headers
from port_hook_cli.invocations.models import Capture, Status
from port_hook_cli.invocations.statuses import Expectation
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json
from port_hook_cli.port_api.settings import ONLY_THE_SECRET, known_secrets
from port_hook_cli.signatures.own_code import Computed
from port_hook_cli.text.durations import parse_period
from port_hook_cli.text.remark import note, plain
from port_hook_cli.text.secret import Masker

if TYPE_CHECKING:
    from port_hook_cli.captures.store.body_filter import JqBodyFilter
    from port_hook_cli.captures.store.statements import StoreFilter


DEFAULT_LIMIT = 20
_LIST_CHARACTERS = 30_000
_SIGNATURES = (SIGNATURE_HEADER, TIMESTAMP_HEADER)
_PATTERN_OF_STATUS = "^[1-5]([0-9][0-9]|xx)$"


@tool(
    title="List captures",
    description=f"List the captures of `port-hook listen`, latest first, like `captures`. {UNTRUSTED}",
    parameters={
        "search": SEARCH,
        "jq": a_text("Find only captures whose body matches this jq expression (neither false nor null).", minLength=1),
        "action": ACTION,
        "run_id": RUN_ID,
        "verdict": VERDICT,
        "status_code": a_text(
            "Find only captures with this response status, such as 500 or 5xx.", pattern=_PATTERN_OF_STATUS
        ),
        "failed": a_flag(
            "Find only failed captures: a 4xx, 5xx or missing response, from the handler or the listener."
        ),
        "since": a_text(
            "Find only captures since this time: 10m, 2h, 3d, a date, or a range: A..B, A.. or ..B.", minLength=1
        ),
        "limit": a_count("List at most this many.", 1, 100, DEFAULT_LIMIT),
        "skip": a_count("Skip this many of the latest matches.", 0, 1_000_000, 0),
    },
)
def list_captures(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """List captures, latest first, like `captures`."""
    limit, skip = arguments.get("limit", DEFAULT_LIMIT), arguments.get("skip", 0)
    masker = workspace.masker
    with (
        workspace.open_store() as kept,
        open_body_filter(arguments.get("jq"), workspace.say, name="the jq expression") as bodies,
    ):
        shown = None if bodies is None else partial(_of_masked, bodies, masker)
        found = kept.select(_wanted(arguments, workspace), bodies=shown)
        if text := arguments.get("search"):
            found = (capture for capture in found if has_text(capture, text, masker))
        listed, has_more = _listed(islice(found, skip, None), limit)
    if not listed:
        workspace.say(plain("No captures match."))
    following = skip + len(listed)
    cut = f"There are more: call list_captures again with skip={following}." if has_more else ""
    return ToolOutput({"captures": listed}, cut)


def _of_masked(bodies: JqBodyFilter, masker: Masker, found: Iterable[tuple[int, Any]]) -> Iterator[int]:
    """Mask the bodies, and yield the numbers of the bodies that match.

    Otherwise, an agent could use an expression to find out the masked values of a body.
    """
    return bodies(
        (number, masker.content(content_without_signatures(body)) if isinstance(body, bytes) else body)
        for number, body in found
    )


def _listed(found: Iterator[Capture], limit: int) -> tuple[list[dict[str, Any]], bool]:
    """Return as many captures as fit within the limits, and whether there are more captures."""
    listed: list[dict[str, Any]] = []
    size = 0
    for capture in found:
        summary = short_summary(capture)
        size += len(json.dumps(summary))
        if listed and (len(listed) == limit or size > _LIST_CHARACTERS):
            return listed, True
        listed.append(summary)
    return listed, False


def _wanted(arguments: Arguments, workspace: Workspace) -> StoreFilter:
    from port_hook_cli.captures.store.statements import StoreFilter

    verdict, code, since = (arguments.get(name) for name in ("verdict", "status_code", "since"))
    since_s, until_s = parse_period(since, now=workspace.runtime.now())
    return StoreFilter(
        action=arguments.get("action"),
        status=None if verdict is None else Status(verdict),
        run_id=arguments.get("run_id"),
        since_s=since_s,
        until_s=until_s,
        text=arguments.get("search", ""),
        response=None if code is None else Expectation.parse(code),
        failed=arguments.get("failed", False),
    )


@tool(
    title="Show a capture",
    description="Show one capture: headers with masked credentials, the body as JSON or text, the verdict "
    f"with its causes and fixes, and the responses. Long bodies are shown in parts. {UNTRUSTED}",
    parameters={
        "capture": a_text(CAPTURE, default="last", minLength=1),
        "part": one_of("Show more of the body of this part. Default: request.", PARTS),
        "offset": a_count("Start here in the body of `part`: characters, or bytes if it is not text.", 0, 2**40, 0),
        "body_as": one_of("Show JSON bodies as JSON (the default), or as the received text.", ("json", "text")),
    },
)
def show_capture(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Show a capture with its headers, bodies, verdict and outcome."""
    return capture_details(
        find_capture(arguments.get("capture", "last"), workspace),
        workspace.masker,
        part=arguments.get("part", "request"),
        offset=arguments.get("offset", 0),
        as_text=arguments.get("body_as") == "text",
    )


def find_capture(name: str, workspace: Workspace) -> Capture:
    """Return the capture in the store with this ID, or the capture `last`. Raises StoreError.

    A name never refers to a file.
    """
    with _finder(workspace) as finder:
        return finder.find(name).capture


def _finder(workspace: Workspace) -> closing[Finder]:
    return closing(Finder(workspace.store, workspace.runtime, CaptureUse.SHOW, workspace.say, reads_files=False))


@tool(
    title="Explain a verdict",
    description="Check a signature and explain why it does not match, with a fix for each cause, like `verify`. "
    f"Pass a capture, or a body with its headers. {UNTRUSTED}",
    parameters={
        "capture": a_text(f"{CAPTURE} Default: `last`, unless `body` or `body_base64` is set.", minLength=1),
        "body": a_text("The body's exact text, instead of a capture."),
        "body_base64": a_text("The raw body in base64, instead of `body`."),
        "headers": {
            **an_object("The request's headers by name, with x-port-signature and x-port-timestamp."),
            "additionalProperties": {"type": "string"},
        },
        "signature": a_text(
            "The signature of this request from the user's own code. The result explains what that code "
            "did, and how to fix it."
        ),
        "timestamp": a_text("The timestamp that the user's own code signed. Requires `signature`."),
        "now": {
            "type": "number",
            "description": "Check the age at this time, in seconds since 1970. Default: when the capture arrived, "
            "or a message was sent to Kafka.",
            "minimum": 0,
            "maximum": 2**40,
        },
        "tolerance_s": {
            "type": "number",
            "description": "Accept timestamps up to this many seconds off.",
            "minimum": 0,
            "maximum": 2**40,
            "default": 300,
        },
    },
)
def explain_verdict(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Verify a capture or another request, like `verify`."""
    from port_hook_cli.signatures.verification import DEFAULT_TOLERANCE_S
    from port_hook_cli.signatures.view import verdict_record

    computed = _computed(arguments)
    saved = _saved(arguments, workspace)
    needs = ONLY_THE_SECRET if computed is None else ("client_id", "client_secret")
    settings = workspace.access(needs).settings
    now = arguments.get("now", saved.compared_at)
    now = workspace.runtime.now() if now is None else now
    explained = explain(
        saved,
        settings.signing_keys(),
        now=now,
        tolerance_s=arguments.get("tolerance_s", DEFAULT_TOLERANCE_S),
        conflict=settings.conflict,
        computed=computed,
        known=known_secrets(workspace.runtime),
    )
    for text in (f"verified with the client secret from {settings.secret_place}", *explained.notes):
        workspace.say(note(text))
    return ToolOutput(verdict_record(explained.verdict, explained.side))


def _computed(arguments: Arguments) -> Computed | None:
    if "signature" in arguments:
        return Computed(arguments["signature"], arguments.get("timestamp"))
    if "timestamp" in arguments:
        raise UsageError("`timestamp` needs `signature`.", hint="Pass both from the user's own code.")
    return None


def _saved(arguments: Arguments, workspace: Workspace) -> SavedRequest:
    given = {"body", "body_base64", "headers"} & set(arguments)
    if "capture" in arguments or not given:
        if given:
            raise UsageError("Use either `capture` or a body with headers, not both.", hint="Omit one of them.")
        with _finder(workspace) as finder:
            found = finder.find(arguments.get("capture", "last"))
            return from_capture(found.capture, finder.earlier(found))
    headers = Headers(tuple((_on_the_wire(name), _on_the_wire(value)) for name, value in _fields(arguments)))
    return SavedRequest(headers=headers, body=_body(arguments))


def _fields(arguments: Arguments) -> Iterator[tuple[str, str]]:
    yield from arguments.get("headers", {}).items()


def _body(arguments: Arguments) -> bytes:
    text, encoded = arguments.get("body"), arguments.get("body_base64")
    if (text is None) is (encoded is None):
        raise UsageError("Pass either `body` or `body_base64`.", hint="`body` is the exact received text.")
    if encoded is None:
        return str(text).encode("utf-8", "surrogatepass")
    try:
        return b64decode(encoded, validate=True)
    except (NotBase64, ValueError) as error:
        raise UsageError("`body_base64` is not base64.", hint="Or pass the text as `body`.") from error


def _on_the_wire(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


@tool(
    title="Compare two captures",
    description=f"Compare the bodies, headers, verdicts and responses of two captures, like `diff`. {UNTRUSTED}",
    parameters={
        "a": a_text(f"The first capture. {CAPTURE}", minLength=1),
        "b": a_text(f"The second capture. {CAPTURE}", minLength=1),
        "ignore": some_texts("Ignore these values of the bodies (a path) and headers (header:NAME)."),
    },
    required=("a", "b"),
)
def diff_captures(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Compare two captures, like `diff`."""
    from port_hook_cli.captures.comparison import Ignoring, compare, diff_record, without_ignored

    ignoring = Ignoring.parse(arguments.get("ignore", ()), headers=_SIGNATURES)
    a, b = (masked(find_capture(arguments[side], workspace), workspace.masker) for side in ("a", "b"))
    found = without_ignored(compare(a, b), ignoring, bodies_only=False)
    return ToolOutput(
        diff_record((a.invocation.id, b.invocation.id), found),
        "" if found["complete"] else "Not all changes are listed. Use `ignore` to omit known changes.",
    )


def as_in_node(what: str, value: Any) -> Any:
    """Return a JSON value whose numbers are parsed as in Node. Raises UsageError if the value is nested too deeply."""
    try:
        return read_json(json.dumps(value))
    except (NotJson, RecursionError, ValueError) as error:
        raise UsageError(f"{what} is nested too deep.", hint="Reduce the nesting.") from error
