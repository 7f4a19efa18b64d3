"""Refuse options that contradict each other, in the same way for every command."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import typer

from port_hook_cli.cli.declaration import Declaration
from port_hook_cli.errors import UsageError


def refuse_contradictions(
    *exclusive: Mapping[str, bool],
    stdin: Iterable[tuple[str, str | None]] = (),
    pointless: Mapping[str, Mapping[str, bool]] | None = None,
) -> None:
    """Raise UsageError for options that contradict each other.

    Of each `exclusive` group, at most one option may be given. `stdin` contains inputs with their names, of which only
    one may be `-`. `pointless` maps a reason to the options that have no effect for that reason; a reason that
    ends with `without` and other options says which are needed. Options are mapped to whether they are given.
    """
    for group in exclusive:
        given = [name for name, is_given in group.items() if is_given]
        if len(given) > 1:
            raise UsageError(_sentence(f"{_listed(given)} exclude each other."), hint="Give only one of them.")
    readers = [what for what, name in stdin if name == "-"]
    if len(readers) > 1:
        raise UsageError(
            _sentence(f"{_listed(readers[:2])} cannot both use stdin."), hint="Give one of them as a file."
        )
    for reason, group in (pointless or {}).items():
        for name, is_given in group.items():
            if is_given:
                raise UsageError(_sentence(f"{reason}, so {name} has no effect."), hint=_leave_out(name, reason))


def refuse_declared(ctx: typer.Context, declared: Mapping[str, Declaration]) -> None:
    """Raise UsageError for options that contradict each other by their declarations; `declared` is by parameter."""
    parameters: list[Any] = ctx.command.params
    given = {declared[each.name].name: each for each in parameters if _has_effect(ctx, each)}
    readers, pointless = [], defaultdict[str, dict[str, bool]](dict)
    for name, parameter in given.items():
        declaration, value = declared[parameter.name], ctx.params[parameter.name]
        if declaration.stdin and (value == "-" or (isinstance(value, list | tuple) and "-" in value)):
            readers.append((declaration.stdin, "-"))
        for rule in declaration.no_effect:
            if rule.applies(given, is_on_command_line=_source(ctx, parameter) == "COMMANDLINE"):
                pointless[rule.sentence][name] = True
    refuse_contradictions(
        *({each: each in given for each in (name, *declared[given[name].name].excludes)} for name in given),
        stdin=readers,
        pointless=pointless,
    )


def _has_effect(ctx: typer.Context, parameter: Any) -> bool:
    """Return whether a value differs from its default. A switch that is on by default counts on the command line."""
    if parameter.default is True:
        return _source(ctx, parameter) == "COMMANDLINE"
    is_default = _source(ctx, parameter) == "DEFAULT"
    return not is_default and ctx.params[parameter.name] not in (None, [], (), parameter.default)


def _source(ctx: typer.Context, parameter: Any) -> str:
    source = ctx.get_parameter_source(parameter.name)
    return "" if source is None else source.name


def _leave_out(name: str, reason: str) -> str:
    needed = reason.partition(" without ")[2]
    return f"Add {needed}, or leave out {name}." if needed else f"Leave out {name}."


def _sentence(text: str) -> str:
    """Return the text with a capital: names of inputs, such as `the secret`, have none."""
    return text[0].upper() + text[1:]


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
