"""Reads the arguments of the Python API. This is the only module that checks their types.

A reader takes the name and the value of an argument. It returns the value to use, or raises UsageError with the
argument's name in the message.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.targets import read_target
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json, write_json
from port_hook_cli.runs.ids import check_run_id
from port_hook_cli.runs.updates import LogLevel, RunStatus
from port_hook_cli.text.safe import brief
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.runtime import Runtime
    from port_hook_cli.text.remark import Say

Reader: TypeAlias = Callable[[str, Any], Any]

_LARGEST_PORT = 65535


def read_all(given: Mapping[str, Any], readers: Mapping[str, Reader]) -> dict[str, Any]:
    """Read the arguments other than None with their readers, and return the results.

    Raises TypeError for an unknown argument.
    """
    if unknown := given.keys() - readers.keys():
        raise TypeError(f"unknown arguments: {', '.join(sorted(unknown))} (known: {', '.join(readers)})")
    return {name: readers[name](name, value) for name, value in given.items() if value is not None}


def read_text(name: str, value: object) -> str:
    """Return the argument if it is a string."""
    return value if isinstance(value, str) else _refuse(name, "a string", value)


def read_texts(name: str, value: object) -> tuple[str, ...]:
    """Return the argument as a tuple if it is an iterable of strings.

    Raises TypeError for a single string, which would be an iterable of its characters.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"`{name}` must be an iterable of strings, not {type(value).__name__}")
    texts = tuple(value)
    for each in texts:
        if not isinstance(each, str):
            raise TypeError(f"`{name}` must contain only strings, not {type(each).__name__}")
    return texts


def read_name(name: str, value: object) -> str:
    """Return the name of a source that may be a file. The argument is a string or a path."""
    text = str(value) if isinstance(value, str | PurePath) else _refuse(name, "a string or a path", value)
    try:
        can_be_file = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        can_be_file = False
    if not can_be_file:
        raise UsageError(f"`{name}` contains a character that file names cannot have: {brief(repr(text))}.")
    return text


def read_path(name: str, value: object) -> Path | None:
    """Return the argument as the path of a file, or None."""
    return None if value is None else Path(read_name(name, value))


def read_seconds(name: str, value: object) -> float:
    """Return the argument as a duration in seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= sys.float_info.max:
        return float(value)
    raise UsageError(f"`{name}` must be a finite number of seconds, 0 or more, not {brief(repr(value))}.")


def read_port(name: str, value: object, *, least: int = 0) -> int:
    """Return the argument if it is a port from `least` to 65535."""
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= _LARGEST_PORT:
        return value
    raise UsageError(f"`{name}` must be a port from {least} to {_LARGEST_PORT}, not {_shown(value)}.")


def read_address(name: str, value: object) -> str | None:
    """Return the URL of a target. The argument is a URL, a port on this machine, or None."""
    if value is None:
        return None
    if isinstance(value, str):
        return read_target(value, f"`{name}`")
    if isinstance(value, bool) or not isinstance(value, int):
        _refuse(name, "a URL or a port", value)
    return read_target(str(read_port(name, value, least=1)), f"`{name}`")


def read_object(name: str, value: object) -> dict[str, Any]:
    """Return the argument as a JSON object if it is a mapping."""
    if not isinstance(value, Mapping):
        _refuse(name, "a mapping", value)
    try:
        found: dict[str, Any] = read_json(write_json(dict(value)))
    except NotJson as problem:
        raise UsageError(f"`{name}` is not JSON: {brief(problem.fault)}.") from problem
    return found


def read_source(name: str, value: object) -> str | dict[str, Any] | bytes | None:
    """Return the argument that names or contains the request of a check: a name, a JSON object, bytes, or None."""
    if value is None or isinstance(value, bytes):
        return value
    return read_object(name, value) if isinstance(value, Mapping) else read_name(name, value)


def read_choice(*choices: str, error: type[Exception] = UsageError) -> Reader:
    """Return a reader that accepts only the strings in `choices`, and raises `error` for anything else."""

    def read(name: str, value: object) -> str:
        if isinstance(value, str) and value in choices:
            return value
        *first, last = choices
        raise error(f"`{name}` must be {', '.join(first)} or {last}, not {_shown(value)}.")

    return read


def read_secrets(name: str, value: object) -> dict[str, str]:
    """Return the argument as secrets by name."""
    secrets = read_object(name, value)
    return {key: read_text(f"{name}[{brief(repr(key))}]", secret) for key, secret in secrets.items()}


def read_run_id(name: str, value: object) -> str:
    """Return the argument as a run ID."""
    return check_run_id(read_text(name, value))


REPORT: Mapping[str, Reader] = {
    "status": read_choice(*RunStatus, error=ValueError),
    "label": read_text,
    "summary": read_text,
    "links": read_texts,
    "external_run_id": read_text,
    "logs": read_texts,
    "log_level": read_choice(*LogLevel, error=ValueError),
    "output": read_object,
}
"""The readers of `ReportFields`, for `report_run`."""


def open_access(runtime: Runtime, say: Say, *, org: str | None = None, only_the_secret: bool = True) -> PortAccess:
    """Return the access to Port with the settings of the command line."""
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.port_api.settings import ALL_NEEDS, ONLY_THE_SECRET

    return PortAccess(runtime, say, org=org, needs=ONLY_THE_SECRET if only_the_secret else ALL_NEEDS)


def secret_of(secret: str | None, access: PortAccess) -> Secret:
    """Return the argument `secret`, or by default the client secret in the settings."""
    if secret is None:
        return access.secret
    if not read_text("secret", secret):
        raise UsageError("`secret` is empty.", hint="Check whether PORT_CLIENT_SECRET is set.")
    return Secret(secret)


def _refuse(name: str, wanted: str, value: object) -> NoReturn:
    # The value may be a secret, so only its type is shown.
    raise UsageError(f"`{name}` must be {wanted}, not {type(value).__name__}.")


def _shown(value: object) -> str:
    return brief(repr(value)) if isinstance(value, str | int | float) else type(value).__name__
