"""The command `port-hook doctor`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, Any, cast

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.defaults import default_map, given_options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.handlers import project_handler
from port_hook_cli.cli.option_groups import HANDLER_HERE, command
from port_hook_cli.cli.project_defaults import project_defaults
from port_hook_cli.doctor.check import check_record, has_problem, result_lines
from port_hook_cli.doctor.examination import Examination, examine
from port_hook_cli.errors import PortHookError
from port_hook_cli.invocations.targets import read_target
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit
from port_hook_cli.terminal.prompts import can_ask


@command
def doctor(
    ctx: typer.Context,
    to: Annotated[
        str | None,
        options.target(
            "The handler to check. Default: your handler in port-hook.toml, or the last `listen` target.",
            trust=HANDLER_HERE,
            in_short_help=True,
        ),
    ] = None,
    *,
    credentials: options.CredentialOptions,
    store: options.Store = None,
    as_json: options.Json = False,
) -> ExitCode:
    """Check credentials, Port's API, the clock, tunnels and handler.

    Shows the next step for each problem. Doesn't change Port, open a tunnel or show secrets. The checks run
    concurrently and end within seconds. Exits with code 1 if there is a problem.
    """
    runtime: Runtime = ctx.obj
    wanted = Examination(
        access=credentials.access(runtime),
        store=store,
        handler=None if to is None else read_target(to, "--to"),
        project_handler=project_handler(ctx),
        tunnel=_default_tunnel(ctx),
        can_ask=can_ask(runtime),
    )
    results = asyncio.run(examine(wanted, runtime))
    if as_json:
        for result in results:
            emit(check_record(result), runtime.stdout)
    else:
        output = Output(runtime.stdout, runtime.environ)
        output.print(*result_lines(results, output.width if output.is_terminal else None))
    return ExitCode.FAILED if has_problem(results) else ExitCode.OK


def _default_tunnel(ctx: typer.Context) -> str | None:
    """Return the tunnel that a variable or the project's file makes the default of `listen`, or None."""
    from port_hook_cli.cli.commands import COMMANDS

    assert ctx.parent is not None
    runtime, group = ctx.obj, cast("Any", ctx.parent.command)
    options = group.get_command(ctx.parent, "listen").params
    given = given_options("listen", options, (), runtime)
    values = default_map("listen", options, runtime)
    with suppress(PortHookError):  # `listen` reports the problems of the file
        values |= project_defaults("listen", options, runtime=runtime, commands=COMMANDS, given=given).values
    chosen = {flag: values.get(option.name) for option in options for flag in option.opts}
    return chosen["--tunnel"]
