"""The command `port-hook init`."""

from __future__ import annotations

import json
import shlex
from typing import Annotated

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import argument, command, short_option
from port_hook_cli.errors import UsageError
from port_hook_cli.files.example_handlers import HANDLERS, PATH, write_handler
from port_hook_cli.files.project_file import check_no_project_file, write_project_file
from port_hook_cli.files.settings_file import PROJECT_CONFIG
from port_hook_cli.invocations.targets import is_on_this_machine, read_target
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.prompts import ask_for, can_ask

_HANDLER = "8000"

_FILE = """\
# Settings of port-hook for this project. The command line and environment variables override this file.
# It can set only harmless options. It cannot set a secret, a file or another machine.

# Your handler on this machine: a port, host:port or URL. listen, replay, trigger, check, export and doctor use it.
handler = {handler}

# Options, with one table per command:
{listen}

# Other handlers, by workflow node or action:
# [listen.route]
# "deploy_service#deploy" = 8001
# create_vm = 8002

# Used by `port-hook --profile staging listen`:
# [profiles.staging]
# handler = 8080
"""
_NO_PORT = "# [listen]\n# port = 8787"


@command
def init(
    ctx: typer.Context,
    handler: Annotated[
        str | None,
        argument(
            help="Your handler on this machine: a port or URL. Default: 8000.",
            metavar="[HANDLER]",
            name="HANDLER",
            excludes=("--handler",),
        ),
    ] = None,
    port: Annotated[
        int | None,
        short_option("--port", "-p", metavar="N", help="The port to listen on.", min=0, max=65535),
    ] = None,
    force: Annotated[bool, short_option("--force", help="Overwrite port-hook.toml if it exists.")] = False,
    example: Annotated[
        str | None,
        short_option(
            "--handler",
            help=f"Instead, write a correct handler with its test to new files: {', '.join(HANDLERS)}.",
            metavar="NAME",
            parser=options.one_of(tuple(HANDLERS)),
            choices=tuple(HANDLERS),
            excludes=("--port", "--force"),
        ),
    ] = None,
) -> ExitCode:
    """Create port-hook.toml, or a handler with its test.

    On a terminal, asks for the handler if you don't pass it.
    """
    runtime: Runtime = ctx.obj
    if example is not None:
        return _write_handler(example, runtime)
    if not force:
        check_no_project_file(runtime.cwd)
    chosen = _handler(runtime) if handler is None else _read_handler(handler)
    text = _FILE.format(handler=chosen, listen=_NO_PORT if port is None else f"[listen]\nport = {port}")
    write_project_file(runtime.cwd, text, overwrites=force)
    print(f"Created ./{PROJECT_CONFIG}. Start with `port-hook listen`.", file=runtime.stdout)
    return ExitCode.OK


def _write_handler(name: str, runtime: Runtime) -> ExitCode:
    written = write_handler(name, cwd=runtime.cwd)
    steps = {
        "Install": written.install,
        "Set": "PORT_CLIENT_ID and PORT_CLIENT_SECRET",
        "Start": written.start,
        "Check": f"port-hook check create_vm.yaml --to 8000{PATH}",
        "Test": f"{written.test}   (with port-hook's pytest extra)",
    }
    print(f"Created {', '.join(written.files)}.", file=runtime.stdout)
    for title, line in steps.items():
        if line:
            print(f"{title + ':':<9}{line}", file=runtime.stdout)
    return ExitCode.OK


def _handler(runtime: Runtime) -> str:
    return ask_for("Your handler", _read_handler, runtime, default=_HANDLER) if can_ask(runtime) else _HANDLER


def _read_handler(text: str) -> str:
    """Return a handler as TOML. Raises UsageError if the handler is not on this machine."""
    text = text.strip()
    url = read_target(text, "HANDLER")
    if not is_on_this_machine(url):
        raise UsageError(
            "The handler is not on this machine. A project's file can only use handlers on this machine.",
            hint=f"Pass it to `port-hook listen {shlex.quote(text)}` instead.",
        )
    is_port = text.isascii() and text.isdecimal()
    return str(int(text)) if is_port else json.dumps(url)
