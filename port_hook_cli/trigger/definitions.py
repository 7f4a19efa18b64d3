"""Lists the actions, automations, workflows and workflow nodes in files that `trigger` can invoke."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from port_hook_cli.actions.action import (
    INTEGRATION_ACTION,
    KAFKA,
    WEBHOOK,
    BadAction,
    PortAction,
    converted,
    is_version1,
    read_action,
)
from port_hook_cli.errors import StoreError, UsageError
from port_hook_cli.files.documents import read_document
from port_hook_cli.files.user_files import documents_in, is_directory, is_file, read_input
from port_hook_cli.frozen import frozen
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.safe import input_name
from port_hook_cli.trigger.action_files import definitions_of
from port_hook_cli.trigger.records import TRIGGER
from port_hook_cli.workflows.port_rules import read_new_workflow
from port_hook_cli.workflows.workflow import BadWorkflow, Node, NodeType, Workflow, is_workflow

DEFAULT_DIRECTORIES = (".", "actions", "workflows")
_NODES = frozenset({NodeType.WEBHOOK, NodeType.KAFKA})


@frozen(kw_only=True)
class Definition:
    """A definition that `trigger` can invoke.

    `argument` is the argument that selects it in `trigger`. `kind` is `action`, `automation`, `workflow` or
    `workflow-node`. `invoked_by` is the type of its invocation method or node, and "" for a whole workflow. `method`
    and `url` belong to a WEBHOOK. Templates in them are not rendered.
    """

    argument: str
    file: str
    identifier: str
    kind: str
    title: str = ""
    invoked_by: str = ""
    method: str = ""
    url: str = ""


@frozen
class Unlisted:
    """A definition that `trigger` cannot invoke.

    `reason` is a clause that follows the definition's name in a message.
    """

    name: str
    reason: str


def list_definitions(name: str | None, runtime: Runtime) -> Iterator[Definition | Unlisted]:
    """Yield the definitions that can be triggered in a file or a directory, ordered by file name.

    Without a `name`, this function reads the files of the current directory and of its directories `actions` and
    `workflows`, and skips other documents in these files. Raises UsageError and StoreError for a file or directory that
    cannot be read.
    """
    if name is None:
        for directory in DEFAULT_DIRECTORIES:
            if is_directory(runtime.cwd / directory):
                for file in _files_in(directory, runtime):
                    yield from _passing_over(file, runtime)
    elif is_directory(runtime.cwd / name):
        for file in _files_in(name, runtime):
            yield from _in_file(file, runtime)
    elif name == "-" or is_file(name, runtime.cwd):
        yield from _in_file(name, runtime)
    else:
        raise StoreError(
            f"File or directory not found: {name}.",
            hint="Pass a file or a directory with actions, automations or workflows.",
        )


def _files_in(directory: str, runtime: Runtime) -> list[str]:
    return [str(PurePath(directory) / path.name) for path in documents_in(runtime.cwd / directory)]


def _passing_over(file: str, runtime: Runtime) -> Iterator[Definition | Unlisted]:
    """Yield the definitions in a file. The file may be something else, such as a package.json."""
    try:
        document = read_document(read_input(file, cwd=runtime.cwd, stdin=runtime.stdin), name=file)
    except (StoreError, UsageError):
        return
    listed = [each for each in definitions_of(document) if is_workflow(each) or _is_action(each)]
    yield from _definitions(file, listed)


def _is_action(document: Any) -> bool:
    return isinstance(document, Mapping) and "invocationMethod" in document and "identifier" in document


def _in_file(file: str, runtime: Runtime) -> Iterator[Definition | Unlisted]:
    document = read_document(read_input(file, cwd=runtime.cwd, stdin=runtime.stdin), name=input_name(file))
    yield from _definitions(file, definitions_of(document))


def _definitions(file: str, listed: list[Any]) -> Iterator[Definition | Unlisted]:
    for each in listed:
        identifier = each.get("identifier") if isinstance(each, Mapping) else None
        name = f"{identifier} in {file}" if isinstance(identifier, str) and identifier else file
        try:
            if is_workflow(each):
                yield from _workflow(file, read_new_workflow(each), is_alone=len(listed) == 1)
            else:
                document = converted(each) if is_version1(each) else each
                action = read_action(document, methods=(WEBHOOK, KAFKA, INTEGRATION_ACTION))
                yield _action(file, action, is_alone=len(listed) == 1)
        except (BadAction, BadWorkflow) as problem:
            yield Unlisted(name, str(problem))


def _action(file: str, action: PortAction, *, is_alone: bool) -> Definition:
    kind, config = str(action.method.get("type")), action.method
    return Definition(
        argument=file if is_alone else f"{file}#{action.identifier}",
        file=file,
        identifier=action.identifier,
        kind="automation" if action.kind == "automation" else "action",
        title=action.title or "",
        invoked_by=kind,
        **_request(kind, config),
    )


def _workflow(file: str, workflow: Workflow, *, is_alone: bool) -> Iterator[Definition]:
    argument = file if is_alone else f"{file}#{workflow.identifier}"
    yield Definition(
        argument=argument, file=file, identifier=workflow.identifier, kind="workflow", title=workflow.title
    )
    for node in workflow.nodes.values():
        if node.type in _NODES:
            yield _node(file, argument, workflow, node)


def _node(file: str, argument: str, workflow: Workflow, node: Node) -> Definition:
    return Definition(
        argument=f"{argument}#{node.identifier}",
        file=file,
        identifier=f"{workflow.identifier}#{node.identifier}",
        kind="workflow-node",
        title=node.title,
        invoked_by=str(node.type),
        **_request(node.type, node.config),
    )


def _request(kind: str, config: Mapping[str, Any]) -> dict[str, str]:
    if kind != WEBHOOK:
        return {}
    method, url = config.get("method"), config.get("url")
    return {"method": method if isinstance(method, str) else "POST", "url": url if isinstance(url, str) else ""}


def definition_record(found: Definition, topic: str) -> dict[str, Any]:
    """Return the record of a definition that can be triggered.

    `topic` is the topic in which Port publishes messages of runs.
    """
    return {
        "schema": TRIGGER,
        "type": "definition",
        "argument": found.argument,
        "file": found.file,
        "identifier": found.identifier,
        "kind": found.kind,
        "title": found.title or None,
        "invoked_by": found.invoked_by or None,
        "method": found.method or None,
        "url": found.url or None,
        "topic": topic if found.invoked_by == KAFKA else None,
    }
