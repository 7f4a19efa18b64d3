"""Read the actions, workflows and blueprints in a user's JSON or YAML files, alone, in arrays, or in a directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from port_hook_cli.actions.action import CONVERTED, BadAction, converted, definitions_in, is_version1
from port_hook_cli.actions.retargeting import settable
from port_hook_cli.errors import SourceError
from port_hook_cli.files.documents import read_yaml
from port_hook_cli.files.user_files import MAX_DOCUMENT_BYTES, documents_in, is_directory
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.javascript.values import read_json
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.actions import find_method_fault
from port_hook_cli.workflows.port_rules import read_new_workflow
from port_hook_cli.workflows.workflow import BadWorkflow

_FIELDS = {
    "workflow": frozenset({"nodes"}),
    "action": frozenset({"invocationMethod", "trigger"}),
    "blueprint": frozenset({"schema"}),
}
"""The fields that tell the kinds of definitions apart."""
_YAML = frozenset({".yaml", ".yml"})
_NO_FILE = "Pass the path of a JSON or YAML file, or of a directory with such files."
_HINT = (
    "Pass a definition that Port's API returns (GET /v1/actions/ID, /v1/workflows/ID, /v1/blueprints/ID), an array of "
    "definitions, or a folder of such files."
)


def read_actions(paths: Iterable[Path], notice: Callable[[str], None] = lambda _: None) -> list[dict[str, Any]]:
    """Return the actions in files and directories. Raises UsageError with the file and its error.

    An action in the format before version 2 is converted, and `notice` receives a message about the conversion.
    """
    return _read_all(paths, "action", partial(_actions, notice=notice))


def read_workflows(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Return the workflows in files and directories. Raises UsageError with the file and its error."""
    return _read_all(paths, "workflow", _workflows)


class Definitions(NamedTuple):
    """The definitions in a user's files."""

    actions: list[dict[str, Any]]
    workflows: list[dict[str, Any]]
    blueprints: list[dict[str, Any]]


def read_definitions(paths: Iterable[Path], notice: Callable[[str], None] = lambda _: None) -> Definitions:
    """Return the definitions in files and directories. Raises UsageError with the file and its error.

    A file contains actions, workflows or blueprints, not several kinds. `notice` is as in `read_actions`.
    """
    files: dict[str, list[Path]] = {"action": [], "workflow": [], "blueprint": []}
    for file in (file for path in paths for file in _files(path)):
        files[_kind_of(file)].append(file)
    return Definitions(
        read_actions(files["action"], notice), read_workflows(files["workflow"]), read_blueprints(files["blueprint"])
    )


def _kind_of(file: Path) -> str:
    document = _read(file)
    for noun, fields in _FIELDS.items():
        if any(isinstance(each, dict) and fields & each.keys() for each in definitions_in(document, noun)):
            return noun
    raise SourceError(
        f"{file} is not an action (with invocationMethod), a workflow (with nodes) or a blueprint (with schema).",
        hint=_HINT,
    )


def read_blueprints(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Return the blueprints in files and directories. Raises UsageError with the file and its error."""
    return _read_all(paths, "blueprint", _blueprints)


def _read_all(
    paths: Iterable[Path], noun: str, read: Callable[[Path], Iterator[dict[str, Any]]]
) -> list[dict[str, Any]]:
    places: dict[str, Path] = {}
    found = []
    for file in (file for path in paths for file in _files(path)):
        for document in read(file):
            identifier = document["identifier"]
            if identifier in places:
                raise SourceError(f"{file}: the {noun} {identifier} is already in {places[identifier]}.")
            places[identifier] = file
            found.append(document)
    return found


def _files(path: Path) -> list[Path]:
    if not is_directory(path):
        return [path]
    files = documents_in(path)
    if not files:
        raise SourceError(f"{path} contains no .json, .yaml or .yml file.", hint=_HINT)
    return files


def _converted(file: Path, action: dict[str, Any]) -> dict[str, Any]:
    try:
        return converted(action)
    except BadAction as problem:
        raise SourceError(f"{file}: the action {problem}.", hint=_HINT) from problem


def _actions(file: Path, notice: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    document = _read(file)
    listed = definitions_in(document, "action")
    several = len(listed) > 1 or isinstance(document, list)
    for number, action in enumerate(listed, start=1):
        name = f"action {number}" if several else "the action"
        if is_version1(action):
            action = _converted(file, action)  # noqa: PLW2901
            notice(CONVERTED.format(action.get("identifier")))
        if isinstance(action, dict):
            # A GET returns fields that a PUT does not accept. These fields are ignored.
            action = settable(action)  # noqa: PLW2901
        fault = checks.find_fault(
            action, checks.ACTION, required=("identifier", "trigger", "invocationMethod"), name_of=name
        ) or find_method_fault(action["invocationMethod"], name_of=name)
        if fault:
            raise SourceError(f"{file}: {fault}.", hint=_HINT)
        yield action


def _workflows(file: Path) -> Iterator[dict[str, Any]]:
    for found in definitions_in(_read(file), "workflow"):
        try:
            read_new_workflow(found)
        except BadWorkflow as problem:
            raise SourceError(f"{file}: the workflow {problem}.", hint=_HINT) from problem
        yield found


def _blueprints(file: Path) -> Iterator[dict[str, Any]]:
    for found in definitions_in(_read(file), "blueprint"):
        required = ("identifier", "schema")
        fault = checks.find_fault(found, checks.BLUEPRINT, required=required, others=True, name_of="the blueprint")
        if fault:
            raise SourceError(f"{file}: {fault}.", hint=_HINT)
        yield found


def _read(file: Path) -> Any:
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_DOCUMENT_BYTES + 1).decode("utf-8-sig")
    except FileNotFoundError as error:
        hint = f"Pass a port with --port: `--port {file.name}`." if file.name.isdecimal() else _NO_FILE
        raise SourceError(f"File not found: {file}.", hint=hint) from error
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror}.", hint=_HINT) from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{file} is not UTF-8 text.", hint=_HINT) from error
    if len(text) > MAX_DOCUMENT_BYTES:
        raise SourceError(f"{file} has more than {MAX_DOCUMENT_BYTES:,} bytes.", hint=_HINT)
    try:
        return read_yaml(text) if file.suffix.lower() in _YAML else read_json(text)
    except (ValueError, RecursionError) as error:
        kind = "YAML" if file.suffix.lower() in _YAML else "JSON"
        fault = error.fault if isinstance(error, NotJson) else error
        raise SourceError(f"{file} is not {kind}: {fault}.", hint=_HINT) from error
