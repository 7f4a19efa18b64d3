"""A typer command that accepts at most one target. Its help shows groups of options and examples."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import typer
from typer.core import TyperCommand
from typer.exceptions import TyperException

from port_hook_cli.errors import UsageError
from port_hook_cli.runtime import system_runtime

if TYPE_CHECKING:
    from port_hook_cli.cli.help_page import HelpPage
    from port_hook_cli.cli.option_groups import Declaration

_COMMAND = "command_to_run"
_ALL = "--all"
_HELP = frozenset({"--help", "-h"})
_TARGETS = frozenset({"--forward-to", "--to"})


def styled_help(command: Any, ctx: Any) -> str:
    """Return a command's help, in color if stdout supports color."""
    return _page_text(partial(command.format_help, ctx), ctx)


def print_page(write: Callable[[HelpPage], None], ctx: Any) -> None:
    """Print a page of help, in color if stdout supports color."""
    typer.echo(_page_text(write, ctx), color=ctx.color)


def _page_text(write: Callable[[HelpPage], None], ctx: Any) -> str:
    from port_hook_cli.cli.help_page import page_text
    from port_hook_cli.terminal.console import Output

    runtime = ctx.find_root().obj or system_runtime()
    output = Output(runtime.stdout, runtime.environ)
    ctx.color = output.has_styles  # otherwise typer removes the styles that FORCE_COLOR asks for
    return page_text(write, output)


def empty_value(option: str) -> UsageError:
    """Return the error for an option whose value is empty."""
    return UsageError(f"The value of {option} is empty.", hint="Check whether a shell variable is unset.")


class Command(TyperCommand):
    """A command of port-hook. Each of its parameters has the attribute `declared`, a `Declaration`."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        declared: Mapping[str, Declaration] = cast("Any", self.callback).declared
        for parameter in cast("list[Any]", self.params):
            parameter.declared = declared[parameter.name]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line. Raises UsageError for two targets, empty values, and a command without `--`."""
        own, rest = self._apart(args)
        if _ALL in own and _HELP & set(own):
            ctx.meta[_ALL] = True
            own = [word for word in own if word != _ALL]
        words, order = self._words(ctx, own)
        if not words.get("help"):
            self._refuse_second_targets(order)
            self._refuse_empty_values(words)
            if extra := words.get(_COMMAND):
                raise self._unexpected(extra)
        left = super().parse_args(ctx, own)
        if rest:
            ctx.params[_COMMAND] = rest
            ctx.set_parameter_source(_COMMAND, type(ctx.get_parameter_source(_COMMAND)).COMMANDLINE)
        return left

    def _unexpected(self, words: Sequence[str]) -> UsageError:
        from port_hook_cli.cli.habits import hint_for_argument

        options = [name for parameter in self.params for name in parameter.opts if name.startswith("-")]
        hint = hint_for_argument(words[0], options)
        return UsageError(
            f"Unexpected argument: {' '.join(words)}.", hint=hint or "To run a command, put -- before it."
        )

    def _apart(self, args: list[str]) -> tuple[list[str], list[str]]:
        """Return the words before and after the first `--`, for a command that runs another command.

        Otherwise, the parser would read the other command as a missing argument. `--` can also be the value of an
        option.
        """
        parameters = cast("list[Any]", self.params)
        if not any(parameter.name == _COMMAND for parameter in parameters):
            return args, []
        valued = {flag for each in parameters if not getattr(each, "is_flag", True) for flag in each.opts}
        ends = (at for at, word in enumerate(args) if word == "--" and not (at and args[at - 1] in valued))
        end = next(ends, len(args))
        return args[:end], args[end + 1 :]

    def _words(self, ctx: Any, args: list[str]) -> tuple[dict[str, Any], list[Any]]:
        """Return the texts on the command line by parameter, and the parameters in the order of the command line."""
        try:
            words, _, order = self.make_parser(ctx).parse_args(list(args))
        except TyperException as wrong:
            if getattr(wrong, "ctx", self) is None:  # the hint needs the context for the command's name
                wrong.ctx = ctx  # type: ignore[attr-defined]
            raise
        return words, order

    def _refuse_second_targets(self, order: list[Any]) -> None:
        """Raise UsageError if a target is passed twice, because typer would use only the last target."""
        for name in (name for parameter in self.params for name in _TARGETS.intersection(parameter.opts)):
            if sum(name in parameter.opts for parameter in order) > 1:
                raise UsageError(f"{name} is used more than once.", hint="Pass one target. For others, use --route.")

    def _refuse_empty_values(self, words: dict[str, Any]) -> None:
        """Raise UsageError for an option whose value is empty, usually because a shell variable is unset."""
        for parameter in cast("list[Any]", self.params):
            given = words.get(parameter.name or "")
            name = parameter.declared.name
            is_empty = "" in given if isinstance(given, list) else given == ""
            if parameter.param_type_name == "option" and is_empty and not parameter.declared.may_be_empty:
                raise empty_value(name)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line, with braces only around alternatives.

        Typer puts every required argument in braces, such as `{SOURCE...}`.
        """
        return [part if "|" in part else part.strip("{}") for part in super().collect_usage_pieces(ctx)]

    def get_help(self, ctx: Any) -> str:
        """Return the text of `--help`."""
        return styled_help(self, ctx)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what the command does, and its examples, if any."""
        from port_hook_cli.cli.help_page import EXAMPLES

        super().format_help_text(ctx, formatter)
        if examples := EXAMPLES.get(str(self.name)):
            with formatter.section("Examples"):
                for line in examples:
                    formatter.write_line(line)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options: the most used options, or with --all every option by group.

        The options of several commands are only named, because `port-hook help options` explains them.
        """
        parameters = cast("list[Any]", self.get_params(ctx))[:-1]  # without --help
        _write_section("Arguments", [each for each in parameters if each.param_type_name == "argument"], ctx, formatter)
        options = [each for each in parameters if each.param_type_name == "option"]
        own = [each for each in options if not each.declared.is_shared]
        shown = [each for each in own if each.declared.in_short_help] or own
        if not ctx.meta.get(_ALL):
            _write_section("Options", shown, ctx, formatter)
        else:
            for title, members in self.groups().items():
                _write_section(title or "Options", [each for each in members if each in own], ctx, formatter)
            shown = own
        _write_rest(len(own) - len(shown), [max(each.opts, key=len) for each in options if each not in own], formatter)

    def groups(self) -> Mapping[str, Sequence[Any]]:
        """Return the help's groups of options by title. The title is "" for a command without groups."""
        groups: dict[str, list[Any]] = {}
        for parameter in cast("list[Any]", self.params):
            if parameter.param_type_name == "option":
                groups.setdefault(parameter.declared.title, []).append(parameter)
        return groups


def _without_range(text: str) -> str:
    """Return a help text without typer's range, such as `; x>=0]`. The error for a wrong value has it in words."""
    text = re.sub(r"(; |  \[)[\d.<=]*x[<>=\d.]+\]$", lambda it: "]" if ";" in it[0] else "", text)
    return re.sub(r"(default: \d+)\.0\]$", r"\1]", text)


def _write_rest(hidden: int, shared: Sequence[str], formatter: Any) -> None:
    """Write how many of the command's own options are hidden, and the names of the options of several commands."""
    if hidden or shared:
        formatter.write_paragraph()
    if hidden:
        formatter.write_line(f"{hidden} more: add --all.")
    if shared:
        formatter.write_line(f"Common options: {', '.join(shared)} (`port-hook help options`).")


def _write_section(title: str, parameters: Iterable[Any], ctx: Any, formatter: Any) -> None:
    found = [record for parameter in parameters if (record := parameter.get_help_record(ctx))]
    records = [(names, _without_range(text)) for names, text in found]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)
