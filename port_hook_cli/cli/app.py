"""The Typer app, the error boundary, and `main`."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache, partial
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from port_hook_cli import __version__
from port_hook_cli.cli.command import Command, empty_value, styled_help
from port_hook_cli.cli.commands import COMMANDS, GROUPS, MORE, ROWS
from port_hook_cli.cli.defaults import (
    PROJECT_DEFAULTS,
    default_map,
    given_options,
    name_variable,
    refuse_former_variables,
    tell_ignored,
)
from port_hook_cli.cli.exit_codes import ExitCode, exit_code_of
from port_hook_cli.errors import PortHookError
from port_hook_cli.registry import features, load
from port_hook_cli.runtime import Runtime, system_runtime
from port_hook_cli.terminal.signals import stopping_at_once

# Words that people type instead of options. `help COMMAND` is `COMMAND --help`.
_WORDS = {"help": "--help", "version": "--version"}
_ALL = "--all"
# The names in files/settings_file.py. They are repeated here, so that looking for the files doesn't need an import.
_PROJECT_FILES = ("port-hook.toml", "pyproject.toml")
# Errors of the file to which stdout is redirected. They are not bugs in port-hook.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})


@cache
def _load_command(name: str) -> Any:
    """Return a command. Each command is built only once."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, cls=Command)(load(ROWS[name].run))
    return typer.main.get_command(app)


@cache
def _root_command() -> Any:
    return typer.main.get_command(app)


class CommandGroup(TyperGroup):
    """Imports a command's module only when that command runs, and turns failures into messages and exit codes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line. `help`, `help COMMAND` and `version` mean `--help` and `--version`."""
        if option := _WORDS.get(args[0] if args else ""):
            args = [*args[1:], option] if option == "--help" else [option]
        if args[1:] == ["--help"] and args[0] not in COMMANDS:
            _show_topic(args[0], ctx)
        if _ALL in args and {"--help", "-h"} & set(args[:2]) and args[0].startswith("-"):
            ctx.meta[_ALL] = True
            args = ["--help"]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's signature
        """Return the command names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and return one command, or None. The command's defaults may come from `PORT_HOOK_…` variables."""
        if cmd_name not in COMMANDS:
            return None
        command = _load_command(cmd_name)
        if isinstance(ctx.obj, Runtime):
            ctx.default_map = {cmd_name: default_map(cmd_name, command.params, ctx.obj)}
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command at the start of `args`. First, call what features do before each command."""
        name, command, rest = super().resolve_command(ctx, args)
        own = rest[: rest.index("--")] if "--" in rest else rest
        if command is not None and isinstance(ctx.obj, Runtime) and not {"--help", "-h"} & set(own):
            refuse_former_variables(str(name), command.params, ctx.obj)
            tell_ignored(str(name), command.params, ctx.obj)
            if name != "init":  # `init` writes the file
                _read_project_file(ctx, command, own)
            for feature in features().values():
                if feature.before_commands and name not in feature.quiet_for:
                    load(feature.before_commands)(ctx.obj)
        return name, command, rest

    def get_help(self, ctx: Any) -> str:
        """Return the text of `--help`."""
        return styled_help(self, ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write examples, the commands in groups, and the options, without importing the commands."""
        from port_hook_cli.cli.completion.words import COMMANDS as WORDS  # with the first line of each docstring
        from port_hook_cli.cli.help_page import root_examples

        with formatter.section("Examples"):
            formatter.write_dl(root_examples())
        shows_all = bool(ctx.meta.get(_ALL))
        width = max(map(len, COMMANDS))
        for title, names in {**GROUPS, **({"More": MORE} if shows_all else {})}.items():
            with formatter.section(title):
                formatter.write_dl([(name, WORDS[name][0]) for name in names], width=width)
        records = [record for each in self.get_params(ctx) if (record := each.get_help_record(ctx))]
        if shows_all:
            with formatter.section("Options"):
                formatter.write_dl(records)
            return
        formatter.write_paragraph()
        formatter.write_line(f"More: {', '.join(MORE)}. `port-hook --help --all` describes them.")
        formatter.write_line(f"Options: {'; '.join(names for names, _ in records)}.")
        formatter.write_line("`port-hook help COMMAND` explains a command.")
        formatter.write_line("Topics of `port-hook help`: options, settings, exit-codes.")

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write nothing. `format_options` writes the commands."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Its exit code, or the exit code of its error, becomes the exit code of the process."""
        ctx.obj = runtime = ctx.obj or system_runtime()
        try:
            code = super().invoke(ctx) or ExitCode.OK
            runtime.stdout.flush()
        except TyperException as wrong:
            if isinstance(wrong, typer.BadParameter):
                name_variable(wrong, runtime)
            raise
        except PortHookError as problem:
            print_problem(problem, runtime)
            code = exit_code_of(problem)
        except KeyboardInterrupt:
            code = ExitCode.INTERRUPTED
        except OSError as error:
            code = _output_failed(error, runtime)
        raise typer.Exit(int(code))


def _show_topic(name: str, ctx: Any) -> None:
    """Show a page about several commands, and end. Return if `name` is not like a topic."""
    from port_hook_cli.cli.habits import closest
    from port_hook_cli.cli.topics import TOPICS

    if topic := closest(name, TOPICS):
        from port_hook_cli.cli.command import print_page

        print_page(TOPICS[topic], ctx)
        raise typer.Exit


def _read_project_file(ctx: Any, command: Any, words: list[str]) -> None:
    """Apply the defaults of the project's file, and print them.

    If there is no such file, the function only looks for it.
    """
    runtime, name, profile = ctx.obj, str(command.name), ctx.params.get("profile")
    if profile == "":
        raise empty_value("--profile")
    if profile is None and not any(os.path.lexists(runtime.cwd / file) for file in _PROJECT_FILES):
        return
    from port_hook_cli.cli.project_defaults import project_defaults

    given = given_options(name, command.params, words, runtime)
    found = project_defaults(name, command.params, runtime=runtime, commands=COMMANDS, given=given, profile=profile)
    found.tell(runtime)
    ctx.default_map[name].update(found.values)
    ctx.meta[PROJECT_DEFAULTS] = found


def _output_failed(error: OSError, runtime: Runtime) -> ExitCode:
    """Return the exit code after a failed write to stdout. Raise any other error again."""
    from port_hook_cli.terminal.signals import is_broken_pipe

    if is_broken_pipe(error):  # the reader, such as `head`, has ended
        _let_go_of_stdout()
        return ExitCode.OK
    if not _is_disk_full(error):
        raise error
    _let_go_of_stdout()
    print_problem(PortHookError(f"The output was truncated: {error.strerror}.", hint="Free some disk space."), runtime)
    return ExitCode.FAILED


def _is_disk_full(error: OSError) -> bool:
    """Return whether an error is a failed write to a full disk, and not an error of a file that has a name."""
    return error.errno in _FULL and error.filename is None


def _let_go_of_stdout() -> None:
    """Redirect stdout to the null device, so that the interpreter's last flush does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_problem(problem: PortHookError, runtime: Runtime) -> None:
    """Print what happened and what to do next on stderr."""
    from port_hook_cli.terminal.console import tell

    tell(f"error: {problem.message}", runtime)
    if hint := problem.options_hint or problem.hint:
        tell(f"hint: {hint}", runtime)
    if problem.is_for_doctor and "doctor" in COMMANDS:
        tell("hint: Run `port-hook doctor` to check credentials, Port's API and tunnels.", runtime)


app = typer.Typer(
    cls=CommandGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"port-hook {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME", help="Use this profile from port-hook.toml."),
    ] = None,
) -> None:
    """Debug the webhooks behind Port's workflows and self-service actions."""


def main(argv: Sequence[str] | None = None, runtime: Runtime | None = None) -> int:
    """Run port-hook and return its exit code. This function never raises an exception."""
    words = list(sys.argv[1:] if argv is None else argv)
    # If a listener is stopped while its modules are imported, it ends with code 0 and without a traceback, as at any
    # other time. `mcp` has nothing to clean up, and its thread that reads stdin would not end with an exception.
    with stopping_at_once() if _command_of(words) in {"listen", "mcp"} else nullcontext():
        try:
            runtime = runtime or system_runtime()
        except PortHookError as problem:
            if sys.stderr:
                sys.stderr.write(f"error: {problem.message}\nhint: {problem.hint}\n")
            return int(exit_code_of(problem))
        return _run(words, runtime)


def _command_of(words: Sequence[str]) -> str:
    """Return the command that these words run: the first word, or the word after `--profile NAME`."""
    rest = words[2:] if words[:1] == ["--profile"] else words[1:] if "".join(words[:1])[:10] == "--profile=" else words
    return "".join(rest[:1])


def _run(words: list[str], runtime: Runtime) -> int:
    try:
        root = _root_command()
        return int(root.main(args=words, prog_name="port-hook", standalone_mode=False, obj=runtime) or ExitCode.OK)
    except TyperException as wrong:
        return _refuse(wrong, words, runtime)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as bug:  # noqa: BLE001 - the last resort: users never see a traceback
        from port_hook_cli.cli.failures import file_problem, report_crash

        if isinstance(bug, OSError) and _is_disk_full(bug):  # --help and --version write before any command runs
            return int(_output_failed(bug, runtime))
        if problem := file_problem(bug):
            print_problem(problem, runtime)
            return int(exit_code_of(problem))
        return report_crash(bug, environ=runtime.environ, secrets=runtime.memory.secrets, stderr=runtime.stderr)


def _refuse(wrong: Any, words: Sequence[str], runtime: Runtime) -> int:
    """Print the error in the command line, or the help if the command line is empty. Return the exit code."""
    if words:
        from port_hook_cli.cli.failures import usage_problem

        print_problem(usage_problem(wrong, words), runtime)
    else:
        from port_hook_cli.cli.help_page import page_text
        from port_hook_cli.terminal.console import Output

        output = Output(runtime.stderr, runtime.environ)
        print(page_text(partial(wrong.ctx.command.format_help, wrong.ctx), output), file=runtime.stderr)
    return int(wrong.exit_code)
