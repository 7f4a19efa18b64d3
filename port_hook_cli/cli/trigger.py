"""The command `port-hook trigger`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import argument, command, is_typed, refuse_contradictions
from port_hook_cli.cli.trigger_options import (
    TriggerCommand,
    TriggerInPort,
    TriggerOutput,
    TriggerRun,
    TriggerSignature,
    TriggerTarget,
)
from port_hook_cli.errors import UsageError
from port_hook_cli.runs.ids import check_run_id

if TYPE_CHECKING:
    from port_hook_cli.trigger.action_files import ActionLocation


@command
def trigger(
    ctx: typer.Context,
    action: Annotated[
        str | None,
        argument(
            metavar="ACTION",
            show_default=False,
            help="A file with an action, automation or workflow (JSON or YAML), FILE#ID or DIRECTORY#ID to choose from "
            "several, - for stdin, or an identifier in Port. WORKFLOW#NODE runs one node, WORKFLOW#TRIGGER all.",
            completes="definitions",
            stdin="the action",
        ),
    ] = None,
    *,
    target: TriggerTarget,
    run: TriggerRun,
    signature: TriggerSignature,
    port: TriggerInPort,
    output: TriggerOutput,
) -> ExitCode:
    """Send what Port would send for an action or a workflow."""
    import asyncio

    from port_hook_cli.cli.handlers import handler_finder
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.port_api.settings import ALL_NEEDS, ONLY_THE_SECRET
    from port_hook_cli.terminal.console import sayer, tell
    from port_hook_cli.trigger.action_files import locate

    if output.list_:
        from port_hook_cli.cli.trigger_list import list_triggers, refuse_other_options

        refuse_other_options(ctx)
        return list_triggers(action, ctx.obj, as_json=output.json)
    if action is None:
        raise UsageError(
            "Missing argument ACTION.",
            hint="Pass an action, automation or workflow. `port-hook trigger --list` lists them.",
        )
    # Invalid values raise UsageError before anything is read.
    target.read()
    if output.output is not None and target.brokers:
        refuse_contradictions({"--to kafka://…": True, "--format": True})
    if port.via_port and is_typed(ctx, "with_"):
        names = {f"--with {name}": name in run.files for name in ("event", "secrets", "outputs")}
        refuse_contradictions(pointless={"With --via-port, Port sends the request": names})
    if run.run_id is not None:
        check_run_id(run.run_id)
    _ = run.responses, run.files
    source = locate(action, ctx.obj)
    uses_api = port.via_port or port.wait_s > 0 or source.file is None or run.wants_last or bool(target.brokers)
    access = PortAccess(
        ctx.obj,
        sayer(ctx.obj),
        org=signature.org,
        secret_file=signature.secret_file,
        needs=ALL_NEEDS if uses_api else ONLY_THE_SECRET,
    )
    asked = TriggerCommand(
        action=action,
        target=target,
        run=run,
        signature=signature,
        port=port,
        output=output,
        runtime=ctx.obj,
        access=access,
        say=sayer(ctx.obj),
        handler=handler_finder(ctx, lambda line: tell(line, ctx.obj), sends=output.sends),
    )
    return asyncio.run(_trigger(source, asked))


async def _trigger(source: ActionLocation, asked: TriggerCommand) -> ExitCode:
    from port_hook_cli.trigger.action_files import FoundWorkflow, find_action

    found = await find_action(source, asked.access, asked.runtime, asked.say, via_port=asked.port.via_port)
    if isinstance(found, FoundWorkflow):
        from port_hook_cli.cli.trigger_workflow import trigger_workflow

        return await trigger_workflow(found, asked)
    from port_hook_cli.actions.request import needs_jq
    from port_hook_cli.engines.renderer import Renderer

    with Renderer() as renderer:
        if not asked.port.via_port and needs_jq(found):
            renderer.start()  # jq starts while the other modules are imported
        from port_hook_cli.cli.trigger_action import trigger_action

        return await trigger_action(found, asked, renderer)
