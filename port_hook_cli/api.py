"""The Python API for the tests and scripts of a handler.

The names in `__all__` are as stable as the command line: see docs/reference/python.md. Everything else in the package
is internal. The functions that send requests are coroutines. They don't print or ask questions. A problem that a user
can fix, such as an invalid argument, raises a PortHookError with a `message`, a `hint` and a `code`. Without `secret`
or `org`, port-hook reads the settings from the same places as the command line.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, Unpack, runtime_checkable

from port_hook_cli.api_sent import Sent
from port_hook_cli.engines.outcomes import UNDEFINED
from port_hook_cli.errors import PortHookError, UsageError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Cause, Delivery, Status, Verdict
from port_hook_cli.javascript.stringify import stringify
from port_hook_cli.registry import features, load
from port_hook_cli.runtime import silent_runtime
from port_hook_cli.signatures.signing import Signer, TimestampUnit, signed_headers
from port_hook_cli.signatures.verification import DEFAULT_TOLERANCE_S, verify_signature
from port_hook_cli.text.remark import Remark
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from port_hook_cli.api_check import CheckSelection, check
    from port_hook_cli.api_trigger import RunAbout, render, trigger
    from port_hook_cli.listener.observers import UnreadCaptures
    from port_hook_cli.listener.session import Listening
    from port_hook_cli.replay.rewriting import Edit
    from port_hook_cli.runs.updates import Reported

__all__ = [
    "UNDEFINED",
    "Capture",
    "Cause",
    "CheckSelection",
    "Delivery",
    "Listener",
    "PortHookError",
    "ReportFields",
    "RunAbout",
    "Sent",
    "Status",
    "Verdict",
    "check",
    "listen",
    "render",
    "replay",
    "report_run",
    "sign",
    "trigger",
    "verify",
]

_JSON = ("content-type", "application/json")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    for feature in features().values():
        if name in feature.python:
            return load(feature.python[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@runtime_checkable
class HasItems(Protocol):
    """Headers in a mapping or another class with `items()`, such as the header classes of web frameworks."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return the names and values of the headers."""
        ...


def sign(payload: object, secret: str, *, timestamp: int | None = None) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of the request that Port would send for `payload`.

    A payload of bytes is signed unchanged. A string is JSON text, and any other payload is a JSON value. Like Port,
    port-hook signs the output of JSON.stringify for both. `timestamp` is in seconds since the epoch and defaults to the
    current time. Raises ValueError if the payload is not JSON or the secret is empty.
    """
    body = payload if isinstance(payload, bytes) else stringify(_text(payload)).encode()
    stamp = TimestampUnit.SECONDS.stamp(time.time() if timestamp is None else timestamp)
    return dict((_JSON, *signed_headers(body, _key(secret), stamp))), body


def verify(
    headers: Headers | HasItems | Iterable[tuple[str, str]],
    body: bytes,
    secret: str,
    *,
    now: float | None = None,
    tolerance_s: float = DEFAULT_TOLERANCE_S,
) -> Verdict:
    """Return the verdict on a request: its `status` and, unless the status is `valid`, the `causes` with their fixes.

    Accept a request only if `verdict.status == "valid"`. `headers` are the headers of an invocation, pairs, or an
    object with `items()`. The names may be in any case. `body` is the raw body. `now` is in seconds since the epoch and
    defaults to the current time. No request raises an exception. An empty secret raises ValueError, because anyone
    could sign with an empty secret.
    """
    # `items` is not a method of `Headers`. Iterating over a `Headers` yields pairs.
    pairs = headers.items() if not isinstance(headers, Headers) and isinstance(headers, HasItems) else headers
    fields = Headers(tuple((str(name), str(value)) for name, value in pairs))
    moment = time.time() if now is None else now
    return verify_signature(fields, body, _key(secret), now=moment, tolerance_s=tolerance_s)


class ReportFields(TypedDict, total=False):
    """The content of a report, for `report_run`.

    `status` ends the run. `cancelled`, `log_level` and `output` are for workflow node runs. `failure` and `failed` mean
    the same.
    """

    status: Literal["success", "failure", "failed", "cancelled"]
    label: str
    summary: str
    links: Iterable[str]
    external_run_id: str
    logs: Iterable[str]
    log_level: Literal["debug", "info", "warn", "error"]
    output: Mapping[str, Any]


async def replay(
    source: str | PurePath = "last",
    *,
    to: str | int | None = None,
    changes: Mapping[str, Any] | None = None,
    secret: str | None = None,
    as_captured: bool = False,
    store: str | PurePath | None = None,
    timeout_s: float = 40.0,
) -> Sent:
    """Send a captured request again, newly signed, and return the sent request with its delivery.

    `source` is a capture ID, `last`, a run ID, or a file. `to` is a URL, or a port on this machine. Without `to`, the
    request goes to the handler on this machine that received the capture, or to the last `listen` target. `changes` are
    new values in the body by path, such as `{"payload.properties.cpu": 4}`. `+` before a path adds a value.
    `as_captured` sends the captured body, timestamp and signature. `store` is the capture store's file, by default the
    store of the current directory. A replay of a capture in the store is saved in the same store. `timeout_s` is the
    limit for the response in seconds, and 0 waits indefinitely.

    Raises PortHookError for an unknown source, a missing target or secret, and a change that does not fit the body.
    """
    from contextlib import closing
    from functools import partial

    from port_hook_cli import api_arguments as arguments
    from port_hook_cli.captures.database.opening import store_path
    from port_hook_cli.captures.store.finder import CaptureUse, Finder
    from port_hook_cli.http.client import HttpClient
    from port_hook_cli.invocations.handlers import HandlerRule
    from port_hook_cli.replay.rewriting import Rewriter
    from port_hook_cli.replay.sending import announce, send
    from port_hook_cli.replay.store import find_source, keep_in_thread

    said = list[Remark]()
    runtime, target = silent_runtime(), arguments.read_address("to", to)
    file, timeout_s = arguments.read_path("store", store), arguments.read_seconds("timeout_s", timeout_s)
    name = arguments.read_name("source", source)
    access = arguments.open_access(runtime, said.append)
    signer = None if as_captured else Signer(arguments.secret_of(secret, access))
    edit = None if changes is None else _edit(arguments.read_object("changes", changes))
    if edit is not None and as_captured:
        raise UsageError("`as_captured` sends the captured body unchanged.", hint="Leave out `changes`.")
    rewriter = Rewriter(signer=signer, now=runtime.now, new_id=runtime.new_id, edit=edit)
    with closing(Finder(file, runtime, CaptureUse.SEND, said.append)) as finder:
        found = await find_source(name, finder, access)
        url = target or HandlerRule(last=finder.last_target).url(found.forwarded_to)
    if url is None:
        raise UsageError(f"{found.name} was not forwarded to a handler on this machine.", hint="Pass `to`.")
    ready = rewriter.prepare(found, url)
    if secret is None and signer is not None:
        await announce([ready], access)
    keep = partial(keep_in_thread, store_path(file, runtime.cwd), signer.secret if signer else None)
    async with HttpClient(timeout_s=timeout_s) as client:
        request = rewriter.finish(ready.draft)
        sent = await send(request, ready.url, client, keep if found.is_stored else None)
    notes = (*(remark.text for remark in said), *(note.text for note in ready.notes))
    return Sent.of(ready.run_id, sent.request, sent.delivery, capture=sent.kept.capture, notes=notes)


async def report_run(run_id: str, *, org: str | None = None, **fields: Unpack[ReportFields]) -> Reported:
    """Report logs, fields and the status of a run to Port, and return the parts of the report that Port accepted.

    `run_id` is the ID of an action run or a workflow node run. The status ends the run, so it is sent last. `org` is an
    organization from `port-hook login`. Raises PortHookError for values that Port does not accept and for missing
    credentials. Also raises PortHookError if Port rejects the report or cannot be reached (`code` "port-api" or
    "run-ended"). Raises ValueError for an unknown status or log level, and TypeError for an unknown argument and for
    `logs` or `links` that are not iterables of strings.
    """
    from port_hook_cli import api_arguments as arguments
    from port_hook_cli.reporting.report import send_report
    from port_hook_cli.runs.updates import RunReport, plan_report
    from port_hook_cli.text.remark import say_nothing

    report = RunReport.of(arguments.read_all(fields, arguments.REPORT))
    if report.is_empty:
        raise UsageError("The report is empty.", hint="Pass `status`, `logs`, or another field.")
    plan = plan_report(arguments.read_run_id("run_id", run_id), report)
    chosen = None if org is None else arguments.read_text("org", org)
    async with arguments.open_access(silent_runtime(), say_nothing, org=chosen, only_the_secret=False).client() as port:
        return await send_report(port, plan)


class Listener:
    """A running listener, which `listen` opens."""

    def __init__(self, running: Listening, unread: UnreadCaptures) -> None:
        self._running, self._unread = running, unread

    @property
    def url(self) -> str:
        """The URL of the listener on this machine, which receives invocations."""
        return self._running.url

    async def next(self, timeout_s: float | None = None) -> Capture:
        """Return the next capture: its `invocation`, `verdict`, `payload` and `response`.

        Raises TimeoutError if no capture arrives within `timeout_s` seconds. None waits indefinitely. If more than
        1,000 captures or 64 MiB of bodies wait to be read, the oldest are discarded here, but stay in the capture
        store.
        """
        import asyncio

        from port_hook_cli.api_arguments import read_seconds

        async with asyncio.timeout(None if timeout_s is None else read_seconds("timeout_s", timeout_s)):
            return await self._unread.next()


@asynccontextmanager
async def listen(
    *,
    forward_to: str | int | None = None,
    secret: str | None = None,
    port: int = 0,
    store: str | PurePath | None = None,
    forward_timeout_s: float = 30.0,
) -> AsyncIterator[Listener]:
    """Receive invocations on 127.0.0.1, and verify, save and forward them. This context manager yields the listener.

    `forward_to` is the URL of a handler, or its port on this machine. Without `forward_to`, the response to each
    verified request is 200. Requests that fail verification are saved and get 401, but are not forwarded. With `port`
    0, the listener uses any free port. `store` is the capture store's file, by default the store of the current
    directory. `forward_timeout_s` is the limit for the handler's response in seconds. The listener doesn't open a
    tunnel.

    Raises PortHookError for a port that is in use, a store that cannot be written, and a missing secret.
    """
    import asyncio

    from port_hook_cli import api_arguments as arguments
    from port_hook_cli.invocations.routes import Routes
    from port_hook_cli.listener.observers import UnreadCaptures
    from port_hook_cli.listener.policy import Policy
    from port_hook_cli.listener.serving import ListenPlan
    from port_hook_cli.listener.session import Session, listening
    from port_hook_cli.text.remark import say_nothing

    runtime, unread = silent_runtime(), UnreadCaptures()
    routes = Routes(default=arguments.read_address("forward_to", forward_to))
    plan = ListenPlan(
        policy=Policy(secret=arguments.secret_of(secret, arguments.open_access(runtime, say_nothing)), routes=routes),
        port=arguments.read_port("port", port),
        store=arguments.read_path("store", store),
        forward_timeout_s=arguments.read_seconds("forward_timeout_s", forward_timeout_s),
    )
    async with listening(Session(plan=plan), runtime, [unread], asyncio.Event()) as running:
        yield Listener(running, unread)


def _edit(changes: Mapping[str, Any]) -> Edit | None:
    from port_hook_cli.replay.editing import Assignment, Edits

    assignments = [Assignment.at(path, value) for path, value in changes.items()]
    return Edits(assignments=assignments).apply if assignments else None


def _key(secret: str) -> Secret:
    if not secret:
        raise ValueError("the client secret is empty: is PORT_CLIENT_SECRET set?")
    return Secret(secret)


def _text(payload: object) -> str:
    if isinstance(payload, str):
        return payload
    from port_hook_cli.javascript.values import write_json

    return write_json(payload)
