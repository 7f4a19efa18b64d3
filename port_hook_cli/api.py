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
from dataclasses import field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, Unpack, runtime_checkable

from port_hook_cli.engines.outcomes import UNDEFINED
from port_hook_cli.errors import PortHookError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Cause, Delivery, Status, Verdict
from port_hook_cli.javascript.stringify import stringify
from port_hook_cli.runtime import Runtime, silent_runtime
from port_hook_cli.signatures.signing import Signer, TimestampUnit, signed_headers
from port_hook_cli.signatures.verification import DEFAULT_TOLERANCE_S, verify_signature
from port_hook_cli.text.remark import Remark
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from port_hook_cli.actions.action import PortAction
    from port_hook_cli.check.findings import CheckReport
    from port_hook_cli.invocations.models import Invocation
    from port_hook_cli.listener.observers import UnreadCaptures
    from port_hook_cli.listener.session import Listening
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.replay.rewriting import Edit
    from port_hook_cli.runs.updates import Reported
    from port_hook_cli.text.remark import Say

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


def render(template: object, data: object, *, strict: bool = False) -> Any:
    """Return the JSON value that Port renders from a template (`{{ … }}` with jq) and `data`, or UNDEFINED.

    An expression that fails becomes None. With `strict`, the failure raises RenderError. A number beyond the range of a
    double becomes None, as in JSON.stringify. All calls share one jq process, which the first call starts. The function
    is thread-safe.
    """
    from port_hook_cli.engines.renderer import shared_renderer

    return shared_renderer().render(template, data, strict=strict)


class RunAbout(TypedDict, total=False):
    """The content of a run, for `trigger`.

    `entity` is the entity that the action runs on. `event` is the event of an automation. `by` is the user who starts
    the run: a user, or all of `trigger.by`. `secrets` are the organization's secrets by name. `run_id` defaults to
    a new run ID.
    """

    entity: Mapping[str, Any]
    event: Mapping[str, Any]
    by: Mapping[str, Any]
    secrets: Mapping[str, str]
    run_id: str


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


class CheckSelection(TypedDict, total=False):
    """The selection of checks, for `check`.

    `only` contains the names of the checks or groups to run, and `skip` the checks or groups to leave out. The check
    ends after `within_s` seconds, by default 60.
    """

    only: Iterable[str]
    skip: Iterable[str]
    within_s: float


@frozen(kw_only=True)
class Sent:
    """A request that port-hook sent to a handler, and its `delivery`.

    Without a response, `delivery.status` is None and `delivery.error` is the reason. `delivery.ok` is true for a 2xx
    response. `run_id` is the run of the request, or None. `capture` is the ID of the capture in which a replay was
    saved. It is "" if the replay was not saved, or if a listener saved it. `notes` are the notes that the command line
    would print.
    """

    run_id: str | None
    method: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes
    delivery: Delivery
    capture: str = ""
    notes: tuple[str, ...] = ()


async def trigger(
    action: str | PurePath | Mapping[str, Any],
    inputs: Mapping[str, Any] | None = None,
    *,
    to: str | int | None = None,
    secret: str | None = None,
    timeout_s: float = 40.0,
    **about: Unpack[RunAbout],
) -> Sent:
    """Send a handler the request that Port would send for a run of an action or automation, and return it.

    `action` is a JSON or YAML file, `FILE#ID` for one of several actions in a file, an identifier in Port, or the
    action as a mapping. `inputs` are the action's inputs by name. `to` is a URL, or a port on this machine. Without
    `to`, the request goes to the action's URL, which must be on this machine. `secret` is the client secret.
    `timeout_s` is the limit for the response in seconds, and 0 waits indefinitely.

    Raises PortHookError for inputs that Port would reject, an automation that does not run for its event, a file
    without an action, a missing secret, and a URL on another machine. A missing response is a failed delivery, not an
    error. Raises TypeError for an unknown argument.
    """
    import secrets

    from port_hook_cli import api_arguments as arguments
    from port_hook_cli.http.client import HttpClient
    from port_hook_cli.runs.ids import make_run_id
    from port_hook_cli.trigger.action import RunTarget, Unmet, address, dispatch, make
    from port_hook_cli.trigger.open_invoker import invoking
    from port_hook_cli.trigger.run_data import RunData, default_starter, read_by

    said = list[Remark]()
    runtime, target = silent_runtime(), RunTarget(to=arguments.read_address("to", to))
    timeout_s = arguments.read_seconds("timeout_s", timeout_s)
    properties = {} if inputs is None else arguments.read_object("inputs", inputs)
    given = arguments.read_all(about, arguments.ABOUT_A_RUN)
    found, access = await _find_action(action, runtime, said.append)
    signer = Signer(_secret(secret, access))
    data = RunData(
        properties=properties,
        by=read_by(given["by"]) if "by" in given else default_starter(found, given.get("event")),
        entity=given.get("entity"),
        event=given.get("event"),
        secrets=given.get("secrets", {}),
        origin="API",
    )
    run_id, now = given.get("run_id") or make_run_id(secrets.choice), runtime.now()
    with invoking(lambda: signer.secret) as invoker:
        made = await make(found, data, invoker, run_id=run_id, now=now, any_url=target.to is not None)
    if isinstance(made, Unmet):
        raise UsageError(f"The automation {found.identifier} {made.reason}.")
    ready = address(made, target, lambda: signer, id=runtime.new_id(), now=now)
    async with HttpClient(timeout_s=timeout_s) as client:
        delivery = await dispatch(ready, client, access.announce if secret is None else None)
    notes = tuple(remark.text for remark in (*said, *made.remarks))
    return _sent(run_id, ready.invocation, delivery, notes=notes)


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
    access = _access(runtime, said.append)
    signer = None if as_captured else Signer(_secret(secret, access))
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
    return _sent(ready.run_id, sent.request, sent.delivery, capture=sent.kept.capture, notes=notes)


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
    async with _access(silent_runtime(), say_nothing, org=chosen, only_the_secret=False).client() as port:
        return await send_report(port, plan)


async def check(
    source: str | PurePath | Mapping[str, Any] | bytes | None = None,
    inputs: Mapping[str, Any] | None = None,
    *,
    to: str | int | None = None,
    command: Iterable[str] = (),
    secret: str | None = None,
    store: str | PurePath | None = None,
    **selection: Unpack[CheckSelection],
) -> CheckReport:
    """Send valid, forged, repeated and broken requests to a handler on this machine, and return the findings.

    `source` is the request: a capture ID, `last`, a file, an action as for `trigger`, `FILE#NODE` of a workflow, a
    payload as bytes or a mapping, or None. None means the latest valid capture, or a sample action if there is no such
    capture. `inputs` are inputs of an action. Missing inputs get sample values. `to` is a URL, or a port on this
    machine.

    `command` starts the handler with the credentials of a temporary sandbox. Without `command`, the checks can observe
    reports only if the settings point to a running sandbox. With `secret`, settings are not used. port-hook saves the
    requests of findings in `store`, and creates the store if needed. Without `store`, port-hook uses the current
    directory's store if that store exists.

    Raises PortHookError for an unknown source or check, a missing target or secret, a URL on another machine, a command
    that does not start, and a target that does not accept connections. Raises TypeError for an unknown argument, and
    for `only`, `skip` or `command` that are not iterables of strings.
    """
    from contextlib import closing
    from dataclasses import replace
    from functools import partial

    from port_hook_cli import api_arguments as arguments
    from port_hook_cli.captures.database.opening import store_path
    from port_hook_cli.captures.store.finder import CaptureUse, Finder
    from port_hook_cli.check.plan import WITHIN_S, CheckLimits, CheckPlan
    from port_hook_cli.check.session import CheckBegins, CheckSession
    from port_hook_cli.check.sources import SubjectSource
    from port_hook_cli.invocations.handlers import HandlerRule
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.port_api.settings import Settings
    from port_hook_cli.replay.store import keep_in_thread
    from port_hook_cli.text.remark import say_nothing
    from port_hook_cli.trigger.action import RunTarget
    from port_hook_cli.trigger.run_data import RunData, default_starter

    async def begin(_: CheckBegins) -> None:
        pass

    runtime, target = silent_runtime(), RunTarget(to=arguments.read_address("to", to))
    words, file = arguments.read_texts("command", command), arguments.read_path("store", store)
    given = arguments.read_all(selection, arguments.SELECTION)
    limits = CheckLimits(within_s=given.get("within_s", WITHIN_S))
    properties = {} if inputs is None else arguments.read_object("inputs", inputs)
    access = _access(runtime, say_nothing, only_the_secret=False)
    own = access if secret is None else PortAccess.known(Settings(client_secret=_secret(secret, access)), runtime)
    with closing(Finder(file, runtime, CaptureUse.SEND, say_nothing)) as finder:
        subjects = SubjectSource(
            finder=finder,
            access=access,
            runtime=runtime,
            say=say_nothing,
            target=replace(target, handler=HandlerRule(last=finder.last_target).url),
            run_data=lambda form: RunData(properties=properties, by=default_starter(form, None), origin="API"),
        )
        path = store_path(file, runtime.cwd)
        session = CheckSession(
            name=arguments.read_source("source", source),
            source=subjects,
            plan=CheckPlan.of(given.get("only", ()), given.get("skip", ()), limits),
            access=own,
            runtime=runtime,
            command=words,
            keep=lambda key, masker: partial(keep_in_thread, path, key, creates=file is not None, masker=masker),
        )
        return await session.run(begin)


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
        policy=Policy(secret=_secret(secret, _access(runtime, say_nothing)), routes=routes),
        port=arguments.read_port("port", port),
        store=arguments.read_path("store", store),
        forward_timeout_s=arguments.read_seconds("forward_timeout_s", forward_timeout_s),
    )
    async with listening(Session(plan=plan), runtime, [unread], asyncio.Event()) as running:
        yield Listener(running, unread)


def _access(runtime: Runtime, say: Say, *, org: str | None = None, only_the_secret: bool = True) -> PortAccess:
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.port_api.settings import ALL_NEEDS, ONLY_THE_SECRET

    return PortAccess(runtime, say, org=org, needs=ONLY_THE_SECRET if only_the_secret else ALL_NEEDS)


def _secret(secret: str | None, access: PortAccess) -> Secret:
    if secret is None:
        return access.secret
    from port_hook_cli.api_arguments import read_text

    if not read_text("secret", secret):
        raise UsageError("`secret` is empty.", hint="Check whether PORT_CLIENT_SECRET is set.")
    return Secret(secret)


async def _find_action(
    action: str | PurePath | Mapping[str, Any], runtime: Runtime, say: Say
) -> tuple[PortAction, PortAccess]:
    from port_hook_cli.actions.action import PortAction, webhook_action
    from port_hook_cli.api_arguments import read_name, read_object
    from port_hook_cli.trigger.action_files import find_action, locate

    if isinstance(action, Mapping):
        return webhook_action(read_object("action", action)), _access(runtime, say)
    source = locate(read_name("action", action), runtime)
    access = _access(runtime, say, only_the_secret=source.file is not None)
    found = await find_action(source, access, runtime, say)
    if not isinstance(found, PortAction) or found.is_message:
        raise UsageError(
            f"{action} is not an action with a webhook.", hint="Pass an action or automation that has one."
        )
    return found, access


def _edit(changes: Mapping[str, Any]) -> Edit | None:
    from port_hook_cli.replay.editing import Assignment, Edits

    assignments = [Assignment.at(path, value) for path, value in changes.items()]
    return Edits(assignments=assignments).apply if assignments else None


def _sent(
    run_id: str | None, request: Invocation, delivery: Delivery, *, capture: str = "", notes: tuple[str, ...] = ()
) -> Sent:
    return Sent(
        run_id=run_id,
        method=request.method,
        headers=request.headers.items,
        body=request.body,
        delivery=delivery,
        capture=capture,
        notes=notes,
    )


def _key(secret: str) -> Secret:
    if not secret:
        raise ValueError("the client secret is empty: is PORT_CLIENT_SECRET set?")
    return Secret(secret)


def _text(payload: object) -> str:
    if isinstance(payload, str):
        return payload
    from port_hook_cli.javascript.values import write_json

    return write_json(payload)
