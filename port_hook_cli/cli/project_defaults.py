"""Option defaults from `port-hook.toml`, or `[tool.port-hook]` in `pyproject.toml`, in the current directory.

Someone else may have written the file. The file may set harmless options, and handlers on this machine: the top-level
key `handler`, and the routes of `listen`. This module is imported only if one of the two files exists.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from port_hook_cli.cli import gone
from port_hook_cli.cli.defaults import variable_names
from port_hook_cli.cli.option_groups import Trust
from port_hook_cli.errors import SettingsError, UsageError
from port_hook_cli.files.project_file import ProjectFile, read_project_file
from port_hook_cli.files.settings_file import PROJECT_CONFIG
from port_hook_cli.frozen import frozen
from port_hook_cli.http.limits import format_size
from port_hook_cli.invocations.handlers import Handler, handler_here
from port_hook_cli.invocations.targets import BadTarget, parse_target
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import tell
from port_hook_cli.text.safe import brief

PROFILES = "profiles"
HANDLER = "handler"

_MAX_NAME = 60
_ROUTE = "route"
_ONLY_HERE = "A project's file can only use handlers on this machine"


@frozen(kw_only=True)
class ProjectDefaults:
    """The defaults of a command's parameters in a project's file `name`.

    `values` are the texts of the defaults by parameter. `handler` is the project's handler. `taken` lists the used
    options, as on the command line. `ignored` are the options that the file must not set, each with the reason.
    """

    name: str = ""
    handler: Handler | None = None
    values: Mapping[str, str | list[str]] = field(default_factory=dict)
    taken: Sequence[str] = ()
    ignored: Sequence[str] = ()
    warning: str = ""

    def tell(self, runtime: Runtime) -> None:
        """Print the used and ignored options of the file."""
        if self.warning:
            tell(f"warning: {self.warning}", runtime)
        for reason in self.ignored:
            tell(f"warning: ignored in {self.name}: {reason}", runtime)
        if self.taken:
            tell(f"note: from {self.name}: {', '.join(self.taken)}", runtime)


def project_defaults(
    command: str,
    parameters: Iterable[Any],
    *,
    runtime: Runtime,
    commands: Collection[str],
    given: Collection[str],
    profile: str | None = None,
) -> ProjectDefaults:
    """Return the defaults in the file of the current directory, except for options `given` in another way.

    Raises SettingsError for an invalid file or an unknown key, and UsageError for an unknown profile.
    """
    file = read_project_file(runtime.cwd)
    if file is None or file.warning:
        if profile is not None:
            _refuse_profile(profile, file)
        return ProjectDefaults(warning=file.warning if file else "")
    table, handler = _table_of(command, file, commands, profile)
    options = {flag[2:]: item for item in parameters for flag in item.opts if flag.startswith("--")}
    options.pop("help", None)
    place = file.name if profile is None else f"{file.name} (profile {brief(profile, _MAX_NAME)})"
    found = _defaults_of(command, table, options, set(given), ProjectDefaults(name=place))
    return found if handler is None else _with_handler(command, handler, options, set(given), found)


def _refuse_profile(profile: str, file: ProjectFile | None) -> None:
    if file is not None:
        raise SettingsError(f"{file.warning}.", hint="A profile needs this file.")
    raise UsageError(
        f"Profile not found: {brief(profile, _MAX_NAME)!r}. The current directory has no {PROJECT_CONFIG}.",
        hint="Run `port-hook init` to create the file. Profiles are tables such as [profiles.staging.listen].",
    )


def _table_of(
    command: str, file: ProjectFile, commands: Collection[str], profile: str | None
) -> tuple[Mapping[str, Any], Any]:
    """Return the options of a command and the handler.

    The profile's values override the others. The names of all tables are checked.
    """
    profiles = _table(file.tables.get(PROFILES, {}), PROFILES, file)
    tables = {name: table for name, table in file.tables.items() if name != PROFILES}
    _check_commands(tables, (*commands, PROFILES), "", file)
    for name, chosen in profiles.items():
        _check_commands(_table(chosen, f"{PROFILES}.{name}", file), commands, f"{PROFILES}.{name}.", file)
    if profile is not None and profile not in profiles:
        known = ", ".join(brief(name, _MAX_NAME) for name in list(profiles)[:10])
        raise UsageError(
            f"Profile not found in {file.name}: {brief(profile, _MAX_NAME)!r}.",
            hint=f"Its profiles: {known}." if known else "Profiles are tables such as [profiles.staging.listen].",
        )
    chosen = profiles[profile] if profile is not None else {}
    return {**tables.get(command, {}), **chosen.get(command, {})}, chosen.get(HANDLER, tables.get(HANDLER))


def _check_commands(tables: Mapping[str, Any], known: Collection[str], prefix: str, file: ProjectFile) -> None:
    for name, table in tables.items():
        if name == HANDLER:
            continue
        if name not in known:
            new = gone.COMMANDS.get(name)
            hint = (
                f"Write [{new}]."
                if new
                else _nearest(name, [HANDLER, *known]) or f"Tables are named after commands, such as [{prefix}listen]."
            )
            raise SettingsError(f"{file.name}: {_shown(prefix + name)} is not a command.", hint=hint)
        _table(table, prefix + name, file)


def _table(value: Any, key: str, file: ProjectFile) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(f"{file.name}: {_shown(key)} is not a table.", hint=f"Write [{_shown(key)}] on a line.")
    return value


def _defaults_of(
    command: str, table: Mapping[str, Any], options: Mapping[str, Any], given: set[str], found: ProjectDefaults
) -> ProjectDefaults:
    values: dict[str, str | list[str]] = {}
    taken, ignored = [], []
    handler_option = _handler_option(options)
    for option, value in table.items():
        if option == handler_option:
            raise SettingsError(
                f"{found.name}: {command}.{option} is not an option of the file.",
                hint=gone.hint_for_key(command, option),
            )
        if option not in options:
            hint = (
                gone.hint_for_key(command, option)
                or _nearest(option, options)
                or f"`port-hook {command} --help` lists the options."
            )
            raise SettingsError(f"{found.name}: {command} has no option {_shown(option)}.", hint=hint)
        if option in given or not given.isdisjoint(_contradicting(option, options)):
            continue  # the user chose another value, or another option instead
        place = f"{found.name}: {command}.{option}"
        trust: Trust = options[option].declared.trust
        texts = list(_texts(option, value, options[option], place)) if trust.is_handler or trust.allows_some else []
        if reason := _refusal(trust, texts, is_size=options[option].metavar == "SIZE"):
            ignored.append(_ignored(f"{command}.{option}", reason, command, option))
        elif texts:
            values[options[option].name] = texts if options[option].multiple else texts[0]
            taken += [_as_written(option, text, options[option]) for text in texts]
    return ProjectDefaults(name=found.name, values=values, taken=taken, ignored=ignored)


def _with_handler(
    command: str, value: Any, options: Mapping[str, Any], given: set[str], found: ProjectDefaults
) -> ProjectDefaults:
    """Return the defaults with the project's handler. For `listen`, it is the default of an option."""
    text, option = _scalar(value, f"{found.name}: {HANDLER}"), _handler_option(options)
    url = handler_here(text)
    if url is not None:
        found = replace(found, handler=Handler(url, f"the handler in {found.name}"))
    if option is None or not given.isdisjoint({option, *_contradicting(option, options)}):
        return found
    if url is None:
        _check_target(text, f"{found.name}: {HANDLER}")
        return replace(found, ignored=[*found.ignored, _ignored(HANDLER, _ONLY_HERE, command, option)])
    if command != "listen":  # other commands prefer the handler that got the capture
        return found
    values = {**found.values, options[option].name: text}
    return replace(found, values=values, taken=[f"{HANDLER} {brief(text)}", *found.taken])


def _ignored(key: str, reason: str, command: str, option: str) -> str:
    variable, *_ = variable_names(command, option)
    return f"{key}. {reason}. To use the value, pass --{option} or export {variable}"


def _check_target(text: str, place: str) -> None:
    """Raise SettingsError for a target that is not a URL, or whose port is out of range."""
    try:
        parse_target(text)
    except BadTarget as error:
        raise SettingsError(f"{place}: {brief(str(error))}.", hint="Write your handler's port, such as 8000.") from None


def _handler_option(options: Mapping[str, Any]) -> str | None:
    """Return the option of a command for which the file has the key `handler`, or None."""
    return next((name for name, each in options.items() if each.declared.trust.is_handler and name != _ROUTE), None)


def _contradicting(option: str, options: Mapping[str, Any]) -> set[str]:
    """Return what overrides or excludes the default of an option, and the options that it excludes, without dashes."""
    declared = options[option].declared
    others = {*declared.excludes, *(name for rule in declared.no_effect for name in rule.beside)}
    return {name.removeprefix("--") for name in others} | {
        name for name, each in options.items() if f"--{option}" in each.declared.excludes
    }


def _texts(option: str, value: Any, parameter: Any, place: str) -> Iterator[str]:
    """Yield the texts of a value in the form of the command line. An empty string has no text.

    `false` has no text either, except for a switch that is on by default.
    """
    if option == _ROUTE:
        yield from _routes(value, place)
    elif parameter.is_flag:
        if not isinstance(value, bool):
            raise SettingsError(f"{place} is not true or false.", hint=f"Write {option} = true.")
        yield from ["true"] if value else ["false"] if parameter.default else []
    elif isinstance(value, list) and parameter.multiple:
        yield from (_scalar(item, place) for item in value)
    elif text := _scalar(value, place):
        yield text


def _as_written(option: str, text: str, parameter: Any) -> str:
    """Return an option of the file in the form of the command line."""
    if parameter.is_flag:
        return f"--{option}" if text == "true" else f"--no-{option}"
    return f"--{option} {brief(text)}"


def _routes(value: Any, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        raise SettingsError(f"{place} is not a table.", hint="Write [listen.route], and below it create_vm = 8001.")
    for action, target in value.items():
        if not action or "=" in action:  # --route ends the action at the first =
            raise SettingsError(f"{place}: {_shown(action)} is not an action.", hint="Write it as create_vm = 8001.")
        text = _scalar(target, place)
        _check_target(text, f"{place}.{brief(action, _MAX_NAME)}")
        yield f"{action}={text}"


def _scalar(value: Any, place: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise SettingsError(f"{place} is not a string or a number.", hint="Write the value in quotes.")
    try:
        return str(value)
    except ValueError as error:  # a number with thousands of digits
        raise SettingsError(f"{place} is too large.", hint="Write a smaller number.") from error


def _refusal(trust: Trust, texts: Sequence[str], *, is_size: bool) -> str:
    """Return why a project's file must not set an option to these values, or "" if it may."""
    if trust.is_handler:
        return "" if all(handler_here(text.partition("=")[2]) for text in texts) else _ONLY_HERE
    if trust.allows_some and all(map(trust.allows, texts)):
        return ""
    if not trust.allows_some:
        return "A project's file can set only harmless options"
    limit = (
        f"sizes up to {format_size(int(trust.most))}" if is_size else f"values from {trust.least:g} to {trust.most:g}"
    )
    return f"A project's file can set it only to {' or '.join(trust.words) or limit}"


def _nearest(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    found = get_close_matches(name[:_MAX_NAME], list(known), n=1)
    return f"Did you mean {found[0]}?" if found else ""


def _shown(name: str) -> str:
    return brief(name, _MAX_NAME)
