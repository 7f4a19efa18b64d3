"""`port-hook replay`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.contradictions import refuse_contradictions
from port_hook_cli.cli.signing_options import Unit
from port_hook_cli.errors import ExitCode, UsageError
from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.invocations.expected_status import Expectation
from port_hook_cli.invocations.forwarding import read_target
from port_hook_cli.replay.batch import ReplayPlan, run_batch
from port_hook_cli.replay.lambda_client import DEFAULT_ENDPOINT
from port_hook_cli.replay.pace import parse_rate
from port_hook_cli.replay.rewriting import Rewriting, parse_header, parse_method
from port_hook_cli.replay.series import MOST_SENDS, Series
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import TimestampUnit
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
    plan = ReplayPlan(
        sources=sources,
        to=None if to is None else read_target(to, "--to"),
        edits=_edits(set_ or [], unset or []),
        edit=edit,
        rewriting=Rewriting(
            method=None if method is None else parse_method(method),
            headers=tuple(map(parse_header, header or [])),
            as_captured=as_captured,
        ),
        unit=unit,
        series=Series(times=times, concurrency=concurrency, rate_per_s=None if rate is None else parse_rate(rate)),
        expectation=None if expect_status is None else Expectation.parse(expect_status),
        timeout_s=timeout_s,
        api_timeout_s=api_timeout_s,
        dry_run=dry_run,
        json=json,
        store=store,
        org=org,
        secret_file=secret_file,
        insecure_api=insecure_api,
        failed=failed,
        since_s=_since(since, ctx.obj),
        ignoring=_ignoring(ignore or []) if compare else None,
        as_lambda=as_ == _LAMBDA,
        plot=plot,
    )
    # While the payload is being edited, it is in a temporary file that only this process deletes.
    with unwinding_on_sigterm() if edit else nullcontext():
        return run_batch(plan, ctx.obj)


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
