"""The options that files in the current directory may set, and the parameters that a command line sets.

Someone else may have written these files. To let them set another option, add it here too: a test compares the
package's list with this list. Such an option must be harmless. It must not set a file, host, target, store, secret or
organization, send anything, turn off a check or question, or loosen a limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import typer

from docs.command_line import trusted_options
from port_hook_cli.cli.app import app
from port_hook_cli.runtime import Runtime
from tests.options import options

ANY = (float("-inf"), float("inf"))
MIB = 1024 * 1024

# command -> option -> the lowest and the highest value that `port-hook.toml` may set.
FOLDER_OPTIONS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "listen": {
        "port": ANY,
        "path": ANY,
        "tolerance": (0, 300),
        "verify": ANY,  # of the words below
        "delay": (0, 60),
        "max-in-flight": ANY,
        "timeout": (0.001, 30),
        "wait-for-handler": (0, 5),
        "max-body": (1, 10 * MIB),
        "count": ANY,
        "stop-after": ANY,
        "expect-status": ANY,
        "exit-on-tunnel-loss": ANY,
        "compact": ANY,
        "json": ANY,
    },
    "sign": {"json": ANY},
    "export": {"format": ANY},
    "render": {"strict": ANY, "json": ANY},
    "trigger": {"strict": ANY, "timestamp-unit": ANY, "timeout": (0.001, 40), "json": ANY},
    "port-agent": {"json": ANY},
    "verify": {"tolerance": (0, 300), "json": ANY},
    "replay": {"timestamp-unit": ANY, "rate": ANY, "expect-status": ANY, "timeout": (0.001, 40), "json": ANY},
    "check": {"within": (10, 60), "timeout": (1, 5), "strict": ANY, "json": ANY},
    "runs": {"limit": (1, 1000), "json": ANY},
    "report-run": {"json": ANY},
    "captures": {"limit": (1, 1000), "json": ANY},
    "show": {"json": ANY},
    "diff": {"json": ANY},
    "prune": {"json": ANY},
    "decrypt": {"json": ANY},
    "encrypt": {"json": ANY},
    "sandbox": {
        "port": ANY,
        "strict": ANY,
        "timeout": (0.001, 30),
        "timestamp-unit": ANY,
        "rate-limit": ANY,
        "json": ANY,
    },
    "restore": {"json": ANY},
    "login": {"json": ANY},
    "logout": {"json": ANY},
    "doctor": {"json": ANY},
}

# `port-hook.toml` may also set handlers on this machine: routes, and `handler` for the other options.
HANDLER_OPTIONS: Mapping[str, set[str]] = {
    "listen": {"forward-to", "route"},
    **{name: {"to"} for name in ("replay", "trigger", "check", "export", "doctor")},
}

# The variables that set an option of several commands.
SHARED_VARIABLES = {
    "store": "PORT_HOOK_STORE",
    "secret-file": "PORT_HOOK_SECRET_FILE",
    "org": "PORT_HOOK_ORG",
    "tolerance": "PORT_HOOK_TOLERANCE",
}

# A valid value, other than the default, of each option except switches and options with choices.
_BY_TYPE = {"int": "7", "int range": "200", "float": "0.5", "float range": "0.5", "size": "5MiB"}
_BY_OPTION = {
    ("listen", "report"): "success",
    ("listen", "verify"): "strict",
    ("check", "only"): "old",
    ("check", "skip"): "old",
    ("check", "within"): "30",
    ("check", "timeout"): "2",
    ("init", "handler"): "flask",
    ("trigger", "format"): "httpie",
    ("export", "format"): "har",
}


def valued(command: str) -> Iterator[tuple[str, Any, str]]:
    """Yield each long name of each option of a command, without dashes, with Typer's parameter and a valid value.

    Former names are left out. The value isn't the default. It has the form of an environment variable.
    """
    for parameter in options(command):
        for name in parameter.opts:
            if not name.startswith("--"):
                continue
            option = name.removeprefix("--")
            yield option, parameter, _other_value(command, option, parameter)


def _other_value(command: str, option: str, parameter: Any) -> str:
    if parameter.is_flag:
        return "false" if parameter.default else "true"
    choices = getattr(parameter.type, "choices", ())
    if choices and (command, option) not in _BY_OPTION:
        return str(next(choice for choice in reversed(choices) if choice != parameter.default))
    return _BY_OPTION.get((command, option)) or _BY_TYPE.get(parameter.type.name) or f"value-of-{option}"


def require_listed(command: str) -> None:
    """Fail if a folder may set other options of a command than the listed ones."""
    trusted = {option: ANY if trust.words else trust[:2] for option, trust in trusted_options(command).items()}
    listed = FOLDER_OPTIONS.get(command, {})
    assert trusted == listed, f"list the options of {command} in tests/cli/folder_options.py, if they are harmless"


def is_listed(command: str, option: str) -> bool:
    return option in FOLDER_OPTIONS.get(command, {})


def variables(command: str, option: str) -> list[str]:
    """Return the environment variables of an option."""
    own = f"PORT_HOOK_{command}_{option}".upper().replace("-", "_")
    return [own, SHARED_VARIABLES[option]] if option in SHARED_VARIABLES else [own]


def words(option: str, parameter: Any, value: str) -> list[str]:
    """Return an option and its value as arguments of a command line."""
    if parameter.is_flag:
        return [f"--{option}" if value == "true" else f"--no-{option}"]
    return [f"--{option}", value]


def parameters(command: str, runtime: Runtime, *arguments: str) -> dict[str, Any]:
    """Return the parameters that a command gets. Missing required arguments are None."""
    root: Any = typer.main.get_command(app)
    group = root.make_context("port-hook", [command, *arguments], obj=runtime)
    name, found, rest = root.resolve_command(group, [command, *arguments])
    context = found.make_context(name, rest, parent=group, resilient_parsing=True)
    return dict(context.params)


def told(runtime: Runtime) -> str:
    """Return what port-hook has printed to stderr."""
    stderr: Any = runtime.stderr
    return str(stderr.buffer.getvalue().decode())
