"""`PORT_HOOK_<COMMAND>_<OPTION>`: option defaults from the environment and the `.env` files.

`PORT_HOOK_LISTEN_PORT=9000` means `listen --port 9000`. If there is no such variable and no `.env` file, nothing is
read or imported.
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

_OFF = frozenset({"0", "false", "f", "no", "n", "off"})


def variable_names(command: str, option: str) -> tuple[str, ...]:
    """Return the variables that set the default of a command's `--option`, with the more specific variable first."""
    names = tuple(part.replace("-", "_").upper() for part in (command, option))
    specific = f"{PREFIX}{names[0]}_{names[1]}"
    return (specific, f"{PREFIX}{names[1]}") if names[1].lower() in SHARED else (specific,)


def default_map(command: str, parameters: Iterable[Any], runtime: Runtime) -> dict[str, Any]:
    """Return typer's `default_map` for one command: the text of the default by the name of the parameter.

    The value of an option that may be passed several times is split at whitespace.
    """
    parameters = list(parameters)
    variables = _variables(command, parameters, runtime)
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
        wrong.param_hint = find_variable(command, wrong.param, _variables(command, [wrong.param], runtime))


def find_variable(command: str, parameter: Any, variables: Mapping[str, str]) -> str | None:
    """Return the name of the variable that sets a parameter, or None. Arguments have no variables."""
    return next((name for name in _names(command, parameter) if variables.get(name)), None)


def given_options(command: str, parameters: Iterable[Any], words: Sequence[str], runtime: Runtime) -> set[str]:
    """Return the options on the command line, in the environment and in the directory's `.env`, without dashes.

    If the command line has an argument, the names of the command's arguments are included.
    """
    parameters = list(parameters)
    flags = {word.partition("=")[0] for word in words}
    variables = _nearer_variables(command, parameters, runtime)
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
    """Raise SettingsError for a variable of an option that the command no longer has, wherever it is set."""
    named = {name for file in _dotenv_files(runtime) if file for name in file.values}
    names = {name for name in {*runtime.environ, *named} if name.startswith(PREFIX)}
    if names:
        from port_hook_cli.cli.gone import refuse_variables

        refuse_variables(command, names, {flag[2:] for each in parameters for flag in each.opts})


def tell_ignored(command: str | None, parameters: Iterable[Any], words: Sequence[str], runtime: Runtime) -> None:
    """Print the ignored variables of the directory's `.env`, and the problems of the `.env` files.

    A variable is not reported if the `words` of the command line already set its option.
    """
    given = {word.partition("=")[0] for word in words}
    files = _dotenv_files(runtime)
    for file in filter(None, files):
        for warning in file.warnings:
            _tell(warning, runtime)
    project = files[0].values if files[0] else {}
    if not project:
        return
    ignored = [
        name
        for parameter in parameters
        if not given & {*parameter.opts, *parameter.secondary_opts}
        for name in _names(command or "", parameter)
        if project.get(name) and name not in runtime.environ
        if not parameter.declared.trust.allows(project[name])
    ]
    if ignored:
        advice = "A project's file can set only harmless options. To use the variable, export it"
        _tell(f"ignored in ./.env: {', '.join(ignored)}. {advice}", runtime)


def _tell(warning: str, runtime: Runtime) -> None:

    from port_hook_cli.terminal.console import tell

    line = f"warning: {warning}"
    if runtime.memory.is_new(line):
        tell(line, runtime)


def _names(command: str, parameter: Any) -> Iterator[str]:
    """Yield the variables of a parameter, with the more specific variable first."""
    for flag in parameter.opts:
        if flag.startswith("--"):
            yield from variable_names(command, flag[2:])


def _variables(command: str, parameters: Iterable[Any], runtime: Runtime) -> dict[str, str]:
    """Return the variables that apply to these parameters. The directory's `.env` can set only harmless options."""
    _, at_home = _dotenv_files(runtime)
    return {**(at_home.values if at_home else {}), **_nearer_variables(command, parameters, runtime)}


def _nearer_variables(command: str, parameters: Iterable[Any], runtime: Runtime) -> dict[str, str]:
    """Return the variables of the environment and the directory's `.env`, which override the project's file."""
    found = {name: value for name, value in runtime.environ.items() if name.startswith(PREFIX)}
    file, _ = _dotenv_files(runtime)
    project = file.values if file else {}
    harmless = {
        name: project[name]
        for parameter in parameters
        if project and not any(name in found for name in _names(command, parameter))
        for name in _names(command, parameter)
        if name in project and _counts(parameter, project[name])
    }
    return {**harmless, **found}


def _counts(parameter: Any, value: str) -> bool:
    is_turned_off = parameter.is_flag and not parameter.default and value.strip().lower() in _OFF
    return not is_turned_off and bool(parameter.declared.trust.allows(value))


def _dotenv_files(runtime: Runtime) -> tuple[DotenvFile | None, DotenvFile | None]:
    """Return the directory's `.env` and the user's `.env`, or None for a missing or unreadable file."""
    paths = (runtime.cwd / ".env", runtime.home / ".port" / ".env")
    if not any(map(os.path.lexists, paths)):
        return None, None
    from port_hook_cli.files.dotenv import home_dotenv, project_dotenv

    project = at_home = None
    # A broken file must not make `--help` fail. A command that needs a setting from the file reports the error.
    with suppress(SettingsError):
        project = project_dotenv(runtime.cwd, runtime.home, PREFIX)
    with suppress(SettingsError):
        at_home = home_dotenv(runtime.home, PREFIX)
    return project, at_home
