"""`port-hook replay`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from port_hook_cli.captures.database.opening import store_path
from port_hook_cli.captures.store.finder import CaptureUse, Finder
from port_hook_cli.captures.store.reading import open_captures
from port_hook_cli.cli import options
from port_hook_cli.cli.contradictions import refuse_contradictions
from port_hook_cli.cli.replay_output import ReplayReport, check_plot, print_requests, tell_failed, tell_notes
from port_hook_cli.cli.signing_options import Unit
from port_hook_cli.errors import ExitCode, UsageError
from port_hook_cli.http.client import HttpClient
from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.invocations.expected_status import Expectation
from port_hook_cli.invocations.forwarding import read_target
from port_hook_cli.invocations.payload import is_run_id
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import ALL_NEEDS, ONLY_THE_SECRET
from port_hook_cli.replay.finding import find_failed, find_source
from port_hook_cli.replay.lambda_client import DEFAULT_ENDPOINT, LambdaClient, endpoint_url
from port_hook_cli.replay.rewriting import Edit, ReadyReplay, Rewriter, UnsignedReplay, parse_header, parse_method
from port_hook_cli.replay.sending import (
    MOST_SENDS,
    Recipient,
    ReplayKeeper,
    Series,
    announce,
    parse_rate,
    send_series,
)
from port_hook_cli.replay.sources import KINDS, ReplaySource
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import Signer, TimestampUnit
from port_hook_cli.terminal.console import sayer, tell
from port_hook_cli.terminal.signals import unwinding_on_sigterm

if TYPE_CHECKING:
    from port_hook_cli.captures.comparison.ignoring import Ignoring
    from port_hook_cli.replay.editing import Edits

_LAMBDA = "lambda"


def replay(
    ctx: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...",
            help="A file (payload, capture, raw HTTP request; - for stdin), a capture's id, `last`, or a run id (r_…).",
        ),
    ] = None,
    failed: Annotated[
        bool,
        typer.Option("--failed", help="Send all captures that the handler failed, oldest first, instead of a SOURCE."),
    ] = False,
    since: Annotated[
        str | None,
        typer.Option("--since", help="With --failed: only since 10m, 2h, 3d, or 2026-05-01T13:30.", metavar="TIME"),
    ] = None,
    to: Annotated[
        str | None,
        options.target(
            "The target. If it has no path, the captured path and query are used. Default: the handler on this "
            "machine that the capture was forwarded to, or that the store's last `listen` forwarded to.",
        ),
    ] = None,
    as_: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="http|lambda",
            help="Send an HTTP request, or invoke a Lambda function with the event of a function URL; then --to is the "
            f"runtime's endpoint, by default {DEFAULT_ENDPOINT}.",
            parser=options.one_of(("http", _LAMBDA)),
        ),
    ] = "http",
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="PATH=JSON", help="Set a value: payload.properties.cpu=4, tags[]=new (repeatable)."
        ),
    ] = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", metavar="PATH", help="Remove a value, before any --set (repeatable).")
    ] = None,
    edit: Annotated[bool, typer.Option("--edit", help="Edit the payload in $VISUAL or $EDITOR first.")] = False,
    method: Annotated[str | None, typer.Option("--method", metavar="M", help="Send with another method.")] = None,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", metavar="K:V", help="Set a header field; an empty value removes it (repeatable)."),
    ] = None,
    as_captured: Annotated[
        bool, typer.Option("--as-captured", help="Send body, timestamp and signature as captured; needs no secret.")
    ] = False,
    unit: Unit = TimestampUnit.SECONDS,
    times: Annotated[
        int,
        typer.Option(
            "--times",
            metavar="N",
            min=1,
            max=MOST_SENDS,
            help=f"Send each source N times, {MOST_SENDS:,} requests in total at most.",
        ),
    ] = 1,
    concurrency: Annotated[int, typer.Option("--concurrency", metavar="N", min=1, help="Send N requests at once.")] = 1,
    rate: Annotated[
        str | None,
        typer.Option(
            "--rate", metavar="N/s", help="Send at most N requests a second (N/s) or a minute (N/m), evenly spaced."
        ),
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option("--plot", metavar="FILE", help="With --times: draw the latencies in a new .svg file."),
    ] = None,
    expect_status: options.ExpectStatus = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Compare each response with the recorded one; exit with code 1 if they differ."),
    ] = False,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore",
            metavar="PATH|header:NAME",
            help="With --compare: leave out a value of the response's body, or a header (repeatable).",
        ),
    ] = None,
    timeout_s: options.ResponseTimeout = 40.0,
    api_timeout_s: options.ApiTimeout = API_TIMEOUT_S,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    store: options.Store = None,
    org: options.Org = None,
    secret_file: options.SecretFile = None,
    insecure_api: options.InsecureApi = False,
) -> ExitCode:
    """Send a captured request or a payload from a file, freshly signed.

    A capture keeps its method, path, header fields and exact body. Its timestamp and signature are new.
    """
    runtime: Runtime = ctx.obj
    sources = sources or []
    if not sources and not failed:
        raise UsageError("Missing argument SOURCE.", hint="Run `port-hook replay --help` for usage.")
    if "" in sources:
        raise UsageError("The name of a source is empty.", hint="Check whether a shell variable is unset.")
    refuse_contradictions(
        {"--failed": failed, "a SOURCE": bool(sources)},
        stdin=(("the secret", secret_file), ("a source", "-" if "-" in sources else None)),
        pointless={
            "--as-captured sends the request as it was captured": {
                "--timestamp-unit": as_captured and options.is_given(ctx, "unit"),
                "--set": as_captured and bool(set_),
                "--unset": as_captured and bool(unset),
                "--edit": as_captured and edit,
            },
            "--dry-run sends nothing": {
                "--json": dry_run and json,
                "--compare": dry_run and compare,
                "--plot": dry_run and plot is not None,
            },
            "There are no latencies to draw without --times": {"--plot": plot is not None and times == 1},
            "Nothing is searched without --failed": {"--since": since is not None and not failed},
            "Nothing is compared without --compare": {"--ignore": bool(ignore) and not compare},
        },
    )
    target = None if to is None else read_target(to, "--to")
    edits = _edits(set_ or [], unset or [])
    verb = None if method is None else parse_method(method)
    fields = tuple(map(parse_header, header or []))
    series = Series(times=times, concurrency=concurrency, rate_per_s=None if rate is None else parse_rate(rate))
    expectation = None if expect_status is None else Expectation.parse(expect_status)
    since_s = _since(since, runtime)
    ignoring = _ignoring(ignore or []) if compare else None
    if plot is not None:  # before anything is sent
        check_plot(plot, runtime)
    access = PortAccess(
        runtime,
        sayer(runtime),
        org=org,
        secret_file=secret_file,
        insecure_api=insecure_api,
        needs=ALL_NEEDS if any(map(is_run_id, sources)) else ONLY_THE_SECRET,
        timeout_s=api_timeout_s,
    )
    signer = None if as_captured else Signer(access.secret, unit)
    # While the payload is being edited, it is in a temporary file that only this process deletes.
    with unwinding_on_sigterm() if edit else nullcontext():
        found = _failed(store, since_s, ignoring, runtime) if failed else _found(sources, store, access, runtime)
        if not found:
            return ExitCode.OK
        if len(found) * times > MOST_SENDS:
            raise UsageError(
                f"{len(found):,} sources sent {times:,} times are {len(found) * times:,} requests; at most "
                f"{MOST_SENDS:,} are sent.",
                hint="Lower --times, or name fewer sources.",
            )
        rewriter = Rewriter(
            signer=signer,
            now=runtime.now,
            new_id=runtime.new_id,
            edit=_edit(edits, runtime, opens_editor=edit),
            method=verb,
            headers=fields,
        )
        endpoint = endpoint_url(target) if as_ == _LAMBDA else target
        readies = [_prepared(source, endpoint, rewriter, runtime, compares=compare) for source in found]
        if dry_run:
            requests = [(rewriter.finish(ready.draft), ready.url) for ready in readies]
            print_requests(requests, runtime, as_lambda=as_ == _LAMBDA)
            return ExitCode.OK
        asyncio.run(announce(readies, access))
        report = ReplayReport(runtime, total=len(readies) * times, is_series=times > 1, as_json=json, ignoring=ignoring)
        with closing(ReplayKeeper(store_path(store, runtime.cwd), signer.secret if signer else None)) as keeper:
            # A series is not saved: it would push out what Port sent.
            keep = None if times > 1 else keeper.keep
            sending = partial(send_series, readies, series, finish=rewriter.finish, on_sent=report.add, keep=keep)
            with report.receiving():
                is_interrupted = _send(sending, timeout_s, as_lambda=as_ == _LAMBDA)
        code = report.finish(expectation, plot, access.settings.conflict if signer else "")
        return ExitCode.INTERRUPTED if is_interrupted else code


def _send(sending: Callable[[Recipient], Coroutine[Any, Any, None]], timeout_s: float, *, as_lambda: bool) -> bool:
    """Send with a client, and return whether Ctrl-C ended it."""

    async def send() -> None:
        async with HttpClient(timeout_s=timeout_s) as http:
            await sending(LambdaClient(http) if as_lambda else http)

    try:
        asyncio.run(send())
    except KeyboardInterrupt:
        return True
    return False


def _found(sources: list[str], store: Path | None, access: PortAccess, runtime: Runtime) -> list[ReplaySource]:
    async def find(finder: Finder) -> list[ReplaySource]:
        return [await find_source(name, finder, access) for name in sources]

    with closing(Finder(store, runtime, CaptureUse.SEND, kinds=KINDS)) as finder:
        return asyncio.run(find(finder))


def _failed(
    store: Path | None, since_s: float | None, ignoring: Ignoring | None, runtime: Runtime
) -> list[ReplaySource]:
    """Return the captures that failed, and say how many there are."""
    with open_captures(store, runtime) as captures:
        failed, done = find_failed(captures, since_s)
    wanted = [source for source in failed if ignoring is None or source.recorded is not None]
    tell_failed(found=done + len(failed), done=done, unforwarded=len(failed) - len(wanted), runtime=runtime)
    return wanted


def _prepared(
    source: ReplaySource, to: str | None, rewriter: Rewriter, runtime: Runtime, *, compares: bool
) -> ReadyReplay:
    if compares and source.recorded is None:
        raise UsageError(
            f"{source.name} was not forwarded, so there is no response of a handler to compare with.",
            hint="Leave out --compare, or name captures that `listen` forwarded.",
        )
    try:
        ready = rewriter.prepare(source, to or _default_target(source, runtime))
    except UnsignedReplay as problem:
        raise UnsignedReplay(problem.message, hint="Leave out --as-captured to sign it.") from problem
    tell_notes(ready, runtime)
    return ready


def _default_target(source: ReplaySource, runtime: Runtime) -> str:
    """Return the target of a capture if --to is not given, and say which; raises UsageError if there is none."""
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


def _edit(edits: Edits | None, runtime: Runtime, *, opens_editor: bool) -> Edit | None:
    """Return what changes a body: --unset and --set, then the user's editor."""
    if not opens_editor:
        return edits.apply if edits else None
    from port_hook_cli.replay.editing import for_editor, from_editor
    from port_hook_cli.terminal.editor import edit

    def changed(body: bytes) -> tuple[bytes, Sequence[str]]:
        body, notes = edits.apply(body) if edits else (body, ())
        shown = for_editor(body)
        return edit(shown, lambda text: body if text == shown else from_editor(text), environ=runtime.environ), notes

    return changed


def _since(text: str | None, runtime: Runtime) -> float | None:
    if text is None:
        return None
    from port_hook_cli.text.durations import parse_since

    return parse_since(text, now=runtime.now())


def _ignoring(texts: list[str]) -> Ignoring:
    from port_hook_cli.captures.comparison.ignoring import Ignoring
    from port_hook_cli.replay.comparing import NEVER_COMPARED

    return Ignoring.parse(texts, headers=NEVER_COMPARED)


def _edits(assignments: list[str], unset: list[str]) -> Edits | None:
    if not (assignments or unset):
        return None
    from port_hook_cli.javascript.paths import JsonPath
    from port_hook_cli.replay.editing import Assignment, Edits

    return Edits(
        unset=tuple(map(JsonPath.parse, unset)),
        assignments=tuple(map(Assignment.parse, assignments)),
    )
