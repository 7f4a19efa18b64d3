"""Runs a workflow again from a node of an earlier run in Port, like `trigger --from`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from port_hook_cli.errors import SettingsError, StoreError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.inspector.reading import CaptureReader
from port_hook_cli.inspector.records import message
from port_hook_cli.inspector.sending import named_target, sender
from port_hook_cli.inspector.setup import InspectorSetup
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.payload import is_workflow_run_id, unsent
from port_hook_cli.invocations.targets import is_on_this_machine, request_target
from port_hook_cli.javascript.values import write_json
from port_hook_cli.signatures.signing import Signer
from port_hook_cli.text.remark import Remark, say_nothing
from port_hook_cli.text.secret import Masker

if TYPE_CHECKING:
    from port_hook_cli.replay.rewriting import SentReplay
    from port_hook_cli.trigger.action_files import FoundWorkflow
    from port_hook_cli.trigger.retry import Retry
    from port_hook_cli.trigger.workflow import WorkflowEvent
    from port_hook_cli.trigger.workflow_start import WorkflowStart
    from port_hook_cli.workflows.shown_run import ShownRun
    from port_hook_cli.workflows.walk import Step

_MAX_OUTPUT = 8_000
_NOTHING_SIGNS = "The inspector has no client secret to sign with."
_SET_IT = "Set PORT_CLIENT_SECRET and start the inspector again."


@frozen(kw_only=True)
class RetryWanted:
    """A workflow run, and the node from which to run the workflow again.

    Requests go to `to`, which is a port or URL on this machine, or to the replay target of the capture `like`.
    """

    run_id: str
    node: str
    to: str | None = None
    like: str | None = None


@frozen
class _Ready:
    retry: Retry
    start: WorkflowStart
    source: str
    to: str | None


class WorkflowRetries:
    """Runs workflows again from a node. Requests to the replay target become captures."""

    def __init__(self, setup: InspectorSetup, captures: CaptureReader) -> None:
        self._setup = setup
        self._captures = captures

    async def plan(self, wanted: RetryWanted, own_ports: frozenset[int]) -> dict[str, Any]:
        """Return which nodes have acted in the run, which nodes run again, and where requests go.

        This method doesn't send anything. Raises UsageError, SettingsError and PortApiError if the workflow cannot run
        from the node.
        """
        return message(_plan_fields(await self._prepare(wanted, own_ports)))

    async def run(self, wanted: RetryWanted, own_ports: frozenset[int]) -> dict[str, Any]:
        """Run the workflow from the node until it ends or waits, and return the steps of the new run.

        Raises PortHookError.
        """
        from port_hook_cli.trigger.action import RunTarget
        from port_hook_cli.trigger.open_invoker import invoking
        from port_hook_cli.trigger.workflow import walk_workflow
        from port_hook_cli.trigger.workflow_effects import Outside
        from port_hook_cli.workflows.shown_run import show_run

        ready, setup = await self._prepare(wanted, own_ports), self._setup
        secret = setup.secret
        if secret is None:
            raise SettingsError(_NOTHING_SIGNS, hint=_SET_IT)
        if ready.to is None:
            raise UsageError("The requests have no target.", hint="Enter your handler's port or URL in To.")
        recipient = _Recorder(sender(setup.target, wanted.to))
        events = _Events(ready.start, recipient)
        outside = Outside(
            runtime=setup.runtime,
            access=setup.access,
            recipient=recipient,
            signer=lambda: Signer(secret),
            target=RunTarget(to=ready.to),
            asks_sandbox=True,
        )
        with invoking(lambda: secret) as invoker:
            run = show_run(await walk_workflow(ready.start, outside, invoker, events.add))
        current = None if run.has_ended else run.current
        return message(
            {
                **_plan_fields(ready),
                "run": {"id": run.id, "status": run.status, "result": run.result},
                "in_progress": None if current is None else current.node,
                "steps": events.steps,
                "notes": events.notes,
            }
        )

    async def _prepare(self, wanted: RetryWanted, own_ports: frozenset[int]) -> _Ready:
        from port_hook_cli.trigger.retry import earlier_outputs, plan_retry, reject_missing_outputs, require_start
        from port_hook_cli.trigger.workflow_start import WorkflowStart

        if self._setup.secret is None:
            raise SettingsError(_NOTHING_SIGNS, hint=_SET_IT)
        if not is_workflow_run_id(wanted.run_id):
            raise UsageError(f"{wanted.run_id[:80]} is not a workflow run ID.", hint="Use an ID such as wfr_….")
        run = await self._run(wanted.run_id)
        found, node = await self._workflow(run), wanted.node
        workflow = found.workflow
        require_start(workflow, node)
        known = {name: output for name, output in run.outputs.items() if name in workflow.nodes}
        outputs = earlier_outputs(workflow, node, known)
        start = WorkflowStart(
            workflow=workflow, node=node, data=self._setup.actions.run_data({}), outputs=outputs, continues=True
        )
        reject_missing_outputs(workflow, start.running, {**start.stand_ins, **outputs}, origin=f"The run {run.id}")
        source = "Port" if found.is_in_port else "your files"
        return _Ready(plan_retry(workflow, node, run), start, source, await self._target(wanted, own_ports))

    async def _run(self, run_id: str) -> ShownRun:
        from port_hook_cli.trigger.port_workflows import PortWorkflows

        async with self._setup.access.client(retries=False) as api:
            return await PortWorkflows(api).run(run_id)

    async def _workflow(self, run: ShownRun) -> FoundWorkflow:
        """Return the definition of a run's workflow, from the files in --actions or from Port."""
        from port_hook_cli.trigger.action_files import ActionLocation, FoundWorkflow, find_action

        if not run.workflow:
            raise UsageError(
                f"Port does not return the workflow of the run {run.id}.",
                hint="Use `port-hook trigger WORKFLOW --from NODE` with the workflow's file.",
            )
        setup = self._setup
        for path in map(str, setup.actions.paths):
            try:
                found: Any = await find_action(
                    ActionLocation(path, path, run.workflow), setup.access, setup.runtime, say_nothing
                )
            except (UsageError, StoreError):  # the file has other definitions, or is faulty
                continue
            if isinstance(found, FoundWorkflow) and found.workflow.identifier == run.workflow:
                return replace(found, node=None)
        return await self._workflow_in_port(run.workflow)

    async def _workflow_in_port(self, identifier: str) -> FoundWorkflow:
        from port_hook_cli.trigger.action_files import FoundWorkflow
        from port_hook_cli.trigger.port_workflows import PortWorkflows
        from port_hook_cli.workflows.workflow import BadWorkflow, read_workflow

        async with self._setup.access.client(retries=False) as api:
            hint = "Start the inspector with --actions and the workflow's file."
            document = await PortWorkflows(api).get(identifier, hint=hint)
        try:
            return FoundWorkflow(read_workflow(document), None, is_in_port=True)
        except BadWorkflow as error:
            raise UsageError(f"The workflow {identifier} in Port {error}.", hint="Correct it in Port.") from error

    async def _target(self, wanted: RetryWanted, own_ports: frozenset[int]) -> str | None:
        """Return the target URL of the requests, or None. Raises UsageError."""
        url = named_target(wanted.to) if wanted.to else await self._default_target(wanted.like)
        if url is None:
            return None
        if not is_on_this_machine(url):
            raise UsageError("The inspector sends only to this machine.", hint="Use `port-hook trigger --from --to`.")
        parts = urlsplit(url)
        if parts.port in own_ports:
            raise UsageError(f"{url[:200]} is the inspector itself.", hint="Use your handler's port.")
        return url if wanted.to else f"{parts.scheme}://{parts.netloc}"

    async def _default_target(self, like: str | None) -> str | None:
        return self._setup.target.default_url(await self._captures.get(like) if like else _NO_CAPTURE)


class _Recorder:
    """Sends requests to a target, and records the ID of the capture of the latest request."""

    def __init__(self, send: Callable[[Invocation, str], Awaitable[SentReplay]]) -> None:
        self._send = send
        self.capture: str | None = None

    async def send(self, invocation: Invocation, url: str, /) -> Delivery:
        """Send a request and return its delivery. Save the request if possible."""
        # A listener reads the path of the request, not the URL.
        request = replace(invocation, target=request_target(url).decode("latin-1"))
        sent = await self._send(request, url)
        self.capture = sent.kept.capture or None
        return sent.delivery


class _Events:
    """The steps of a run with their captures, and the notes about it. Secrets are masked."""

    def __init__(self, start: WorkflowStart, recipient: _Recorder) -> None:
        self._masker = start.masker
        self._recipient = recipient
        self._steps: dict[str, dict[str, Any]] = {}
        self.notes: list[str] = []

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps, one for each node that ran."""
        return list(self._steps.values())

    def add(self, event: WorkflowEvent) -> None:
        """Record a step. An asynchronous node has two steps, and only the first step has a response."""
        from port_hook_cli.trigger.workflow import Begun

        if isinstance(event, Remark):
            self.notes.append(event.text)
        elif not isinstance(event, Begun) and not event.is_begun:
            capture = self._recipient.capture if event.delivery is not None else None
            new, node_run = _step_record(event, self._masker, capture), event.node_run.id
            old = self._steps.get(node_run, {})
            self._steps[node_run] = {name: old.get(name) if value is None else value for name, value in new.items()}


def _step_record(step: Step, masker: Masker, capture: str | None) -> dict[str, Any]:
    from port_hook_cli.trigger.records import step_record

    record = step_record(step, masker)
    failed = [f"{each['expression']} became null: {each['message']}" for each in record["errors"]]
    return {
        **{name: record[name] for name in ("node", "node_type", "node_run_id", "status", "result", "outlet")},
        "output": write_json(record["output"])[:_MAX_OUTPUT] if record["output"] else None,
        "delivery": record["delivery"],
        "capture": capture,
        "remarks": [*record["remarks"], *failed],
    }


def _plan_fields(ready: _Ready) -> dict[str, Any]:
    from port_hook_cli.trigger.records import retry_record

    record = retry_record(ready.retry)
    return {
        **{name: record[name] for name in ("workflow", "from", "last_run_id", "not_run_again", "run_again")},
        "source": ready.source,
        "to": ready.to,
    }


_NO_CAPTURE = unsent(Invocation(id="", received_at=0, method="POST", target="/", headers=Headers(), body=b""))
