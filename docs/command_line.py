"""The commands and options as data: the table for completion, and the man page. `docs/generate.py` writes both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import typer

from port_hook_cli.cli.app import app
from port_hook_cli.cli.commands import COMMANDS
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.help_page import EXAMPLES
from port_hook_cli.cli.option_groups import Declaration, Trust

_ALTERNATIVES = re.compile(r"<?([a-z0-9-]+(?:\|[a-z0-9-]+)+)>?")
_HELP_OPTION = (("--help", "-h"), "", False, (), "Show the help and exit.")

Row = tuple[Any, ...]


def load(name: str) -> Any:
    """Return a command by its name."""
    group: Any = typer.main.get_command(app)
    return group.get_command(SimpleNamespace(obj=None), name)


def summary_of(name: str) -> str:
    """Return the first line of a command's help."""
    return str(load(name).help.partition("\n")[0])


def completion_words(_: str) -> str:
    """Return the module with the table that completion reads."""
    commands = [
        f"    {name!r}: (\n"
        f"        {summary_of(name)!r},\n"
        f"{_rows(_arguments(load(name)), 8)}{_rows(_options(load(name)), 8)}    ),\n"
        for name in COMMANDS
    ]
    return (
        '"""The words of the command line, so that completion imports no command. Written by `make docs`."""\n\n'
        "# fmt: off\n\nfrom __future__ import annotations\n\nfrom typing import Any\n\n"
        f"ROOT_OPTIONS: tuple[Any, ...] = (\n{_lines(_options(typer.main.get_command(app)), 4)})\n"
        '"""Options of `port-hook` itself: names, value, whether it is repeatable, choices, help."""\n\n'
        f"COMMANDS: dict[str, tuple[str, Any, Any]] = {{\n{''.join(commands)}}}\n"
        '"""Command -> its summary, its arguments (name, value, whether it is repeatable, help) and its options."""\n'
    )


def _rows(rows: Sequence[Row], indent: int) -> str:
    margin = " " * indent
    return f"{margin}(\n{_lines(rows, indent + 4)}{margin}),\n"


def _lines(rows: Sequence[Row], indent: int) -> str:
    return "".join(f"{' ' * indent}{row!r},\n" for row in rows)


def _arguments(command: Any) -> list[Row]:
    found = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    return [(each.name, _metavar(each), each.nargs == -1, _line(each.help), *_completes(each)) for each in found]


def _options(command: Any) -> list[Row]:
    found = [option for option in command.params if option.param_type_name == "option" and not option.hidden]
    return [*(_option(option) for option in found), _HELP_OPTION]


def _option(option: Any) -> Row:
    value = "" if option.is_flag else _metavar(option)
    names = (*option.opts, *option.secondary_opts)
    row = (names, value, option.multiple, _choices(option, value), _line(option.help))
    return *row, *_completes(option)


def _completes(parameter: Any) -> tuple[str, ...]:
    """Return the name of what completes a parameter, if anything does."""
    name = _declared(parameter).completes
    return (name,) if name else ()


def _declared(parameter: Any) -> Declaration:
    found: Declaration = getattr(parameter, "declared", Declaration(""))  # the options of `port-hook` itself have none
    return found


def _choices(option: Any, value: str) -> tuple[str, ...]:
    listed = _declared(option).choices or getattr(option.type, "choices", None) or ()
    alternatives = _ALTERNATIVES.fullmatch(value)
    return tuple(map(str, listed)) or (tuple(alternatives[1].split("|")) if alternatives else ())


def _metavar(parameter: Any) -> str:
    if parameter.metavar:
        return str(parameter.metavar)
    choices = getattr(parameter.type, "choices", None)
    return "|".join(map(str, choices)) if choices else str(parameter.type.name).upper()


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def man_page(_: str) -> str:
    """Return the man page, in the macros that every `man` knows."""
    return "\n".join([*_man_lines(), ""])


def _man_lines() -> Iterator[str]:
    root = typer.main.get_command(app)
    yield '.\\" Written by `make docs` from the help of the commands.'
    yield '.TH PORT\\-HOOK 1 "" port\\-hook "User Commands"'
    yield from (
        ".SH NAME",
        "port\\-hook \\- debug the webhooks behind Port\\(aqs self\\-service actions from a terminal",
    )
    yield from (".SH SYNOPSIS", ".B port\\-hook", "[\\fIoptions\\fR] \\fIcommand\\fR [\\fIarguments\\fR]")
    yield ".SH DESCRIPTION"
    yield from _paragraphs(str(root.help))
    yield ".SH OPTIONS"
    yield from _described(_options(root))
    yield ".SH COMMANDS"
    for name in COMMANDS:
        yield from _command(name)
    yield from _closing()


def _command(name: str) -> Iterator[str]:
    command = load(name)
    arguments, options = _arguments(command), _options(command)
    yield f".SS port\\-hook {roff(name)}"
    yield from _paragraphs(str(command.help))
    for _, value, _, text, *_ in arguments:
        yield from (".TP", f"\\fI{roff(value)}\\fR", roff(text))
    by_name = {row[0][0]: row for row in options}
    for title, names in _groups(command).items():
        if title:
            yield from (".PP", f".B {roff(title)}")
        yield from _described([by_name[option] for option in names])
    if name in EXAMPLES:
        yield from (".PP", ".B Examples", ".PP", ".EX", *map(roff, EXAMPLES[name]), ".EE")


def _groups(command: Any) -> Mapping[str, Sequence[str]]:
    """Return the names of a command's options by the titles of their groups; one group if they have no titles."""
    groups = {title: [each.opts[0] for each in members] for title, members in command.groups().items()}
    return groups or {"": [row[0][0] for row in _options(command)[:-1]]}


def trusted_options(name: str) -> Mapping[str, Trust]:
    """Return the options of a command that a project's file may set, with their limits."""
    return {
        flag.removeprefix("--"): trust
        for option in load(name).params
        if (trust := _declared(option).trust).allows_some
        for flag in option.opts
        if flag.startswith("--")
    }


def _described(options: Sequence[Row]) -> Iterator[str]:
    for names, value, _, _, text, *_ in options:
        shown = ", ".join(f"\\fB{roff(name)}\\fR" for name in names)
        yield from (".TP", f"{shown} \\fI{roff(value)}\\fR" if value else shown, roff(text))


def _paragraphs(text: str) -> Iterator[str]:
    """Yield paragraphs with a mark between two of them."""
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        if number:
            yield ".PP"
        yield roff(_line(paragraph))


def _closing() -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code in ExitCode:
        yield from (".TP", f".B {code.value}", roff(code.meaning))
    yield ".SH ENVIRONMENT"
    for name, text in _VARIABLES:
        yield from (".TP", f".B {roff(name)}", roff(text))
    yield ".SH FILES"
    for name, text in _FILES:
        yield from (".TP", f".I {roff(name)}", roff(text))
    yield from (".SH SEE ALSO", "The documentation: docs/index.md in the source archive.")


_VARIABLES = (
    ("PORT_CLIENT_ID, PORT_CLIENT_SECRET", "The credentials of a Port organization."),
    ("PORT_HOOK_COMMAND_OPTION", "The default of an option, such as PORT_HOOK_LISTEN_PORT for `listen --port`."),
    ("NO_COLOR, FORCE_COLOR", "Turn colors off, or on even in a pipe. NO_COLOR takes precedence."),
    ("PAGER", "The pager for long output on a terminal. Default: less."),
    ("VISUAL, EDITOR", "The editor of `replay --edit`."),
)
_FILES = (
    (".port-hook/captures.db", "The capture store of this folder, unless --store names another one."),
    ("port-hook.toml", "Option defaults for the current directory; `port-hook init` writes it."),
    (".env", "Credentials for this folder."),
)
_ESCAPED = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "^": "\\(ha", "~": "\\(ti"}


def roff(text: str) -> str:
    """Return text as roff reads it back: no character of it is a command, and words in backquotes are bold."""
    shown = "".join(_ESCAPED.get(character) or _ascii(character) for character in text)
    shown = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", shown).replace("`", "\\(ga")
    return f"\\&{shown}" if shown.startswith((".", "\\(aq")) else shown


def _ascii(character: str) -> str:
    return character if character.isascii() else f"\\[u{ord(character):04X}]"
