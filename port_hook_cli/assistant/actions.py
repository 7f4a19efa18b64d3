"""The tools that render templates and the requests of actions. The tool that sends a request needs `--allow-send`.

A tool reads only files in the current directory, and definitions in Port by their identifiers.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from port_hook_cli.actions.action import PortAction
from port_hook_cli.actions.jq_differences import template_differences
from port_hook_cli.actions.templates import rendering_record
from port_hook_cli.assistant.reading import as_in_node
from port_hook_cli.assistant.results import ToolOutput, without_signature
from port_hook_cli.assistant.sending import DEFAULT_TIMEOUT_S, TIMEOUT, TO, allowed_target
from port_hook_cli.assistant.tool import (
    UNTRUSTED,
    Arguments,
    Schema,
    Workspace,
    a_flag,
    a_text,
    an_object,
    tool,
)
from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.errors import UsageError
from port_hook_cli.files.user_files import DOCUMENT_SUFFIXES, documents_in
from port_hook_cli.http.client import HttpClient
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import ALL_NEEDS, ONLY_THE_SECRET
from port_hook_cli.runs.fate import RunFate
from port_hook_cli.runs.ids import check_run_id, make_run_id
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import Signer
from port_hook_cli.text.remark import Remark, note
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.secret import Masker, masked_errors
from port_hook_cli.trigger.action import Made, RunTarget, Unmet, address, dispatch, make, require_event
from port_hook_cli.trigger.action_files import FoundWorkflow, find_action, locate, read_value
from port_hook_cli.trigger.invoker import Invoker
from port_hook_cli.trigger.open_invoker import invoking
from port_hook_cli.trigger.records import (
    invocation_record,
    message_record,
    step_record,
    unmet_record,
    workflow_run_record,
)
from port_hook_cli.trigger.remarks import action_differences, action_remarks, failed_expressions
from port_hook_cli.trigger.run_data import RunData, default_starter, read_entity, read_event, read_inputs
from port_hook_cli.trigger.sandbox_run import ended_in_sandbox
from port_hook_cli.trigger.workflow import WorkflowEvent, walk_workflow
from port_hook_cli.trigger.workflow_effects import Outside
from port_hook_cli.trigger.workflow_start import NotTriggered, WorkflowStart, form_of_workflow
from port_hook_cli.workflows.shown_run import show_run
from port_hook_cli.workflows.walk import Step

Record = dict[str, Any]
_RENDER_TIMEOUT_S = 5.0

_ACTION_INPUTS: Mapping[str, Schema] = {
    "inputs": an_object("The inputs by name."),
    "entity": an_object("The entity for the action."),
    "event": an_object("The event for an automation."),
    "run_id": a_text("The run ID. Default: a new ID.", minLength=1),
    "strict": a_flag("Fail if a jq expression fails, instead of using null."),
}


@tool(
    title="Render a template",
    description="Render an action's template with jq, like Port and `render`. A failed expression "
    "becomes null and is listed in `errors`.",
    parameters={
        "template": {"description": "The template: any JSON value. Expressions are in {{ }}."},
        "data": {"description": "The JSON input of the expressions.", "default": None},
        "strict": a_flag("Fail if an expression fails, instead of using null."),
    },
    required=("template",),
)
async def render_template(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Render a template with data, like `render`."""
    template, data = (as_in_node(f"`{name}`", arguments.get(name)) for name in ("template", "data"))
    with Renderer(timeout_s=_RENDER_TIMEOUT_S) as renderer:
        rendering = await renderer.arender_and_tell(template, data, strict=arguments.get("strict", False))
    for difference in template_differences(template):
        workspace.say(note(printable(difference.message)))
    return ToolOutput(rendering_record(rendering))


@tool(
    title="Render the request of an action",
    description="Show Port's request for an action or automation in a file, without a "
    "signature, like `trigger --dry-run`. Doesn't send anything.",
    parameters={
        "action": a_text("A JSON or YAML file in the current directory, FILE#ID or DIRECTORY#ID.", minLength=1),
        **_ACTION_INPUTS,
    },
    required=("action",),
)
async def render_action(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Create the request of an action in a file, like `trigger --dry-run`, without a signature."""
    require_file(arguments["action"], workspace)
    call = _ActionCall(arguments, workspace)
    return ToolOutput([await call.render()])


@tool(
    title="Trigger an action or workflow",
    description="Invoke an action, automation or workflow like Port: check, render, sign, and send it to a "
    f"handler on this machine, like `trigger`. {UNTRUSTED}",
    parameters={
        "action": a_text(
            "A JSON or YAML file in the current directory, FILE#ID, DIRECTORY#ID, or an identifier in Port. "
            "WORKFLOW#NODE runs one node.",
            minLength=1,
        ),
        "to": a_text(f"{TO}, or the action's own URL if it is on this machine.", minLength=1),
        **_ACTION_INPUTS,
        "timeout_s": TIMEOUT,
    },
    required=("action",),
    sends=True,
)
async def trigger_action(arguments: Arguments, workspace: Workspace) -> ToolOutput:
    """Invoke an action, an automation or a workflow, like `trigger`."""
    refuse_other_files(arguments["action"], workspace.runtime)
    call = _ActionCall(arguments, workspace)
    target = RunTarget(to=allowed_target(arguments.get("to"), workspace))
    return ToolOutput([_without_signature(record) for record in await call.trigger(target)])


def _without_signature(record: Record) -> Record:
    headers = record.get("headers")
    return {**record, "headers": dict(without_signature(headers.items()))} if isinstance(headers, dict) else record


class _ActionCall:
    """One call of a tool for the request of an action."""

    def __init__(self, arguments: Arguments, workspace: Workspace) -> None:
        self._arguments = arguments
        self._runtime = workspace.runtime
        self._say = workspace.say
        self._source = locate(arguments["action"], workspace.runtime)
        self._access: PortAccess = workspace.access(ALL_NEEDS if self._source.file is None else ONLY_THE_SECRET)
        self._strict: bool = arguments.get("strict", False)

    async def render(self) -> Record:
        """Return the record of the request, without sending the request."""
        action = await self._find()
        if isinstance(action, FoundWorkflow):
            raise UsageError(
                f"`render_action` is for actions, but {self._arguments['action']} is a workflow.",
                hint="Pass an action or automation.",
            )
        data = self._data(action)
        with masked_errors(Masker(data.secret_values(action))), self._invoking() as invoker:
            self._tell_of(action, data)
            if action.is_message:
                return await self._message(action, data, invoker)
            made = await self._make(action, data, invoker, RunTarget())
            if isinstance(made, Unmet):
                return unmet_record(made)
            anywhere = RunTarget(to_its_url=True)  # only for display
            now, new_id = self._runtime.now(), self._runtime.new_id()
            return invocation_record(address(made, anywhere, lambda: None, id=new_id, now=now))

    async def trigger(self, target: RunTarget) -> list[Record]:
        """Send the request of an action, or run a workflow, and return the records."""
        found = await self._find()
        async with HttpClient(timeout_s=self._arguments.get("timeout_s", DEFAULT_TIMEOUT_S)) as client:
            if isinstance(found, FoundWorkflow):
                return await self._walk(found, target, client)
            return [await self._send(found, target, client)]

    async def _send(self, action: PortAction, target: RunTarget, client: HttpClient) -> Record:
        data = self._data(action)
        with masked_errors(Masker(data.secret_values(action))), self._invoking() as invoker:
            self._tell_of(action, data)
            if action.is_message:
                raise UsageError(
                    f"The action {action.identifier} uses Kafka: Port publishes a message instead of sending a "
                    "request.",
                    hint="`render_action` shows the message. `port-hook trigger --to kafka://HOST:PORT` publishes it.",
                )
            made = await self._make(action, data, invoker, target)
            if isinstance(made, Unmet):
                return unmet_record(made)
            now, new_id = self._runtime.now(), self._runtime.new_id()
            ready = address(made, target, self._signer, id=new_id, now=now)
            delivery = await dispatch(ready, client, self._access.announce)
            asks = made.is_announced and ready.fate(delivery) is RunFate.WAITS
            ended = await ended_in_sandbox(self._access, made.request.run_id) if asks else None
            return invocation_record(ready, delivery, ended=ended)

    async def _walk(self, found: FoundWorkflow, target: RunTarget, client: HttpClient) -> list[Record]:
        if found.is_in_port:
            self._say(found.remark)
        data = self._data(form_of_workflow(found.workflow, found.node))
        start = WorkflowStart(workflow=found.workflow, node=found.node, data=data)
        outside = Outside(
            runtime=self._runtime,
            access=self._access,
            recipient=client,
            signer=self._signer,
            target=target,
            asks_sandbox=True,
        )
        records = list[Record]()

        def on_event(event: WorkflowEvent) -> None:
            if isinstance(event, Remark):
                self._say(event)
            elif isinstance(event, Step) and not event.is_begun:
                records.append(step_record(event, start.masker))

        with self._invoking() as invoker:
            try:
                run = await walk_workflow(start, outside, invoker, on_event, strict=self._strict)
            except NotTriggered as problem:
                return [unmet_record(problem.unmet)]
        return [*records, workflow_run_record(run.workflow, show_run(run))]

    async def _find(self) -> PortAction | FoundWorkflow:
        return await find_action(self._source, self._access, self._runtime, self._say)

    def _data(self, form: PortAction) -> RunData:
        """Return the run data that the arguments describe. Raises UsageError for any other document."""
        given = self._arguments
        event = read_value("event", given["event"], read_event) if "event" in given else None
        data = RunData(
            properties=read_value("inputs", given["inputs"], read_inputs) if "inputs" in given else {},
            by=default_starter(form, event),
            entity=read_value("entity", given["entity"], read_entity) if "entity" in given else None,
            event=event,
        )
        for value in data.secret_values(form):
            self._runtime.keep_secret(value)
        return data

    def _invoking(self) -> AbstractContextManager[Invoker]:
        return invoking(lambda: self._access.secret, strict=self._strict)

    def _signer(self) -> Signer:
        return Signer(self._access.secret)

    def _tell_of(self, action: PortAction, data: RunData) -> None:
        require_event(action, data)
        for remark in (*action_remarks(action, data), *action_differences(action)):
            self._say(remark)

    async def _make(self, action: PortAction, data: RunData, invoker: Invoker, target: RunTarget) -> Made | Unmet:
        made = await make(
            action, data, invoker, run_id=self._run_id(), now=self._runtime.now(), any_url=target.to is not None
        )
        for remark in () if isinstance(made, Unmet) else made.remarks:
            self._say(remark)
        return made

    async def _message(self, action: PortAction, data: RunData, invoker: Invoker) -> Record:
        from port_hook_cli.trigger.publishing import make_message

        now = self._runtime.now()
        made = await make_message(action, data, invoker, run_id=self._run_id(), now=now)
        if isinstance(made, Unmet):
            return unmet_record(made)
        for remark in failed_expressions(made.errors, made.masker):
            self._say(remark)
        return message_record(made.signed(None, now=now))

    def _run_id(self) -> str:
        given = self._arguments.get("run_id")
        return make_run_id(secrets.choice) if given is None else check_run_id(given)


def require_file(action: str, workspace: Workspace) -> None:
    """Raise UsageError unless `action` is a file or a directory that a tool may read."""
    if locate(action, workspace.runtime).file is None:
        raise UsageError(f"File not found: {brief(action)}.", hint="Pass the file of an action, FILE#ID or DIR#ID.")
    refuse_other_files(action, workspace.runtime)


def refuse_other_files(action: str, runtime: Runtime) -> None:
    """Raise UsageError for a file outside the current directory, and for a file that is neither JSON nor YAML.

    A deceived coding agent must not be able to read the user's other files.
    """
    file = locate(action, runtime).file
    if file is None:
        return
    path, folder = (runtime.cwd / file).resolve(), runtime.cwd.resolve()
    if file == "-" or not path.is_relative_to(folder) or not (path.is_dir() or _is_document(path)):
        raise UsageError(
            f"{brief(action)} is not a JSON or YAML file, or a directory, in {folder}.",
            hint="Tools read actions only in the directory where port-hook was started.",
        )
    if path.is_dir():
        _refuse_links(path, folder)


def _refuse_links(directory: Path, folder: Path) -> None:
    """Raise UsageError if a document in a directory is a link to a file that a tool may not read."""
    for file in documents_in(directory):
        target = file.resolve()
        if not (target.is_relative_to(folder) and _is_document(target)):
            raise UsageError(
                f"{brief(str(file))} is a link to a file that is not a JSON or YAML file in {folder}.",
                hint="Remove the link, or pass the file of the action.",
            )


def _is_document(path: Path) -> bool:
    return path.suffix.lower() in DOCUMENT_SUFFIXES
