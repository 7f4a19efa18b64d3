"""The command `port-hook check`."""

from __future__ import annotations

from typing import Annotated

import typer

from port_hook_cli.cli.check_options import (
    COMMAND,
    CheckChoice,
    CheckCommand,
    CheckCredentials,
    CheckOutput,
    CheckTarget,
    CheckTimes,
)
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import argument, command
from port_hook_cli.cli.run_options import RunContents
from port_hook_cli.runtime import Runtime


@command
def check(
    ctx: typer.Context,
    source: Annotated[
        str | None,
        argument(
            metavar="SOURCE",
            help="The request to use: a capture ID, `last`, a payload, an action, or FILE#NODE of a workflow. "
            "Default: the latest capture with a valid signature, or a sample action.",
            completes="check_sources",
            stdin="the source",
        ),
    ] = None,
    command_to_run: Annotated[
        list[str] | None,
        argument(
            help="The command that starts the handler. It gets the credentials of a temporary sandbox, which receives "
            "its reports.",
            metavar="-- COMMAND...",
            name=COMMAND,
        ),
    ] = None,
    *,
    target: CheckTarget,
    choice: CheckChoice,
    run: RunContents,
    times: CheckTimes,
    credentials: CheckCredentials,
    output: CheckOutput,
) -> ExitCode:
    """Test your handler: why it rejects requests, what it overlooks.

    Sends valid, forged, repeated and broken requests. Valid ones start real work. If the handler rejects a valid
    request, port-hook finds out why and stops.
    """
    runtime: Runtime = ctx.obj
    plan = choice.plan(times.read())
    if choice.lists:
        from port_hook_cli.cli.check_output import print_checks

        print_checks(plan.slugs, runtime)
        return ExitCode.OK
    from port_hook_cli.cli.check_handler import check_handler
    from port_hook_cli.cli.handlers import project_handler

    words = tuple(command_to_run or ())
    return check_handler(
        CheckCommand(
            source=source,
            words=words,
            plan=plan,
            target=target,
            run=run,
            credentials=credentials,
            output=output,
            runtime=runtime,
            handler=project_handler(ctx),
        )
    )
