"""`PORT_HOOK_<COMMAND>_<OPTION>`: defaults of options from the environment and the `.env` files.

`PORT_HOOK_LISTEN_PORT=9000` stands for `listen --port 9000`. Nothing is read or imported for it when no such
variable and no `.env` file exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from port_hook_cli.errors import SettingsError
from port_hook_cli.runtime import Runtime

PREFIX = "PORT_HOOK_"

# These mean the same in every command that has them, so one variable sets them all.
SHARED = {"store", "secret_file", "org", "tolerance"}


def variable_names(command: str, option: str) -> tuple[str, ...]:
    """Return the variables that set the default of `--option` of a command, the more specific first."""
    names = tuple(part.replace("-", "_").upper() for part in (command, option))
    specific = f"{PREFIX}{names[0]}_{names[1]}"
    return (specific, f"{PREFIX}{names[1]}") if names[1].lower() in SHARED else (specific,)


def default_map(command: str, parameters: Iterable[Any], runtime: Runtime) -> dict[str, Any]:
    """Return typer's `default_map` for one command: parameter name -> the text of its default.

    The value of an option that may be given several times is split at white space.
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
    """Let typer's complaint about a value name the variable that it came from, where it came from one."""
    source = wrong.ctx and wrong.param and wrong.ctx.get_parameter_source(wrong.param.name)
    if source and source.name == "DEFAULT_MAP":
        wrong.param_hint = find_variable(wrong.ctx.info_name, wrong.param, _variables(runtime))


def find_variable(command: str, parameter: Any, variables: Mapping[str, str]) -> str | None:
    """Return the variable that is set for a parameter, or None; arguments have none."""
    options = [option[2:] for option in parameter.opts if option.startswith("--")]
    names = (name for option in options for name in variable_names(command, option))
    return next((name for name in names if variables.get(name)), None)


def _variables(runtime: Runtime) -> dict[str, str]:
    found = {name: value for name, value in runtime.environ.items() if name.startswith(PREFIX)}
    paths = (runtime.cwd / ".env", runtime.home / ".port" / ".env")
    return {**_dotenv_variables(runtime), **found} if any(path.is_file() for path in paths) else found


def _dotenv_variables(runtime: Runtime) -> dict[str, str]:
    from port_hook_cli.adapters.dotenv_file import dotenv_files

    try:
        first, second = dotenv_files(runtime.cwd, runtime.home, PREFIX)
    except SettingsError:
        # The help must not fail for it; whoever needs a setting of that file is told when it is read for that.
        return {}
    return {**second.values, **first.values}
