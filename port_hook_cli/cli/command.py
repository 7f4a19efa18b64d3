"""A typer command that accepts one target at most, and whose help has groups of options and examples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand

from port_hook_cli.errors import UsageError
from port_hook_cli.runtime import system_runtime

_COMMAND = "command_to_run"
_TARGETS = frozenset({"--forward-to", "--to"})


def styled_help(command: Any, ctx: Any) -> str:
    """Return a command's help, with color if stdout shows it."""
    from port_hook_cli.cli.help_page import help_text
    from port_hook_cli.terminal.console import Output

    runtime = ctx.find_root().obj or system_runtime()
    output = Output(runtime.stdout, runtime.environ)
    ctx.color = output.has_styles  # or typer would remove the styles that FORCE_COLOR asks for
    return help_text(command, ctx, output)


class Command(TyperCommand):
    """One command of port-hook. The groups and examples of its help are imported only for the help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line; raises UsageError for two targets, because typer would use only the last one."""
        _, _, order = self.make_parser(ctx).parse_args(list(args))
        for name in (name for parameter in self.params for name in _TARGETS.intersection(parameter.opts)):
            if sum(name in parameter.opts for parameter in order) > 1:
                raise UsageError(f"{name} is given more than once.", hint="Give one target; see --route for others.")
        self._require_dashes(ctx, args)
        return super().parse_args(ctx, args)

    def _require_dashes(self, ctx: Any, args: list[str]) -> None:
        """Raise UsageError for a command to run without `--` before it: its options could be read as port-hook's."""
        if "--" in args or not any(parameter.name == _COMMAND for parameter in self.params):
            return
        words, _, _ = self.make_parser(ctx).parse_args(list(args))
        if extra := words.get(_COMMAND):
            raise UsageError(f"Unexpected argument: {' '.join(extra)}.", hint="To run a command, put -- before it.")

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line, with braces around alternatives only.

        Typer puts every required argument in braces, such as `{SOURCE...}`.
        """
        return [part if "|" in part else part.strip("{}") for part in super().collect_usage_pieces(ctx)]

    def get_help(self, ctx: Any) -> str:
        """Return the text of `--help`."""
        return styled_help(self, ctx)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what the command does, and examples if it has any."""
        from port_hook_cli.cli.help import EXAMPLES

        super().format_help_text(ctx, formatter)
        if examples := EXAMPLES.get(str(self.name)):
            with formatter.section("Examples"):
                for line in examples:
                    formatter.write_line(line)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options, in groups if the command has any."""
        from port_hook_cli.cli.help import GROUPS

        groups = GROUPS.get(str(self.name))
        if groups is None:
            super().format_options(ctx, formatter)
            return
        parameters = self.get_params(ctx)
        by_option = {option: parameter for parameter in parameters for option in parameter.opts}
        arguments = [parameter for parameter in parameters if parameter.param_type_name == "argument"]
        _write_section("Arguments", arguments, ctx, formatter)
        for title, names in groups.items():
            _write_section(title, [by_option[name] for name in names], ctx, formatter)
        _write_section("Help", [by_option["--help"]], ctx, formatter)


def _write_section(title: str, parameters: Iterable[Any], ctx: Any, formatter: Any) -> None:
    records = [record for parameter in parameters if (record := parameter.get_help_record(ctx))]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)
