"""`port-hook sandbox`."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.signing_options import Unit
from port_hook_cli.errors import ExitCode
from port_hook_cli.runs.ids import check_run_id
from port_hook_cli.runtime import Runtime
from port_hook_cli.sandbox.records import sandbox_call_record, sandbox_ready_record, sandbox_run_record
from port_hook_cli.sandbox.view import format_api_event, format_exports, format_run_event
from port_hook_cli.signatures.signing import TimestampUnit
from port_hook_cli.terminal.console import emit
from port_hook_cli.terminal.signals import stop_signal

if TYPE_CHECKING:
    from port_hook_cli.sandbox import ApiEvent, RunEvent, Sandbox


def sandbox(
    ctx: typer.Context,
    port: Annotated[
        int, typer.Option("--port", help="The port to listen on; 0 takes any free one.", min=0, max=65535)
    ] = 0,
    actions: Annotated[
        list[Path] | None,
        typer.Option(
            "--actions",
            help="Actions as JSON or YAML: a file or a folder of them; repeatable. Default: a sample, create_vm.",
            metavar="PATH",
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option("--state", help="Save everything in this file and load it at the next start.", metavar="FILE"),
    ] = None,
    run: Annotated[
        list[str] | None, typer.Option("--run", help="A run that is in progress; repeatable.", metavar="ID")
    ] = None,
    strict_runs: Annotated[
        bool, typer.Option("--strict-runs", help="Respond 404 for unknown runs instead of creating them.")
    ] = False,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Send invocations to other machines too.")
    ] = False,
    delivery_timeout: Annotated[
        float,
        typer.Option(
            "--delivery-timeout",
            help="Wait S seconds for a webhook's response; 0 waits indefinitely.",
            metavar="S",
            min=0,
            callback=options.finite,
        ),
    ] = 30.0,
    timestamp_unit: Unit = TimestampUnit.SECONDS,
    rate_limit: Annotated[
        int, typer.Option("--rate-limit", help="Respond 429 after N calls a minute; 0 disables the limit.", min=0)
    ] = 0,
    as_json: options.Json = False,
) -> ExitCode:
    """Run a local stand-in of Port's API.

    It listens on 127.0.0.1, generates its own credentials, and prints the variables that a backend needs. Then it
    prints every call and every step of a run. POST /v1/actions/ID/runs starts a run: the sandbox signs its
    invocation, sends it to the action's URL and records it.
    """
    from port_hook_cli.sandbox import Sending
    from port_hook_cli.sandbox.action_files import read_actions

    runtime: Runtime = ctx.obj
    given = {
        "port": port,
        "now": runtime.now,
        "runs": [check_run_id(run_id) for run_id in run or ()],
        "strict_runs": strict_runs,
        "actions": read_actions(runtime.cwd / path for path in actions or ()),
        "state": None if state is None else runtime.cwd / state,
        "sending": Sending(unit=timestamp_unit, timeout_s=delivery_timeout, allow_remote=allow_remote),
        "calls_per_minute": rate_limit,
    }
    asyncio.run(_serve(given, _Teller(runtime, as_json)))
    return ExitCode.OK


async def _serve(given: dict[str, Any], teller: _Teller) -> None:
    from port_hook_cli.sandbox import Sandbox
    from port_hook_cli.trigger.engines import SandboxInvoker, invoking

    up: list[Sandbox] = []
    with stop_signal() as stop, invoking(lambda: up[0].client_secret) as invoker:
        async with Sandbox.start(
            on_event=teller.tell_call, on_run=teller.tell_run, invoker=SandboxInvoker(invoker), **given
        ) as running:
            up.append(running)
            teller.tell_ready(running)
            await stop.wait()


@dataclass(frozen=True, slots=True)
class _Teller:
    """Prints what happens: the lines to paste or the records on stdout, the rest on stderr."""

    runtime: Runtime
    as_json: bool

    def tell_ready(self, running: Sandbox) -> None:
        # The one secret that may be shown: the sandbox made it up, and it opens nothing else.
        secret = running.client_secret.reveal()
        self.runtime.keep_secret(secret)
        if self.as_json:
            emit(sandbox_ready_record(running.url, running.client_id, secret), self.runtime.stdout)
            return
        print(format_exports(running.url, running.client_id, secret), file=self.runtime.stdout, flush=True)
        print("Listening; every call is shown here. Ctrl-C ends it.", file=self.runtime.stderr, flush=True)

    def tell_call(self, event: ApiEvent) -> None:
        fields = (event.at, event.method, event.path, event.status)
        self._print(
            sandbox_call_record(*fields, run_id=event.run_id, note=event.note), format_api_event(*fields, event.note)
        )

    def tell_run(self, event: RunEvent) -> None:
        fields = (event.at, event.run_id, event.action, event.status, event.note)
        self._print(sandbox_run_record(*fields), format_run_event(*fields))

    def _print(self, record: dict[str, Any], line: str) -> None:
        # A reader that has gone away must not fail the caller's request.
        with contextlib.suppress(OSError):
            if self.as_json:
                emit(record, self.runtime.stdout)
            else:
                print(line, file=self.runtime.stderr, flush=True)
