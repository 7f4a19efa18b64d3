"""The command `port-hook replay`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from port_hook_cli.captures.store.finder import CaptureUse, Finder, open_captures
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.handlers import handler_finder
from port_hook_cli.cli.option_groups import argument, command
from port_hook_cli.cli.replay_options import (
    ReplayChanges,
    ReplayOutput,
    ReplayResponses,
    ReplaySeries,
    ReplaySignature,
    ReplaySources,
    ReplayTarget,
)
from port_hook_cli.cli.replay_output import ReplayReport, print_requests, tell_failed, tell_notes
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.payload import is_run_id
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import ALL_NEEDS, ONLY_THE_SECRET
from port_hook_cli.replay.rewriting import ReadyReplay, Rewriter, SeriesRewriter, UnsignedReplay, parse_method
from port_hook_cli.replay.sending import LambdaClient, announce, send_series
from port_hook_cli.replay.sources import KINDS, ReplaySource
from port_hook_cli.replay.store import ReplayKeeper, find_failed, find_source
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import Signer
from port_hook_cli.terminal.console import sayer, tell
from port_hook_cli.terminal.signals import unwinding_on_sigterm

if TYPE_CHECKING:
    from port_hook_cli.captures.comparison import Ignoring
    from port_hook_cli.invocations.source import Recipient
    from port_hook_cli.text.secret import Secret


@command
def replay(
    ctx: typer.Context,
    *,
    sources: Annotated[
        list[str] | None,
        argument(
            name="a SOURCE",
            metavar="SOURCE...",
            help="A file (payload, capture, raw HTTP request; - for stdin), a capture ID, `last`, `last-replay`, or "
            "a run ID (r_…).",
            completes="sources",
            stdin="a source",
        ),
    ] = None,
    target: ReplayTarget,
    changes: ReplayChanges,
    places: ReplaySources,
    responses: ReplayResponses,
    repeated: ReplaySeries,
    signature: ReplaySignature,
    output: ReplayOutput,
) -> ExitCode:
    """Send a capture or a payload file, newly signed.

    The method, path, headers and raw body stay the same. `trigger` starts from an action or workflow instead.
    """
    runtime: Runtime = ctx.obj
    sources = sources or []
    if not (sources or places.failed or places.missed):
        raise UsageError("Missing argument SOURCE.", hint="Run `port-hook replay --help` for usage.")
    repeated.refuse_unused(ctx, has_several=places.failed or places.missed or len(sources) > 1)
    elsewhere = target.elsewhere()
    if elsewhere:
        elsewhere.refuse(places, changes, responses, repeated, signature)
    to, series, expectation = target.to if elsewhere else target.url(), repeated.series(), responses.expectation()
    ignoring = responses.ignoring()
    rewriter = _rewriter(changes, runtime)
    access = PortAccess(
        runtime,
        sayer(runtime),
        org=signature.org,
        secret_file=signature.secret_file,
        needs=ALL_NEEDS if elsewhere or places.missed or any(map(is_run_id, sources)) else ONLY_THE_SECRET,
    )
    # During editing, the payload is in a temporary file, which only this process deletes.
    with unwinding_on_sigterm() if changes.edit else nullcontext():
        found = _chosen(sources, places, access, runtime, ignoring, sends=not output.dry_run)
        secret = None if signature.as_captured else access.secret
        if secret is not None:
            rewriter = replace(rewriter, signer=Signer(secret, signature.unit))
        if not found:
            return ExitCode.OK
        repeated.refuse_too_many(len(found))
        targets: list[str] = []  # printed when no error can follow
        find_handler = handler_finder(ctx, targets.append, places.store, sends=not output.dry_run)
        readies = [
            _prepared(
                source,
                to or find_handler(source.forwarded_to),
                rewriter=rewriter,
                runtime=runtime,
                compares=responses.compare,
            )
            for source in found
        ]
        if elsewhere:
            return asyncio.run(elsewhere.send(readies, rewriter.signer, target.timeout_s, output, access, runtime))
        total, is_series = len(readies) * series.times, series.times > 1
        report = ReplayReport(runtime, total=total, is_series=is_series, as_json=output.json, ignoring=ignoring)
        with nullcontext() if output.dry_run else _keeper(places, found, secret, runtime) as keeper:
            for line in targets:
                tell(line, runtime)
            if output.dry_run:
                requests = [(rewriter.finish(ready.draft), ready.url) for ready in readies]
                print_requests(requests, runtime, as_lambda=target.is_lambda)
                return ExitCode.OK
            asyncio.run(announce(readies, access))
            # A series is not saved, because it would displace Port's invocations.
            keep = None if keeper is None or is_series else keeper.keep
            finish = SeriesRewriter(rewriter).finish
            sending = partial(send_series, readies, series, finish=finish, on_sent=report.add, keep=keep)
            with report.receiving():
                is_interrupted = _send(sending, target.timeout_s, as_lambda=target.is_lambda)
        code = report.finish(expectation, access.settings.conflict if secret else "")
        return ExitCode.INTERRUPTED if is_interrupted else code


def _rewriter(changes: ReplayChanges, runtime: Runtime) -> Rewriter:
    return Rewriter(
        signer=None,
        now=runtime.now,
        new_id=runtime.new_id,
        edit=changes.body_edit(runtime),
        method=None if changes.method is None else parse_method(changes.method),
        headers=changes.headers(),
    )


def _keeper(
    places: ReplaySources, found: Sequence[ReplaySource], secret: Secret | None, runtime: Runtime
) -> AbstractContextManager[ReplayKeeper | None]:
    """Return a context manager for saving replays.

    Only replays of stored captures are saved. Without such a replay, SQLite is loaded only to check --store.
    """
    if places.store is None and not any(source.is_stored for source in found):
        return nullcontext()
    from port_hook_cli.captures.database.opening import store_path

    keeper = ReplayKeeper(store_path(places.store, runtime.cwd), secret, creates=places.missed)
    if places.missed:
        keeper.open()  # what cannot be saved would be sent again by the next call
    return closing(keeper)


def _send(sending: Callable[[Recipient], Coroutine[Any, Any, None]], timeout_s: float, *, as_lambda: bool) -> bool:
    """Call `sending` with a client, and return whether Ctrl-C ended it."""
    from port_hook_cli.http.client import HttpClient  # imported here, so that `--help` starts faster

    async def send() -> None:
        # Each event of a Lambda function has its own ID.
        async with HttpClient(timeout_s=timeout_s, repeats=not as_lambda) as http:
            await sending(LambdaClient(http) if as_lambda else http)

    try:
        asyncio.run(send())
    except KeyboardInterrupt:
        return True
    return False


def _chosen(
    sources: list[str],
    places: ReplaySources,
    access: PortAccess,
    runtime: Runtime,
    ignoring: Ignoring | None,
    *,
    sends: bool,
) -> list[ReplaySource]:
    since_s = places.since_s(runtime)
    if places.failed:
        return _failed(places.store, since_s, ignoring, runtime)
    if places.missed:
        from port_hook_cli.cli.replay_missed import missed_sources

        return missed_sources(places, access, runtime, since_s=since_s, sends=sends)

    async def find() -> list[ReplaySource]:
        return [await find_source(name, finder, access) for name in sources]

    with closing(Finder(places.store, runtime, CaptureUse.SEND, sayer(runtime), kinds=KINDS)) as finder:
        return asyncio.run(find())


def _failed(
    store: Path | None, since_s: float | None, ignoring: Ignoring | None, runtime: Runtime
) -> list[ReplaySource]:
    """Return the failed captures to send, and print how many there are."""
    with open_captures(store, runtime, sayer(runtime)) as captures:
        failed, done, unforwarded, replays = find_failed(captures, since_s)
    wanted = [source for source in failed if ignoring is None or source.recorded is not None]
    incomparable = len(failed) - len(wanted)
    tell_failed(len(wanted), done, unforwarded, incomparable, replays, runtime)
    return wanted


def _prepared(source: ReplaySource, to: str, *, rewriter: Rewriter, runtime: Runtime, compares: bool) -> ReadyReplay:
    if compares and source.recorded is None:
        raise UsageError(
            f"{source.shown} was not forwarded, so it has no handler's response to compare with.",
            hint="Leave out --compare, or pass captures that `listen` forwarded.",
        )
    try:
        ready = rewriter.prepare(source, to)
    except UnsignedReplay as problem:
        raise UnsignedReplay(problem.message, hint="Leave out --as-captured to sign it.") from problem
    tell_notes(ready, runtime)
    return ready
