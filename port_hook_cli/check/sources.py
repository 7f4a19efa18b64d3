"""The source of the request under check: a capture, a payload, an action, or a node of a workflow."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from port_hook_cli.actions.action import PortAction, read_action, unwrapped
from port_hook_cli.actions.sample_inputs import sample_inputs
from port_hook_cli.actions.samples import NON_ASCII_USER, create_vm_action
from port_hook_cli.captures.latest import parse_latest
from port_hook_cli.check.subject import CheckSubject, subject_of, written
from port_hook_cli.errors import SourceError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Invocation, Status
from port_hook_cli.invocations.payload import is_run_id
from port_hook_cli.invocations.targets import is_on_this_machine, path_and_query
from port_hook_cli.javascript.stringify import NotJson
from port_hook_cli.replay.rewriting import CONTRADICTION, Rewriter
from port_hook_cli.replay.store import source_of
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.signatures.signing import Signer
from port_hook_cli.text.remark import Say, note
from port_hook_cli.text.safe import brief
from port_hook_cli.text.secret import NO_SECRETS, Masker, Secret, masked_errors
from port_hook_cli.trigger.action import RunTarget, Unmet, make
from port_hook_cli.trigger.run_data import SAMPLE_STARTER, RunData

if TYPE_CHECKING:
    from port_hook_cli.actions.request import RenderedRequest
    from port_hook_cli.captures.store.finder import Finder, FoundRequest
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.runtime import Runtime
    from port_hook_cli.trigger.action_files import FoundWorkflow
    from port_hook_cli.trigger.invoker import Invoker
    from port_hook_cli.workflows.walk import Step

SubjectName: TypeAlias = str | Mapping[str, Any] | bytes
"""The request under check: a name, an action or a payload as a mapping, or the bytes of a payload."""

_ANSWERED = 202
_KINDS = "Use an HTTP capture, a payload, an action that Port invokes over HTTP, or FILE#NODE of a workflow."
_ID = frozenset("0123456789abcdef")
_LEAST_ID = 4
_MOST_LOOKED_AT = 100


class FoundSubject(NamedTuple):
    """The request under check, and the ID of the capture from which it was made, or None.

    `masker` masks the secrets that the request may contain.
    """

    subject: CheckSubject
    original: str | None = None
    masker: Masker = NO_SECRETS


@frozen(kw_only=True)
class SubjectSource:
    """Finds the request under check.

    `run_data` returns the run data for an action, or for a workflow's form as an action. `outputs` are the outputs of a
    workflow's other nodes. With `uses_last_outputs`, they come from the workflow's latest run instead. Without
    `reads_definitions`, a name can mean only a capture or a payload. `accepts` raises UsageError for a capture or a
    payload that must not be signed. `invoker` creates requests. Without `invoker`, an invoker is opened.
    """

    finder: Finder
    access: PortAccess
    runtime: Runtime
    say: Say
    target: RunTarget
    run_data: Callable[[PortAction], RunData] = lambda _: RunData()
    outputs: Mapping[str, Mapping[str, Any]] | None = None
    uses_last_outputs: bool = False
    reads_definitions: bool = True
    accepts: Callable[[FoundRequest], None] = lambda _: None
    invoker: Invoker | None = None

    async def find(self, name: SubjectName | None, secret: Callable[[], Secret]) -> FoundSubject:
        """Return the request that `name` means. If `name` is None, use the latest valid capture or a sample action.

        A mapping is an action or a payload, and bytes are a payload. `secret` is called if an input is encrypted with
        the client secret. Raises UsageError, StoreError, SettingsError, RenderError and PortApiError.
        """
        if isinstance(name, str):
            return await self._named(name, secret)
        if isinstance(name, bytes):
            return self.of_payload(name)
        if name is not None:
            return await self._of_mapping(name, secret)
        latest = self._latest_valid()
        if latest is not None:
            return latest
        if self.target.to is None and not self.target.to_its_url and self.target.handler(None) is None:
            raise _no_handler()
        self.say(
            note("the store has no HTTP request with a valid signature, so the check uses the sample action create_vm")
        )
        return await self.of_action(create_vm_action(), secret)

    def run_data_of(self, form: PortAction) -> RunData:
        """Return the run data for a form. Without a given user, the user's name is not ASCII."""
        data = self.run_data(form)
        return replace(data, by={**data.by, "user": NON_ASCII_USER}) if data.by == SAMPLE_STARTER else data

    async def _named(self, name: str, secret: Callable[[], Secret]) -> FoundSubject:
        is_definition = self.reads_definitions and not _names_a_capture(name)
        if is_definition and (definition := await self._definition(name)) is not None:
            if isinstance(definition, PortAction):
                return await self._of_action(definition, secret)
            return await self.of_node(definition, secret)
        return self.of_request(await self.finder.find_or_get(name, self.access))

    async def _definition(self, name: str) -> PortAction | FoundWorkflow | None:
        """Return the action or workflow that `name` means, or None if the file contains something else."""
        from port_hook_cli.trigger.action_files import find_action, locate

        located = locate(name, self.runtime)
        try:
            return await find_action(located, self.access, self.runtime, self.say)
        except UsageError:
            if "#" in name or located.file is None:
                raise
            return None

    async def of_action(self, document: Mapping[str, Any], secret: Callable[[], Secret]) -> FoundSubject:
        """Return the request of an action that is not in a file."""
        return await self._of_action(read_action(document), secret, document)

    def of_payload(self, body: bytes) -> FoundSubject:
        """Return the request with this body. Raises UsageError if there is no target."""
        from port_hook_cli.captures.store.finder import FoundRequest

        return self.of_request(FoundRequest("the payload", body))

    async def _of_mapping(self, document: Mapping[str, Any], secret: Callable[[], Secret]) -> FoundSubject:
        action = unwrapped(document, "action")
        if isinstance(action, Mapping) and "invocationMethod" in action:
            return await self.of_action(action, secret)
        try:
            return self.of_payload(written(document))
        except NotJson as problem:
            raise UsageError(f"The payload is not JSON: {brief(problem.fault)}.") from problem

    def _latest_valid(self) -> FoundSubject | None:
        from port_hook_cli.captures.store.statements import StoreFilter

        if not self.finder.has_store_file():
            return None
        wanted = StoreFilter(status=Status.VALID, originals=True)
        captures = self.finder.store().select(wanted, limit=_MOST_LOOKED_AT)
        latest = next((each for each in captures if not each.is_message), None)
        if latest is None:
            return None
        self.say(note(f"the check uses the latest capture with a valid signature, {latest.invocation.id}"))
        return self.of_request(self.finder.find(latest.invocation.id))

    def of_request(self, found: FoundRequest) -> FoundSubject:
        """Return a captured request or a payload as a request to the target.

        Raises UsageError for a Kafka message or a missing target, and StoreError for an incomplete body.
        """
        self.accepts(found)
        source = source_of(found)
        if source.is_message:
            raise SourceError(f"{source.shown} is a Kafka message, but a check sends HTTP requests.", hint=_KINDS)
        # The file of a capture may come from someone else, who must not choose what gets a check's requests.
        to = self.target.to or self.target.handler(source.forwarded_to if found.is_stored else None)
        if to is None:
            raise _no_handler()
        signer = Signer(Secret("unused"))  # this only prepares the body and headers for a later signature
        ready = Rewriter(signer=signer, now=self.runtime.now, new_id=self.runtime.new_id).prepare(source, to)
        for each in ready.notes:
            if each.about != CONTRADICTION:  # the note is about the unused secret
                self.say(note(each.text))
        subject = subject_of(found.shown, replace(ready.draft, replay_of=None, origin=None), ready.url)
        return FoundSubject(subject, found.capture.invocation.id if found.is_stored else None)

    async def _of_action(
        self, action: PortAction, secret: Callable[[], Secret], document: Mapping[str, Any] | None = None
    ) -> FoundSubject:
        if action.is_message:
            raise SourceError(
                f"Port invokes the action {action.identifier} over Kafka, but a check sends HTTP requests.", hint=_KINDS
            )
        data = self.run_data_of(action)
        data = replace(
            data,
            properties=_completed(action, data),
            entity=data.entity or _sample_entity(action),
        )
        any_url = self.target.takes_any_url(action.identifier)
        with self._invoking(secret) as invoker:
            made = await make(
                action, data, invoker, run_id=make_run_id(secrets.choice), now=self.runtime.now(), any_url=any_url
            )
        if isinstance(made, Unmet):
            raise UsageError(
                f"The event does not meet the condition of {action.identifier}, so Port would not send a request.",
                hint="Pass another event with --with event=FILE.",
            )
        for each in made.remarks:
            self.say(each)
        with masked_errors(made.masker):
            # `reject_other_machine` rejects URLs on other machines later.
            url = replace(self.target, is_lenient=True).url_for(action.identifier, made.request.url)
        return FoundSubject(_rendered(action.identifier, made.request, url, document), masker=made.masker)

    async def of_node(self, found: FoundWorkflow, secret: Callable[[], Secret]) -> FoundSubject:
        """Return the request of a workflow node. Raises UsageError for a node that does not send a request."""
        with self._invoking(secret) as invoker:
            step, masker = await _NodeRequest(self, found).step(invoker)
        assert step.request is not None
        if found.node is not None and step.node.identifier != found.node:
            what = f"{brief(found.node)} does not send a request, so the check uses {brief(step.node.identifier)}"
            self.say(note(f"{what}, the next node with a request"))
        subject = _rendered(step.node.identifier, step.request, step.url or step.request.url, None)
        return FoundSubject(subject, masker=masker)

    def _invoking(self, secret: Callable[[], Secret]) -> AbstractContextManager[Invoker]:
        from port_hook_cli.trigger.open_invoker import invoking

        return invoking(secret) if self.invoker is None else nullcontext(self.invoker)


class _NodeRequest:
    """Creates the request of one node, by running the node with a recipient that does not send requests."""

    def __init__(self, source: SubjectSource, found: FoundWorkflow) -> None:
        self._source, self._found = source, found
        self._step: Step | None = None
        self._problem = ""

    async def step(self, invoker: Invoker) -> tuple[Step, Masker]:
        """Return the step in which the node's request is sent, and the masker of the secrets in the request.

        Raises UsageError for a node without a request.
        """
        from port_hook_cli.trigger.outputs import last_outputs
        from port_hook_cli.trigger.workflow import walk_workflow
        from port_hook_cli.trigger.workflow_effects import Outside
        from port_hook_cli.trigger.workflow_start import WorkflowStart, form_of_workflow

        source, found = self._source, self._found
        node = found.node or _only_webhook(found)
        form = form_of_workflow(found.workflow, node)
        data = source.run_data_of(form)
        data = replace(data, properties=_completed(form, data))
        outputs = source.outputs or {}
        if source.uses_last_outputs:
            outputs = (await last_outputs(found.workflow, source.access, source.say)).outputs
        start = WorkflowStart(workflow=found.workflow, node=node, data=data, outputs=outputs)
        outside = Outside(
            runtime=source.runtime,
            access=source.access,
            recipient=self,
            signer=lambda: None,
            target=replace(source.target, is_lenient=True),  # nothing is sent
        )
        await walk_workflow(start, outside, invoker, self._keep)
        if self._step is None:
            problem = start.masker.message(self._problem) or f"The node {node} does not send requests."
            raise UsageError(problem, hint="Use a WEBHOOK node whose templates render: FILE#NODE.")
        return self._step, start.masker

    async def send(self, invocation: Invocation, url: str) -> Delivery:  # noqa: ARG002
        """Accept a request without sending it."""
        return Delivery(url=url, status=_ANSWERED)

    def _keep(self, event: object) -> None:
        from port_hook_cli.workflows.walk import Step

        if not isinstance(event, Step):
            return
        if event.request is not None and event.is_begun:
            self._step = event
        elif event.node.type == "WEBHOOK" and isinstance(error := event.node_run.output.get("error"), Mapping):
            self._problem = str(error.get("message", ""))


class NoHandler(UsageError):
    """No handler on this machine is known for the request."""


def _no_handler() -> NoHandler:
    hint = "Pass --to 8000, or write `handler = 8000` in port-hook.toml."
    return NoHandler("The handler to check is unknown.", hint=hint)


def _only_webhook(found: FoundWorkflow) -> str:
    """Return the only WEBHOOK node of a workflow. Raises UsageError if there is none, or more than one."""
    nodes = [node.identifier for node in found.workflow.nodes.values() if node.type == "WEBHOOK"]
    if len(nodes) == 1:
        return nodes[0]
    listed = ", ".join(nodes) or "none"
    hint = "Pass the node: FILE#NODE." if nodes else "Use a workflow with a WEBHOOK node."
    raise UsageError(
        f"A check sends the request of one node, but the WEBHOOK nodes of {found.workflow.identifier} are: {listed}.",
        hint=hint,
    )


def _rendered(name: str, request: RenderedRequest, url: str, document: Mapping[str, Any] | None) -> CheckSubject:
    named = any(field.lower() == "content-type" for field, _ in request.headers)
    fields = request.headers if named else (("content-type", "application/json"), *request.headers)
    invocation = Invocation(
        id="",
        received_at=0.0,
        method=request.method,
        target=path_and_query(url),
        headers=Headers(fields),
        body=request.content,
    )
    return CheckSubject(
        name=name,
        request=invocation,
        url=url,
        run_id=request.run_id,
        synchronized=request.synchronized,
        via_agent=request.agent,
        definition=document,
    )


def _completed(form: PortAction, data: RunData) -> Mapping[str, Any]:
    """Return the inputs of a run, with sample values in place of missing inputs."""
    from port_hook_cli.engines.json_schema import find_faults

    made_up = sample_inputs(form.inputs or {}, form.required, data.properties, check=find_faults)
    return {**made_up, **data.properties}


def _sample_entity(action: PortAction) -> Mapping[str, Any] | None:
    """Return a sample entity if the action runs on an entity, otherwise None."""
    if action.operation in {None, "CREATE"}:
        return None
    return {
        "identifier": "sample",
        "title": "Sample",
        "blueprint": action.blueprint,
        "properties": {},
        "relations": {},
    }


def _names_a_capture(name: str) -> bool:
    """Return whether a name can mean only a capture, a run or stdin, not a file with a definition."""
    is_id = len(name) >= _LEAST_ID and set(name) <= _ID
    return name == "-" or parse_latest(name) is not None or is_run_id(name) or is_id


def reject_other_machine(subject: CheckSubject, *, may_leave: bool) -> None:
    """Raise UsageError for a handler on another machine, unless `may_leave` is set."""
    if not may_leave and not is_on_this_machine(subject.url):
        raise NoHandler(
            f"{subject.url} is not on this machine, and a check starts real work.",
            hint="Pass a handler on this machine with --to. To check the action's own URL, pass --to-its-url.",
        )
