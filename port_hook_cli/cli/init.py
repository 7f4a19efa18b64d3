"""The command `port-hook init`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import command, option
from port_hook_cli.errors import UsageError
from port_hook_cli.files.project_file import check_no_project_file, write_project_file
from port_hook_cli.files.settings_file import PROJECT_CONFIG
from port_hook_cli.invocations.targets import is_on_this_machine, read_target
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.prompts import ask_for, can_ask, confirm

_HANDLER, _PORT, _MAX_PORT = "8000", 8787, 65535

_FILE = """\
# Default options of port-hook for this project, with one table per command.
# The command line, environment variables and .env override this file.
# It can set only harmless options. It cannot set a secret, a file or another machine.

# Your handler on this machine: a port, host:port or URL. listen, replay, trigger, check, export and doctor use it.
handler = {handler}

[listen]
# The port to listen on; 0 chooses a free port.
port = {port}
# true: one line per invocation. false: everything about it.
compact = {compact}

# Other handlers, by workflow node or action:
# [listen.route]
# "deploy_service#deploy" = 8001
# create_vm = 8002

# Used by `port-hook --profile staging listen`:
# [profiles.staging]
# handler = 8080
"""


@command
def init(
    ctx: typer.Context,
    forward_to: Annotated[
        str | None,
        option("--forward-to", metavar="URL|PORT", help="Your handler on this machine. Default: 8000."),
    ] = None,
    port: Annotated[
        int | None,
        option("--port", "-p", metavar="N", help="The port to listen on. Default: 8787.", min=0, max=_MAX_PORT),
    ] = None,
    compact: Annotated[bool, option("--compact", help="Show one line per invocation.")] = False,
    force: Annotated[bool, option("--force", help="Overwrite the file if it exists.")] = False,
) -> ExitCode:
    """Create port-hook.toml, or a handler with its test.

    On a terminal, asks for the values that you don't pass as options.
    """
    runtime: Runtime = ctx.obj
    if not force:
        check_no_project_file(runtime.cwd)
    handler = _handler(runtime) if forward_to is None else _read_handler(forward_to)
    chosen = _port(runtime) if port is None else port
    if not compact and can_ask(runtime):
        compact = confirm("Show one line per invocation?", runtime, default=False)
    text = _FILE.format(handler=handler, port=chosen, compact=str(compact).lower())
    write_project_file(runtime.cwd, text, overwrites=force)
    print(f"Created ./{PROJECT_CONFIG}. Start with `port-hook listen`.", file=runtime.stdout)
    return ExitCode.OK


def _handler(runtime: Runtime) -> str:
    return ask_for("Your handler", _read_handler, runtime, default=_HANDLER) if can_ask(runtime) else _HANDLER


def _port(runtime: Runtime) -> int:
    return ask_for("The port to listen on", _read_port, runtime, default=str(_PORT)) if can_ask(runtime) else _PORT


def _read_handler(text: str) -> str:
    """Return a handler as TOML. Raises UsageError if the handler is not on this machine."""
    text = text.strip()
    url = read_target(text, "--forward-to")
    if not is_on_this_machine(url):
        raise UsageError(
            "--forward-to is not on this machine. A project's file can only use handlers on this machine.",
            hint="Pass --forward-to to `port-hook listen` instead.",
        )
    is_port = text.isascii() and text.isdecimal()
    return str(int(text)) if is_port else json.dumps(url)


def _read_port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < len("100000") and int(text) <= _MAX_PORT):
        raise UsageError(
            "The port to listen on is not a number from 0 to 65535.",
            hint="Enter a free port, or 0 to choose any free port.",
        )
    return int(text)
