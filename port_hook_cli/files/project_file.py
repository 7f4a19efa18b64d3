"""The project configuration in the current directory: `port-hook.toml`, or `[tool.port-hook]` in `pyproject.toml`.

Someone else may have written either file. `cli/project_defaults.py` decides what the options in them may do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import Any

from port_hook_cli.errors import SettingsError, StoreError
from port_hook_cli.files.settings_file import PROJECT_CONFIG, PYPROJECT, SettingsFile, read_settings_file
from port_hook_cli.frozen import frozen

_TOOL = "port-hook"
# tomllib's time for a key grows faster than the square of the number of parts. For a key of 64 KiB, it takes half a
# minute.
_MAX_DOTS = 100


@frozen(kw_only=True)
class ProjectFile:
    """The tables of a project configuration. Messages refer to it as `name`. `warning` explains why it is not used."""

    name: str
    tables: Mapping[str, Any] = field(default_factory=dict)
    warning: str = ""


def read_project_file(cwd: Path) -> ProjectFile | None:
    """Return the configuration in the current directory, or None. `port-hook.toml` takes precedence.

    Raises SettingsError for a file that cannot be read or is not TOML. A file that is not safe to use has a warning
    instead of tables. A `pyproject.toml` without the text `tool.port-hook` is not parsed, so it cannot cause an error.
    """
    own = read_settings_file(cwd / PROJECT_CONFIG, f"./{PROJECT_CONFIG}")
    if own.refusal or own.status or own.content:
        return _project_file(own, f"./{PROJECT_CONFIG}")
    shared = read_settings_file(cwd / PYPROJECT, f"./{PYPROJECT}")
    if f"tool.{_TOOL}".encode() not in shared.content:
        return None
    found = _project_file(shared, f"./{PYPROJECT}")
    return found if found.warning else _tool_table(found)


def _project_file(file: SettingsFile, name: str) -> ProjectFile:
    if file.refusal:
        return ProjectFile(name=name, warning=file.warning)
    return ProjectFile(name=name, tables=_parse(file.content, name))


def _parse(content: bytes, name: str) -> Mapping[str, Any]:
    import tomllib

    _check_dots(content, name)
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SettingsError(f"{name} is not UTF-8 text.", hint="Save it as UTF-8.") from error
    except RecursionError as error:
        raise SettingsError(
            f"{name} is nested too deeply.", hint="Fix the file, or move it to another directory."
        ) from error
    except ValueError as error:  # also raised for a number with thousands of digits
        raise SettingsError(
            f"{name} is invalid TOML: {error}.", hint="Fix the file, or move it to another directory."
        ) from error


def _check_dots(content: bytes, name: str) -> None:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.count(b".") > _MAX_DOTS:
            raise SettingsError(
                f"{name} is not used: line {number} has more than {_MAX_DOTS} dots.", hint="Shorten the line."
            )


def _tool_table(file: ProjectFile) -> ProjectFile | None:
    tools = file.tables.get("tool")
    table = tools.get(_TOOL) if isinstance(tools, dict) else None
    return ProjectFile(name=f"[tool.port-hook] in {file.name}", tables=table) if isinstance(table, dict) else None


def check_no_project_file(cwd: Path) -> None:
    """Raise StoreError if the current directory has a `port-hook.toml`."""
    if os.path.lexists(cwd / PROJECT_CONFIG):
        raise StoreError(f"./{PROJECT_CONFIG} already exists.", hint="Edit it, or overwrite it with --force.")


def write_project_file(cwd: Path, text: str, *, overwrites: bool) -> None:
    """Write `port-hook.toml`, readable by everyone. Raises StoreError on failure, or if it exists without `overwrites`.

    A symbolic link with this name is replaced, not followed, because someone else may have pointed it at a file of the
    user.
    """
    path = cwd / PROJECT_CONFIG
    if not overwrites:
        check_no_project_file(cwd)
    draft = cwd / f".{PROJECT_CONFIG}.{os.urandom(6).hex()}"
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644), "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except OSError as error:
        raise StoreError(
            f"./{PROJECT_CONFIG} cannot be written: {error.strerror}.",
            hint="Run this in a directory that you can write to.",
        ) from error
    finally:
        with suppress(OSError):  # on a read-only file system, even for a missing file
            draft.unlink()
