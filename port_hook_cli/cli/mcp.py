"""The command `port-hook mcp`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from port_hook_cli.captures.database.opening import store_path
from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import NoEffect, command, short_option
from port_hook_cli.errors import PackageError, UsageError
from port_hook_cli.installed import install_hint
from port_hook_cli.invocations.targets import read_target
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import ONLY_THE_SECRET
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import sayer


@command
def mcp(
    ctx: typer.Context,
    allow_send: Annotated[
        bool,
        short_option("--allow-send", help="Offer the tools that send requests: replay, trigger, check and report."),
    ] = False,
    to: Annotated[
        str | None,
        options.target(
            "With --allow-send: the target of replays and triggers. It may be on another machine.",
            no_effect=(NoEffect("Nothing is sent", without=("--allow-send",)),),
            in_short_help=True,
        ),
    ] = None,
    skill: Annotated[
        bool,
        short_option(
            "--skill",
            help="Print SKILL.md, which teaches coding agents to use the commands, and exit.",
            excludes=("--allow-send",),
        ),
    ] = False,
    store: options.Store = None,
    org: options.Org = None,
    secret_file: options.SecretFile = None,
) -> ExitCode:
    """Serve tools for coding agents, with the Model Context Protocol.

    The tools list, show, explain and compare captures, wait for the next capture, and render templates. Needs the mcp
    extra, except with --skill. Ends when stdin ends.
    """
    if skill:
        ctx.obj.stdout.write((Path(__file__).parents[1] / "assistant" / "SKILL.md").read_text("utf-8"))
        return ExitCode.OK
    if secret_file == "-":  # noqa: S105 - the name of stdin
        raise UsageError(
            "The protocol uses stdin, so the secret cannot come from stdin.", hint="Pass a file with --secret-file."
        )
    runtime: Runtime = ctx.obj
    target = None if to is None else read_target(to, "--to")
    store_path(store, runtime.cwd)  # each tool would report the error, but a client may not show it
    serve = _load_server()
    # Results mask the secrets that this process has read. Because the secret is read now, it is masked from the first
    # call.
    open_access = partial(PortAccess, org=org, secret_file=secret_file)
    _ = open_access(runtime, sayer(runtime), needs=ONLY_THE_SECRET).settings
    from port_hook_cli.assistant.catalog import offered_tools
    from port_hook_cli.assistant.tool import Workspace

    workspace = Workspace(runtime=runtime, store=store, to=target, open_access=open_access)
    asyncio.run(serve(offered_tools(allow_send=allow_send), workspace))
    return ExitCode.OK


def _load_server() -> Callable[..., Coroutine[Any, Any, None]]:
    try:
        from port_hook_cli.assistant.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        raise PackageError(
            "`port-hook mcp` needs the mcp package, but it is not installed.", hint=install_hint("mcp")
        ) from None
    return serve
