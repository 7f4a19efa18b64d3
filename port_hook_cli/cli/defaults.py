"""`PORT_HOOK_<COMMAND>_<OPTION>`: option defaults from the environment.

`PORT_HOOK_LISTEN_PORT=9000` means `listen --port 9000`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any

from port_hook_cli.errors import SettingsError
from port_hook_cli.runtime import Runtime

if TYPE_CHECKING:
    from port_hook_cli.files.dotenv import DotenvFile

PREFIX = "PORT_HOOK_"
# The key in typer's context for the defaults from a project's file.
PROJECT_DEFAULTS = "port_hook_cli.project_defaults"

# These options mean the same in every command, so one variable sets them for all commands.
SHARED = {"store", "secret_file", "org", "tolerance"}

# The only default that `.env` files set: without it, the listener would accept more requests than the user expects.
_STRICT = ("PORT_HOOK_LISTEN_VERIFY", "strict")


def variable_names(command: str, option: str) -> tuple[str, ...]:
    """Return the variables that set the default of a command's `--option`, with the more specific variable first."""
    names = tuple(part.replace("-", "_").upper() for part in (command, option))
    specific = f"{PREFIX}{names[0]}_{names[1]}"
    return (specific, f"{PREFIX}{names[1]}") if names[1].lower() in SHARED else (specific,)


def default_map(command: str, parameters: Iterable[Any], runtime: Runtime) -> dict[str, Any]:
    """Return typer's `default_map` for one command: the text of the default by the name of the parameter.

    The value of an option that may be passed several times is split at whitespace.
    """
    variables = _variables(runtime)
    if not variables:
        return {}
    defaults = {}
    for parameter in parameters:
        variable = find_variable(command, parameter, variables)
        if variable:
            value = variables[variable]
            defaults[parameter.name] = value.split() if parameter.multiple else value
    return defaults


def name_variable(wrong: Any, runtime: Runtime) -> None:
    """If the value in typer's error came from a variable or a project's file, add this source to the error."""
    source = wrong.ctx and wrong.param and wrong.ctx.get_parameter_source(wrong.param.name)
    if source and source.name == "DEFAULT_MAP":
        command = wrong.ctx.info_name
        project = wrong.ctx.meta.get(PROJECT_DEFAULTS)
        if project is not None and wrong.param.name in project.values:
            wrong.param_hint = f"{command}.{max(wrong.param.opts, key=len)[2:]} in {project.name}"
            return
        wrong.param_hint = find_variable(command, wrong.param, _variables(runtime))


def find_variable(command: str, parameter: Any, variables: Mapping[str, str]) -> str | None:
    """Return the name of the variable that sets a parameter, or None. Arguments have no variables."""
    return next((name for name in _names(command, parameter) if variables.get(name)), None)


def given_options(command: str, parameters: Iterable[Any], words: Sequence[str], runtime: Runtime) -> set[str]:
    """Return the options on the command line and in variables, without dashes.

    If the command line has an argument, the names of the command's arguments are included.
    """
    parameters = list(parameters)
    flags = {word.partition("=")[0] for word in words}
    variables = _variables(runtime)
    valued = {flag for each in parameters if not getattr(each, "is_flag", True) for flag in each.opts}
    before_command = list(takewhile(lambda word: word != "--", words))
    has_argument = any(
        not word.startswith("-") and previous not in valued for previous, word in pairwise(["", *before_command])
    )
    arguments = {each.declared.name for each in parameters if each.param_type_name == "argument"}
    return (arguments if has_argument else set()) | {
        option[2:]
        for parameter in parameters
        if flags & {*parameter.opts, *parameter.secondary_opts} or find_variable(command, parameter, variables)
        for option in parameter.opts
        if option.startswith("--")
    }


def refuse_former_variables(command: str, parameters: Iterable[Any], runtime: Runtime) -> None:
    """Raise SettingsError for a variable of an option that the command no longer has."""
    names = {name for name in runtime.environ if name.startswith(PREFIX)}
    if names:
        from port_hook_cli.cli.gone import refuse_variables

        refuse_variables(command, names, {flag[2:] for each in parameters for flag in each.opts})


def tell_ignored(command: str, parameters: Iterable[Any], runtime: Runtime) -> None:
    """Print the problems of the `.env` files, and their variables that would set an option of the command."""
    from port_hook_cli.terminal.console import tell

    options = {name: parameter for parameter in parameters for name in _names(command, parameter)}
    used = _variables(runtime)
    for file in _dotenv_files(runtime):
        lines = [f"warning: {warning}" for warning in file.warnings]
        for name, value in file.values.items():
            if value and name in options and name not in used:
                trust = options[name].declared.trust
                place = " or in port-hook.toml" if trust.is_handler or trust.allows(value) else ""
                lines.append(f"note: port-hook ignores {name} in {file.name}. Set it in the environment{place}")
        for line in filter(runtime.memory.is_new, lines):
            tell(line, runtime)


def _names(command: str, parameter: Any) -> Iterator[str]:
    """Yield the variables of a parameter, with the more specific variable first."""
    for flag in parameter.opts:
        if flag.startswith("--"):
            yield from variable_names(command, flag[2:])


def _variables(runtime: Runtime) -> dict[str, str]:
    strict = [pair for file in _dotenv_files(runtime) for pair in file.values.items() if pair == _STRICT]
    return {**dict(strict), **{name: value for name, value in runtime.environ.items() if name.startswith(PREFIX)}}


def _dotenv_files(runtime: Runtime) -> Iterator[DotenvFile]:
    """Yield the current directory's `.env` and the user's `.env`, if they are readable."""
    paths = (runtime.cwd / ".env", runtime.home / ".port" / ".env")
    if not any(map(os.path.lexists, paths)):
        return
    from port_hook_cli.files.dotenv import home_dotenv, project_dotenv

    # A broken file must not make `--help` fail. A command that needs a setting from the file reports the error.
    with suppress(SettingsError):
        yield project_dotenv(runtime.cwd, runtime.home, PREFIX)
    with suppress(SettingsError):
        yield home_dotenv(runtime.home, PREFIX)
