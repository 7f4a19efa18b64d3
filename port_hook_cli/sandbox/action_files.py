"""Actions in a user's files: JSON or YAML, one action or an array of them, or a folder of such files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from port_hook_cli.actions.retargeting import settable
from port_hook_cli.errors import UsageError
from port_hook_cli.files.templates import read_yaml
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.actions import find_method_fault

_JSON = frozenset({".json"})
_YAML = frozenset({".yaml", ".yml"})
_HINT = "Give an action as Port's API returns it (GET /v1/actions/ID), an array of actions, or a folder of such files."


def read_actions(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Return the actions in files and folders; raises UsageError with the file and its fault."""
    found: dict[str, Path] = {}
    actions = []
    for path in paths:
        for file in _files(path):
            for action in _actions(file):
                identifier = action["identifier"]
                if identifier in found:
                    raise UsageError(f"{file}: the action {identifier} is already in {found[identifier]}.")
                found[identifier] = file
                actions.append(action)
    return actions


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in _JSON | _YAML)
    if not files:
        raise UsageError(f"{path} contains no .json, .yaml or .yml file.", hint=_HINT)
    return files


def _actions(file: Path) -> Iterator[dict[str, Any]]:
    document = _read(file)
    several = isinstance(document, list)
    for number, action in enumerate(document if several else [document], start=1):
        name = f"action {number}" if several else "the action"
        if isinstance(action, dict):
            # GET shows fields that PUT does not accept; they are ignored.
            action = settable(action)  # noqa: PLW2901
        fault = checks.find_fault(
            action, checks.ACTION, required=("identifier", "trigger", "invocationMethod"), name_of=name
        ) or find_method_fault(action["invocationMethod"], name_of=name)
        if fault:
            raise UsageError(f"{file}: {fault}.", hint=_HINT)
        yield action


def _read(file: Path) -> Any:
    try:
        text = file.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.", hint=_HINT) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 text.", hint=_HINT) from error
    try:
        return read_yaml(text) if file.suffix.lower() in _YAML else json.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "YAML" if file.suffix.lower() in _YAML else "JSON"
        raise UsageError(f"{file} is not valid {kind}: {error}.", hint=_HINT) from error
