"""Reads the actions, blueprints and workflows of a test.

A test passes a file, a mapping, or the identifier of an action in the sandbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from port_hook_cli.actions.action import BadAction, converted, is_version1, pick_action, unwrapped, webhook_action
from port_hook_cli.errors import UsageError
from port_hook_cli.sandbox.checks import BLUEPRINT, find_fault
from port_hook_cli.sandbox.definition_files import read_actions, read_blueprints, read_workflows
from port_hook_cli.workflows.port_rules import read_new_workflow
from port_hook_cli.workflows.workflow import BadWorkflow, Workflow

ActionSource = str | PurePath | Mapping[str, Any]
_SUFFIXES = frozenset({".json", ".yaml", ".yml"})


def load_action(source: ActionSource, folders: Sequence[Path]) -> Mapping[str, Any] | None:
    """Return an action in the format of Port's API, or None if `source` is an identifier.

    A relative path is searched in all `folders`. Raises UsageError if `source` is not an action with a webhook, if the
    file does not exist, or if the file has several actions and `#` does not select one of them.
    """
    if isinstance(source, Mapping):
        action: Mapping[str, Any] = unwrapped(source, "action")
        try:
            action = converted(action) if is_version1(action) else action
        except BadAction as error:
            raise UsageError(f"The action {error}.") from error
        webhook_action(action)
        return action
    name, mark, identifier = str(source).rpartition("#")
    path = Path(name if mark else identifier)
    if isinstance(source, str) and path.suffix.lower() not in _SUFFIXES:
        return None
    file = find_file(path, folders)
    try:
        picked = pick_action(read_actions([file]), identifier if mark else None)
    except BadAction as error:
        hint = f"Select one of them: {path}#IDENTIFIER."
        raise UsageError(f"{file} {error}.", hint=hint) from error
    webhook_action(picked)
    found: Mapping[str, Any] = picked
    return found


def load_blueprint(source: ActionSource, folders: Sequence[Path]) -> Mapping[str, Any]:
    """Return the document of a blueprint. A relative path is searched in all `folders`. Raises UsageError."""
    if isinstance(source, Mapping):
        blueprint: Mapping[str, Any] = unwrapped(source, "blueprint")
        required = ("identifier", "schema")
        if fault := find_fault(blueprint, BLUEPRINT, required=required, others=True, name_of="the blueprint"):
            raise UsageError(f"{fault[0].upper()}{fault[1:]}.")
        return blueprint
    file = find_file(Path(source), folders)
    documents = read_blueprints([file])
    if len(documents) != 1:
        raise UsageError(f"{file} has {len(documents)} blueprints. Use a file with one blueprint.")
    return documents[0]


def load_workflow(source: ActionSource, folders: Sequence[Path]) -> tuple[Mapping[str, Any], Workflow, str | None]:
    """Return the document of a workflow, the workflow, and the node in FILE#NODE. Raises UsageError."""
    if isinstance(source, Mapping):
        document, node = unwrapped(source, "workflow"), None
    else:
        name, mark, last = str(source).rpartition("#")
        file = find_file(Path(name if mark else last), folders)
        documents = read_workflows([file])
        if len(documents) != 1:
            raise UsageError(f"{file} has {len(documents)} workflows. Use a file with one workflow.")
        document, node = documents[0], last if mark else None
    try:
        return document, read_new_workflow(document), node
    except BadWorkflow as problem:
        raise UsageError(f"The workflow {problem}.") from problem


def names_a_node(source: ActionSource, folders: Sequence[Path]) -> bool:
    """Return whether `source` is FILE#NODE of a workflow, not an action. Raises UsageError for a missing file."""
    if not isinstance(source, (str, PurePath)) or "#" not in str(source):
        return False
    file = find_file(Path(str(source).rpartition("#")[0]), folders)
    try:
        return bool(read_workflows([file]))
    except UsageError:
        return False  # it is reported as an action


def find_file(path: Path, folders: Sequence[Path]) -> Path:
    """Return the file at `path` in the first of the `folders` that contains the file. Raises UsageError."""
    places = [folder / path for folder in dict.fromkeys(folders)]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise UsageError(f"File not found: {' or '.join(str(place) for place in dict.fromkeys(places))}.")
    return found
