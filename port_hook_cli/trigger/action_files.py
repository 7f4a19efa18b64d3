"""Reads actions and workflows from files, directories and Port, and the documents of a run from files and values."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import PurePath
from typing import Any, TypeVar

from port_hook_cli.actions.action import (
    CONVERTED,
    INTEGRATION_ACTION,
    KAFKA,
    WEBHOOK,
    BadAction,
    NotChosen,
    OtherMethod,
    PortAction,
    converted,
    definitions_in,
    is_version1,
    pick_action,
    read_action,
    unwrapped,
)
from port_hook_cli.errors import (
    MissingCredentialsError,
    PortApiError,
    PortHookError,
    SettingsError,
    SourceError,
    StoreError,
    UsageError,
)
from port_hook_cli.files.documents import read_document, read_secrets_file
from port_hook_cli.files.user_files import (
    DOCUMENT_SUFFIXES,
    documents_in,
    is_directory,
    is_file,
    read_input,
    require_name,
)
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.http_text import is_request
from port_hook_cli.invocations.snippets import shell_quoted
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import Remark, Say, note
from port_hook_cli.text.safe import input_name, printable
from port_hook_cli.trigger.run_data import BadDocument
from port_hook_cli.workflows.port_rules import read_new_workflow
from port_hook_cli.workflows.workflow import BadWorkflow, Workflow, identifier_of, is_workflow, read_workflow

_Read = TypeVar("_Read")
_NOT_IN_PORT = (
    "--via-port runs the workflow that is in Port, not the file. Create the workflow in Port, or leave out --via-port."
)
_HINT = "Pass a workflow or an action in the format of Port's API (GET /v1/actions/ID)."
_DEFINITION = frozenset({"identifier", "invocationMethod", "nodes", "actions", "workflow", "workflows"})
_OTHER_METHOD = (
    "Start the run with --via-port if its integration claims it (INTEGRATION_ACTION), or use a WEBHOOK action."
)


@frozen
class ActionLocation:
    """The location of an action or a workflow: a file, a directory of files, or Port if `file` is None.

    `identifier` selects one of several actions, or a node of a workflow.
    """

    name: str
    file: str | None = None
    identifier: str | None = None


def locate(name: str, runtime: Runtime) -> ActionLocation:
    """Return the location of the action `name`, which is a file, a directory or an identifier in Port.

    A file or directory may be followed by `#ID`. A workflow in Port is `ID` or `ID#NODE`. A name means a directory only
    if it is written as a path: `actions/`. Raises StoreError for a missing file, and UsageError for an empty name.
    """
    if name == "-" or is_file(name, runtime.cwd) or (_is_path(name) and _is_directory(name, runtime)):
        return ActionLocation(name, name)
    require_name(name)
    file, mark, identifier = name.rpartition("#")
    if mark and (file == "-" or is_file(file, runtime.cwd) or _is_directory(file, runtime)):
        return ActionLocation(name, file, identifier)
    directory, _, inside = name.partition("#")
    if mark and _is_directory(directory, runtime):
        return ActionLocation(name, directory, inside)
    named = file if mark else name
    path = PurePath(named)
    if not named or len(path.parts) > 1 or path.suffix.lower() in DOCUMENT_SUFFIXES:
        raise StoreError(f"File not found: {path}.", hint="Pass an action's file, or its identifier in Port.")
    return ActionLocation(named, identifier=identifier if mark else None)


@frozen
class FoundWorkflow:
    """A workflow and its selected node. A node of None selects the whole workflow.

    `version` is the version in Port, or None for a workflow in a file or without a version.
    """

    workflow: Workflow
    node: str | None
    is_in_port: bool = False
    version: int | None = None

    @property
    def remark(self) -> Remark:
        """The note that the workflow was read from Port."""
        version = "" if self.version is None else f", version {self.version}"
        return note(printable(f"the workflow {self.workflow.identifier} was read from Port{version}"))


async def find_action(
    source: ActionLocation, access: PortAccess, runtime: Runtime, say: Say, *, via_port: bool = False
) -> PortAction | FoundWorkflow:
    """Return the action or the workflow at `source`.

    With `via_port`, Port invokes the action, so the action may be for an integration. Raises UsageError for a file
    without an action, StoreError, SettingsError and PortApiError.
    """
    if source.file is None:
        document: Any = await _ask_port(source, access, runtime)
        name = f"The {'workflow' if is_workflow(document) else 'action'} {source.name}"
    elif _is_directory(source.file, runtime):
        name, document = source.file, _read_directory(source.file, runtime)
    else:
        name = input_name(source.file)
        content = read_input(source.file, cwd=runtime.cwd, stdin=runtime.stdin)
        _reject_request(source.file, name, content)
        document = read_document(content, name=name)
        _reject_payload(source.file, name, document)
    try:
        read = read_workflow if source.file is None else read_new_workflow
        if (workflow := _pick_workflow(document, source.identifier, read)) is not None:
            return (
                workflow if source.file is not None else replace(workflow, is_in_port=True, version=_version(document))
            )
        picked = document if source.file is None else pick_action(definitions_of(document), source.identifier)
        if is_version1(picked):
            picked = converted(picked)
            say(note(printable(CONVERTED.format(picked.get("identifier")))))
        return read_action(picked, methods=(WEBHOOK, KAFKA, INTEGRATION_ACTION) if via_port else (WEBHOOK, KAFKA))
    except (BadAction, BadWorkflow) as error:
        raise SourceError(f"{name} {error}.", hint=_definition_hint(error, source)) from error


def _definition_hint(error: BadAction | BadWorkflow, source: ActionLocation) -> str:
    if isinstance(error, NotChosen):
        return f"Choose one, such as {(source.file or '').rstrip('/')}#{error.example}."
    return _OTHER_METHOD if isinstance(error, OtherMethod) else _HINT


def _reject_request(file: str, name: str, content: bytes) -> None:
    """Raise UsageError for a file that contains a raw HTTP request."""
    if content.lstrip()[:1].isalpha() and is_request(content):
        raise _not_an_action(file, f"{name} is an HTTP request, not an action or a workflow.")


def _reject_payload(file: str, name: str, document: Any) -> None:
    """Raise UsageError for a file that contains a capture or a payload."""
    if not isinstance(document, Mapping) or _DEFINITION & document.keys():
        return
    from port_hook_cli.captures.documents.capture_file import is_capture

    if is_capture(document):
        raise _not_an_action(file, f"{name} is a capture, not an action or a workflow.")
    if document and not isinstance(document.get("action"), Mapping):
        raise _not_an_action(file, f"{name} has no `identifier`.", is_payload=True)


def _not_an_action(file: str, message: str, *, is_payload: bool = False) -> UsageError:
    sends = "If it is a payload, send it with" if is_payload else "Send it with"
    return SourceError(
        message,
        hint=f"{sends} `port-hook replay {shell_quoted(file)} --to URL`. Pass trigger an action or a workflow in the "
        "format of Port's API.",
    )


def _pick_workflow(document: Any, identifier: str | None, read: Callable[[Any], Workflow]) -> FoundWorkflow | None:
    """Return the workflow in a document, and its selected node.

    `identifier` is a node of the only workflow, or `ID` or `ID#NODE` of one of several workflows.
    """
    if is_workflow(document):
        return FoundWorkflow(read(document), identifier)
    name, _, node = (identifier or "").partition("#")
    listed = definitions_in(document, "workflow")
    for each in listed:
        if is_workflow(each) and (name == identifier_of(each) or (len(listed) == 1 and not node)):
            return FoundWorkflow(read(each), node or (None if name == identifier_of(each) else name or None))
    return None


def _read_directory(name: str, runtime: Runtime) -> list[Any]:
    """Return the definitions in the JSON and YAML files of a directory, ordered by file name.

    Raises UsageError if the directory has no such file.
    """
    files = documents_in(runtime.cwd / name)
    if not files:
        raise SourceError(f"The directory {name} contains no .json, .yaml or .yml file.", hint=_HINT)
    found: list[Any] = []
    for path in files:
        shown = str(PurePath(name) / path.name)
        document = read_document(read_input(shown, cwd=runtime.cwd, stdin=runtime.stdin), name=shown)
        found += definitions_of(document)
    return found


def definitions_of(document: Any) -> list[Any]:
    """Return the actions and workflows in a document: one definition, an array of them, or a response of Port's API."""
    if isinstance(document, Mapping) and isinstance(document.get("workflows"), list):
        return definitions_in(document, "workflow")
    return definitions_in(document, "action")


def read_object(
    file: str | None, runtime: Runtime, read: Callable[[Any], _Read], *, secret: bool = False
) -> _Read | None:
    """Read the document in a file with `read`. Return None if there is no file. Raises UsageError and StoreError."""
    if file is None:
        return None
    content = read_input(file, cwd=runtime.cwd, stdin=runtime.stdin)
    name = input_name(file)
    with _named(name):
        return read(read_secrets_file(content, name=name) if secret else read_document(content, name=name))


def read_value(name: str, value: Any, read: Callable[[Any], _Read]) -> _Read:
    """Read a document that is not in a file with `read`. `name` is the start of its errors. Raises UsageError."""
    with _named(f"`{name}`"):
        return read(value)


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except BadDocument as error:
        raise SourceError(f"{name} {error}.", hint="Correct it.") from error


def _no_file(name: str, runtime: Runtime) -> str:
    """Return a clause about a name that isn't a file. A directory must be written as a path."""
    return f"{name} is not a file" if os.path.lexists(runtime.cwd / name) else f"No file {name} here"


def _is_directory(name: str, runtime: Runtime) -> bool:
    return bool(name) and is_directory(runtime.cwd / name)


def _is_path(name: str) -> bool:
    return "/" in name or os.sep in name or name in {".", ".."}


async def _ask_port(source: ActionLocation, access: PortAccess, runtime: Runtime) -> Mapping[str, Any]:
    """Return the definition in Port. Errors start with why port-hook asks Port."""
    try:
        return await _get(source, access)
    except MissingCredentialsError as problem:
        hint = f"To use {source.name} in Port, run `port-hook login`."
        if source.name.isdecimal():
            hint = f"Pass a target with --to: `--to {source.name}`."
        if _is_directory(source.name, runtime):
            hint = f"Write {source.name}/ for the directory. {hint}"
        message = " ".join((f"{_no_file(source.name, runtime)}.", *access.settings.gaps))
        raise SettingsError(message, hint=hint) from problem
    except PortHookError as problem:
        problem.message = f"{_no_file(source.name, runtime)}, so port-hook asked Port. {problem.message}"
        raise


async def _get(source: ActionLocation, access: PortAccess) -> Mapping[str, Any]:
    """Return the action, automation or workflow with an identifier in Port.

    An identifier with a node selects a workflow.
    """
    from port_hook_cli.trigger.port_workflows import PortWorkflows

    async with access.client() as api:
        workflows = PortWorkflows(api)
        if source.identifier is not None:
            return await workflows.get(source.name)
        try:
            return await api.get_action(source.name)
        except PortApiError as no_action:
            if no_action.status != HTTPStatus.NOT_FOUND:
                raise
            try:
                return await workflows.get(source.name)
            except PortApiError as problem:
                if problem.status != HTTPStatus.NOT_FOUND:
                    raise
                raise PortApiError(
                    f"Port has no action, automation or workflow {source.name}.", hint=no_action.hint
                ) from problem


async def find_in_port(found: FoundWorkflow, access: PortAccess) -> FoundWorkflow:
    """Return the definition of a workflow that Port is to run.

    Raises PortApiError if Port does not have the workflow.
    """
    if found.is_in_port:
        return found
    from port_hook_cli.trigger.port_workflows import PortWorkflows

    identifier = found.workflow.identifier
    async with access.client() as api:
        document = await PortWorkflows(api).get(identifier, hint=_NOT_IN_PORT)
    try:
        return FoundWorkflow(read_workflow(document), found.node, is_in_port=True, version=_version(document))
    except BadWorkflow as error:
        raise SourceError(f"The workflow {identifier} in Port {error}.", hint=_HINT) from error


def _version(document: Any) -> int | None:
    found = unwrapped(document, "workflow")
    version = found.get("version") if isinstance(found, Mapping) else None
    return version if isinstance(version, int) else None
