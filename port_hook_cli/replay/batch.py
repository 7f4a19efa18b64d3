"""`replay` after its options are parsed: find the sources, prepare the requests, send them, show the results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from port_hook_cli.captures.store.reading import LateStore, open_captures
from port_hook_cli.errors import ExitCode, StoreError, UsageError
from port_hook_cli.files.input import read_input
from port_hook_cli.files.output import check_new_file, write_new_file
from port_hook_cli.invocations.expected_status import Expectation
from port_hook_cli.invocations.forwarding import target_url
from port_hook_cli.invocations.hints import REPLAY_OPTIONS, delivery_hints
from port_hook_cli.invocations.models import Delivery, Invocation, Kind
from port_hook_cli.invocations.payload import is_run_id, read_payload
from port_hook_cli.invocations.records import delivery_record
from port_hook_cli.invocations.view import BODY_INDENT, delivery_lines, request_text
from port_hook_cli.port_api.credentials import open_port_api, read_settings
from port_hook_cli.port_api.sandbox_notice import tell_sandbox
from port_hook_cli.port_api.settings import ALL_NEEDS, ONLY_THE_SECRET, Settings
from port_hook_cli.replay.lambda_client import LambdaClient, endpoint_url, event_of
from port_hook_cli.replay.rewriting import Rewriting, draft, finish, masked_fields, signed_inside
from port_hook_cli.replay.series import (
    MOST_SENDS,
    Captures,
    Replay,
    Sent,
    Series,
    SourcePlaces,
    exit_code,
    find_failed,
    find_source,
    send_series,
    unexpected,
)
from port_hook_cli.replay.sources import SIGNED, ReplaySource, captured_verdict, contradiction
from port_hook_cli.replay.tally import DeliveryCounter, DeliveryTally
from port_hook_cli.replay.view import format_latencies, histogram_lines, series_record, tally_view
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import TimestampUnit
from port_hook_cli.terminal.console import Output, emit, rich_console, tell, write_content
from port_hook_cli.text.safe import printable
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from port_hook_cli.captures.comparison.ignoring import Ignoring
    from port_hook_cli.captures.store.capture_store import CaptureStore
    from port_hook_cli.replay.editing import Edits

_SEPARATOR = b"\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPlan:
    """The options of `replay`, parsed and checked. `to` is None if each capture is sent where it was forwarded.

    Times are seconds; a `timeout_s` of 0 is no limit. With `failed`, the captures that failed since `since_s` (epoch
    seconds) are the sources. `ignoring` is None if responses are not compared. `as_lambda` invokes a function. `plot`
    is the file for an image of the latencies. Without `reads_files`, no source is the name of a file. With
    `needs_signature`, a source is signed only if its captured signature matches the secret. Without `signs_inside`, the
    signature inside a Kafka message stays as captured, even if the message is edited.
    """

    sources: Sequence[str]
    to: str | None
    edits: Edits | None
    edit: bool
    rewriting: Rewriting
    unit: TimestampUnit
    series: Series
    expectation: Expectation | None
    timeout_s: float
    api_timeout_s: float
    dry_run: bool
    json: bool
    store: Path | None
    org: str | None
    secret_file: str | None
    insecure_api: bool
    failed: bool = False
    since_s: float | None = None
    ignoring: Ignoring | None = None
    as_lambda: bool = False
    plot: str | None = None
    reads_files: bool = True
    needs_signature: bool = False
    signs_inside: bool = True

    @property
    def sends(self) -> int:
        """The total number of requests."""
        return len(self.sources) * self.series.times


def run_batch(plan: ReplayPlan, runtime: Runtime) -> ExitCode:
    """Carry out `plan` and return the exit code; raises PortHookError."""
    if plan.plot is not None:  # before anything is sent
        _check_plot(plan.plot, runtime)
    settings = _settings(plan, runtime)
    secret = None if plan.rewriting.as_captured else settings().require_secret()
    sources = _find_failed(plan, runtime) if plan.failed else asyncio.run(_find(plan, runtime, settings))
    if not sources:
        return ExitCode.OK
    plan = replace(plan, sources=[source.name for source in sources])
    _refuse_too_many(plan)
    replays = [_prepare(source, plan, runtime, secret) for source in sources]
    sign = partial(_finish, plan=plan, runtime=runtime, secret=secret)
    if plan.dry_run:
        return _print_requests(replays, sign, runtime, as_lambda=plan.as_lambda)
    if secret is not None:
        asyncio.run(tell_sandbox(list(_deliveries(replays)), settings(), runtime))
    with closing(_Keeper(plan, runtime, secret)) as keeper:
        return _send(replays, sign, plan, runtime, conflict=settings().conflict if secret else "", keeper=keeper)


def _refuse_too_many(plan: ReplayPlan) -> None:
    if plan.sends > MOST_SENDS:
        raise UsageError(
            f"{len(plan.sources):,} sources sent {plan.series.times:,} times are {plan.sends:,} requests; at most "
            f"{MOST_SENDS:,} are sent.",
            hint="Lower --times, or name fewer sources.",
        )


def _deliveries(replays: Sequence[Replay]) -> Iterator[dict[str, Any]]:
    """Yield what a sandbox has to know of each run: its action, and the inputs as they are sent."""
    for replay in {replay.run_id: replay for replay in replays}.values():
        payload = read_payload(replay.draft.body, replay.draft.headers)
        if payload.kind is Kind.ACTION_RUN and is_run_id(payload.run_id) and payload.action:
            yield {
                "runId": payload.run_id,
                "action": payload.action,
                "blueprint": payload.blueprint,
                "entity": payload.entity,
                "properties": payload.inputs,
            }


def _settings(plan: ReplayPlan, runtime: Runtime) -> Callable[[], Settings]:
    """Return a function that reads the settings once: the secret may come from stdin."""
    needs = ALL_NEEDS if any(map(is_run_id, plan.sources)) else ONLY_THE_SECRET
    return cache(
        partial(
            read_settings,
            runtime,
            org=plan.org,
            secret_file=plan.secret_file,
            needs=needs,
            insecure_api=plan.insecure_api,
        )
    )


async def _find(plan: ReplayPlan, runtime: Runtime, settings: Callable[[], Settings]) -> list[ReplaySource]:
    with ExitStack() as stack:
        places = SourcePlaces(
            read_file=partial(_read_file, runtime=runtime) if plan.reads_files else lambda _: None,
            is_directory=partial(_is_directory, runtime=runtime) if plan.reads_files else lambda _: False,
            open_captures=cache(partial(_open_captures, plan, runtime, stack)),
            get_run=partial(_get_run, settings=settings, runtime=runtime, api_timeout_s=plan.api_timeout_s),
        )
        return [await find_source(name, places) for name in plan.sources]


def _find_failed(plan: ReplayPlan, runtime: Runtime) -> list[ReplaySource]:
    """Return the captures that failed, and say how many there are."""
    with open_captures(plan.store, runtime) as captures:
        sources, done = find_failed(captures, plan.since_s)
    if done:
        tell(f"note: left out {done}, whose latest replay did not fail", runtime)
    found = done + len(sources)
    if plan.ignoring is not None:
        forwarded = [source for source in sources if source.recorded is not None]
        if len(forwarded) < len(sources):
            tell(f"note: left out {len(sources) - len(forwarded)}, which have no response to compare with", runtime)
        sources = forwarded
    tell(_announcement(len(sources), found), runtime)
    return sources


def _announcement(count: int, found: int) -> str:
    if count > 1:
        return f"Found {count} captures that failed, oldest first."
    if count:
        return "Found 1 capture that failed."
    return "There is nothing else to send." if found else "No captures failed, so there is nothing to send."


def _read_file(name: str, *, runtime: Runtime) -> bytes | None:
    try:
        if name != "-" and not (runtime.cwd / name).is_file():
            return None
    except OSError:  # a name too long for a file
        return None
    return read_input(name, cwd=runtime.cwd, stdin=runtime.stdin)


def _is_directory(name: str, *, runtime: Runtime) -> bool:
    try:
        return (runtime.cwd / name).is_dir()
    except OSError:  # a name too long for a file
        return False


def _open_captures(plan: ReplayPlan, runtime: Runtime, stack: ExitStack) -> Captures | None:
    from port_hook_cli.captures.database.opening import store_path

    if plan.store is None and not store_path(None, runtime.cwd).exists():
        return None
    return stack.enter_context(open_captures(plan.store, runtime))


async def _get_run(
    run_id: str, *, settings: Callable[[], Settings], runtime: Runtime, api_timeout_s: float
) -> Mapping[str, Any]:
    async with open_port_api(settings(), runtime, timeout_s=api_timeout_s) as port:
        return await port.get_run(run_id)


def _prepare(source: ReplaySource, plan: ReplayPlan, runtime: Runtime, secret: Secret | None) -> Replay:
    if plan.rewriting.as_captured and not source.is_signed:
        raise UsageError(
            f"{source.name} has no signature to send as captured.",
            hint="Leave out --as-captured to sign it.",
        )
    if plan.needs_signature and secret is not None:
        _require_signature(source, secret)
    if plan.ignoring is not None and source.recorded is None:
        raise UsageError(
            f"{source.name} was not forwarded, so there is no response of a handler to compare with.",
            hint="Leave out --compare, or name captures that `listen` forwarded.",
        )
    to = endpoint_url(plan.to) if plan.as_lambda else plan.to or _default_target(source, runtime)
    notes = [*source.notes, *_notes(source, plan, secret)]
    body, more = plan.edits.apply(source.invocation.body) if plan.edits else (source.invocation.body, ())
    for note in (*notes, *more):
        tell(f"note: {source.name}: {note}", runtime)
    if plan.edit:
        body = _edit(body, runtime)
    if source.is_message and plan.signs_inside and secret is not None:
        body = signed_inside(source.invocation.body, body, secret, plan.unit.stamp(runtime.now()))
    url = target_url(to, source.invocation.target)
    request = draft(source.invocation, plan.rewriting, url=url, body=body)
    return Replay(
        source=source.name,
        run_id=source.run_id,
        draft=request,
        url=url,
        recorded=source.recorded,
        is_stored=source.is_stored,
    )


def _require_signature(source: ReplaySource, secret: Secret) -> None:
    """Raise UsageError unless the owner of the secret signed the source, however long ago.

    The verdict in the store does not count: it may be planted, or made with another secret or without one.
    """
    status = captured_verdict(source, secret).status
    if status not in SIGNED:
        raise UsageError(
            f"The signature of {source.name} is {status}, so no tool signs this request.",
            hint="Set `as_captured`, or ask the user to check the capture and run `port-hook replay {source.name}`.",
        )


def _default_target(source: ReplaySource, runtime: Runtime) -> str:
    """Return where a capture was forwarded to, or else the last listener's target, and say which.

    Raises UsageError if there is no such target on this machine.
    """
    to, reason = source.forwarded_to, "where the capture was forwarded"
    if to is None:
        to, reason = source.listener_target, "where the last `listen` with this store forwarded"
    if to is None:
        raise UsageError(
            f"Missing option --to: {source.name} was not forwarded to a handler on this machine.",
            hint="Name the target, such as --to 8000.",
        )
    line = f"Sending to {to}, {reason}."
    if runtime.memory.is_new(line):
        tell(line, runtime)
    return to


def _notes(source: ReplaySource, plan: ReplayPlan, secret: Secret | None) -> Iterator[str]:
    if found := contradiction(source, secret):
        yield found
    masked = ", ".join(masked_fields(source.invocation.headers))
    if masked:
        yield f"the store masks {masked}, so it is left out; set it with --header"
    if plan.rewriting.as_captured:
        yield "it has its captured timestamp, so a target that checks the age refuses it as too old"


def _edit(body: bytes, runtime: Runtime) -> bytes:
    from port_hook_cli.replay.editing import for_editor, from_editor
    from port_hook_cli.terminal.editor import edit

    shown = for_editor(body)
    return edit(shown, lambda text: body if text == shown else from_editor(text), environ=runtime.environ)


def _finish(request: Invocation, *, plan: ReplayPlan, runtime: Runtime, secret: Secret | None) -> Invocation:
    return finish(request, plan.rewriting, id_=runtime.new_id(), now=runtime.now(), secret=secret, unit=plan.unit)


def _print_requests(
    replays: Sequence[Replay], sign: Callable[[Invocation], Invocation], runtime: Runtime, *, as_lambda: bool
) -> ExitCode:
    written = event_of if as_lambda else request_text
    content = _SEPARATOR.join(written(sign(replay.draft), replay.url) for replay in replays)
    write_content(content, runtime.stdout, environ=runtime.environ, end="\n")
    return ExitCode.OK


class _Keeper:
    """Adds replays of the store's captures to the store. A series is not kept: it would push out what Port sent."""

    def __init__(self, plan: ReplayPlan, runtime: Runtime, secret: Secret | None) -> None:
        self._plan, self._runtime, self._secret = plan, runtime, secret
        self._store = LateStore(self._open)
        self.close = self._store.close
        self._is_broken = False

    def keep(self, sent: Sent) -> str | None:
        """Save a replay; return its id, None if it is not saved. A store that cannot be written is a warning."""
        if not sent.replay.is_stored or self._plan.series.times > 1 or self._is_broken:
            return None
        try:
            return self._save(sent)
        except StoreError as problem:
            self._is_broken = True
            tell(f"warning: the responses were not saved: {problem.message}", self._runtime)
            return None

    def _save(self, sent: Sent) -> str | None:
        from port_hook_cli.captures.store.replays import save_replay

        return save_replay(self._store.open(), sent.request, sent.delivery, secret=self._secret) or None

    def _open(self) -> CaptureStore:
        from port_hook_cli.captures.database.opening import store_path
        from port_hook_cli.captures.store.replays import open_for_replays

        return open_for_replays(store_path(self._plan.store, self._runtime.cwd))


@dataclass(slots=True)
class _Report:
    """The results so far. Of a series, only numbers are kept."""

    plan: ReplayPlan
    runtime: Runtime
    advance: Callable[[], None]
    keep: Callable[[Sent], str | None]
    counter: DeliveryCounter = field(default_factory=DeliveryCounter)
    last: Delivery | None = None
    are_same: list[bool] = field(default_factory=list)
    elapsed_s: float = 0.0

    def add(self, sent: Sent) -> None:
        self.elapsed_s = max(self.elapsed_s, sent.elapsed_s)
        self.counter.add(sent.delivery)
        self.last = sent.delivery
        capture_id = self.keep(sent)
        compared = self._compare(sent)
        if self.plan.json:
            record = delivery_record(sent.delivery, source=sent.replay.source, run_id=sent.replay.run_id)
            emit({**record, "capture": capture_id, **compared}, self.runtime.stdout)
        self.advance()

    def _compare(self, sent: Sent) -> dict[str, Any]:
        """Show how a response differs from the recorded one; return what a record has of it."""
        if self.plan.ignoring is None or sent.replay.recorded is None:
            return {}
        from port_hook_cli.replay.comparing import compare_responses, comparison_fields, comparison_lines

        found = compare_responses(sent.replay.recorded, sent.delivery, self.plan.ignoring)
        self.are_same.append(found.is_same)
        if not self.plan.json:
            output = Output(self.runtime.stdout, self.runtime.environ)
            output.print(*output.fit(comparison_lines(sent.replay.source, found)))
        return comparison_fields(found)


def _send(
    replays: Sequence[Replay],
    sign: Callable[[Invocation], Invocation],
    plan: ReplayPlan,
    runtime: Runtime,
    *,
    conflict: str,
    keeper: _Keeper,
) -> ExitCode:
    # The lines of a comparison are printed meanwhile.
    with _progress(plan.sends if plan.ignoring is None else 1, runtime) as advance:
        report = _Report(plan, runtime, advance, keeper.keep)
        try:
            asyncio.run(_send_all(replays, sign, plan, report))
            interrupted = False
        except KeyboardInterrupt:
            interrupted = True
    tally = report.counter.tally(report.elapsed_s)
    if report.last and not plan.json:
        _show(report, tally, plan, runtime, conflict)
    elif plan.json and plan.series.times > 1:
        emit(series_record(tally), runtime.stdout)
    if plan.plot is not None:
        _plot(plan.plot, tally, runtime)
    if interrupted:
        return ExitCode.INTERRUPTED
    code = exit_code(tally, plan.expectation)
    return code if all(report.are_same) else code or ExitCode.FAILED


async def _send_all(
    replays: Sequence[Replay], sign: Callable[[Invocation], Invocation], plan: ReplayPlan, report: _Report
) -> None:
    from port_hook_cli.http.client import HttpClient

    async with HttpClient(timeout_s=plan.timeout_s) as http:
        client = LambdaClient(http) if plan.as_lambda else http
        await send_series(replays, plan.series, client=client, finish=sign, on_sent=report.add)


@contextmanager
def _progress(total: int, runtime: Runtime) -> Iterator[Callable[[], None]]:
    """Show a progress bar for several requests if stderr is a terminal; yield a function that advances it."""
    if total == 1 or not runtime.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import Progress

    with Progress(console=rich_console(runtime.stderr, runtime.environ), transient=True) as progress:
        task = progress.add_task("sending", total=total)
        yield lambda: progress.advance(task)


def _check_plot(name: str, runtime: Runtime) -> None:
    if not name.lower().endswith(".svg"):
        raise UsageError(
            f"--plot writes an SVG image, but the name {name!r} does not end in .svg.",
            hint="Give a name that ends in .svg, such as latencies.svg.",
        )
    check_new_file(name, cwd=runtime.cwd)


def _plot(name: str, tally: DeliveryTally, runtime: Runtime) -> None:
    from port_hook_cli.replay.plot import latency_plot

    if not tally.latencies_ms:
        tell(f"note: {printable(name)} was not written, because no request got a response", runtime)
        return
    write_new_file(name, latency_plot(tally), cwd=runtime.cwd)
    tell(f"note: wrote the latencies to {printable(name)}", runtime)


def _show(report: _Report, tally: DeliveryTally, plan: ReplayPlan, runtime: Runtime, conflict: str) -> None:
    if plan.ignoring is not None:
        from port_hook_cli.replay.comparing import summary_line

        print(summary_line(report.are_same), file=runtime.stdout)
    elif plan.sends == 1 and report.last is not None:
        _show_one(report.last, runtime, conflict)
    else:
        console = rich_console(runtime.stdout, runtime.environ)
        console.print(tally_view(tally), format_latencies(tally))
        if plan.series.times > 1:
            console.print(*histogram_lines(tally, console.width), sep="\n")
    missed = unexpected(tally, plan.expectation)
    if missed and plan.expectation is not None:
        message = f"{missed} of {tally.sent} requests did not get {plan.expectation.text}"
        print(f"error: {message}", file=runtime.stderr)


def _show_one(delivery: Delivery, runtime: Runtime, conflict: str) -> None:
    if delivery.status is None:
        tell(f"error: {printable(delivery.error or 'no response')}", runtime)
    else:
        output = Output(runtime.stdout, runtime.environ)
        output.print(*output.fit(delivery_lines(delivery), indent=BODY_INDENT))
    if hints := delivery_hints(delivery, REPLAY_OPTIONS, conflict=conflict):
        tell(f"hint: {' '.join(hints)}", runtime)
