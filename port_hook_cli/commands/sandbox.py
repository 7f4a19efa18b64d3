"""`port-hook sandbox`."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from port_hook_cli.adapters.console import emit
from port_hook_cli.adapters.signals import stop_signal
from port_hook_cli.commands import options
from port_hook_cli.core.run_ids import check_run_id
from port_hook_cli.core.run_records import sandbox_call_record, sandbox_ready_record
from port_hook_cli.errors import ExitCode
from port_hook_cli.runtime import Runtime
from port_hook_cli.views.sandbox import format_api_event, format_exports

if TYPE_CHECKING:
    from port_hook_cli.adapters.sandbox import ApiEvent, Sandbox


def sandbox(
    ctx: typer.Context,
    port: Annotated[int, typer.Option("--port", help="The port; 0 takes a free one.", min=0, max=65535)] = 0,
    run: Annotated[
        list[str] | None, typer.Option("--run", help="A run that is in progress; repeatable.", metavar="ID")
    ] = None,
    strict_runs: Annotated[
        bool, typer.Option("--strict-runs", help="Answer 404 for other runs instead of making them up.")
    ] = False,
    as_json: options.Json = False,
) -> ExitCode:
    """Run a local stand-in of Port's API.

    It listens on 127.0.0.1 with credentials of its own, prints the lines that point a backend at it, then every call.
    """
    runtime: Runtime = ctx.obj
    runs = [check_run_id(run_id) for run_id in run or ()]
    asyncio.run(_serve(runtime, port, runs, strict_runs, as_json))
    return ExitCode.OK


async def _serve(runtime: Runtime, port: int, runs: list[str], strict_runs: bool, as_json: bool) -> None:
    from port_hook_cli.adapters.sandbox import Sandbox

    def show(event: ApiEvent) -> None:
        # A reader that has gone away must not fail the caller's request.
        with contextlib.suppress(OSError):
            _print_event(event, runtime, as_json)

    with stop_signal() as stop:
        async with Sandbox.start(
            port=port, now=runtime.now, runs=runs, strict_runs=strict_runs, on_event=show
        ) as running:
            _print_ready(running, runtime, as_json)
            await stop.wait()


def _print_ready(running: Sandbox, runtime: Runtime, as_json: bool) -> None:
    # The one secret that may be shown: it was made up a moment ago and opens nothing but this sandbox.
    secret = running.client_secret.reveal()
    if as_json:
        emit(sandbox_ready_record(running.url, running.client_id, secret), runtime.stdout)
        return
    print(format_exports(running.url, running.client_id, secret), file=runtime.stdout, flush=True)
    print("Listening; every call is shown here. Ctrl-C ends it.", file=runtime.stderr, flush=True)


def _print_event(event: ApiEvent, runtime: Runtime, as_json: bool) -> None:
    if as_json:
        record = sandbox_call_record(
            event.at, event.method, event.path, event.status, run_id=event.run_id, note=event.note
        )
        emit(record, runtime.stdout)
        return
    line = format_api_event(event.at, event.method, event.path, event.status, event.note)
    print(line, file=runtime.stderr, flush=True)
