"""The `port_hook` fixture, which invokes actions like Port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack

from port_hook_cli import api
from port_hook_cli.check.findings import CheckFinding, CheckReport
from port_hook_cli.check.sources import SubjectName
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.invocations.targets import path_and_query
from port_hook_cli.pytest_plugin.checks import (
    CheckOptions,
    CheckSource,
    SingleCheckOptions,
    examine,
    settle,
    subject_name,
)
from port_hook_cli.pytest_plugin.definitions import ActionSource, load_workflow, names_a_node
from port_hook_cli.pytest_plugin.requests import RunOptions, make_request, record, send, url_to
from port_hook_cli.pytest_plugin.runs import PortRequest, Run, WorkflowOutcome
from port_hook_cli.pytest_plugin.sandbox import PortSandbox, is_in_event_loop
from port_hook_cli.pytest_plugin.workflows import (
    WorkflowArguments,
    run_node,
    run_whole,
)
from port_hook_cli.pytest_plugin.world import at_the_test


class PortHook:
    """Invokes actions like Port: renders their templates, signs and sends requests, and records the outcomes.

    An action is a JSON or YAML file, `FILE#ID` for one of several actions in a file, a mapping, or the identifier of an
    action in the sandbox. `inputs` are the action's inputs by name. They are checked, completed and encrypted as in
    Port.
    """

    def __init__(self, sandbox: PortSandbox) -> None:
        self._sandbox = sandbox
        self._world = sandbox.world
        self._world.do(self._world.warm_up)

    def sign(
        self, payload: object, *, secret: str | None = None, timestamp: int | None = None
    ) -> tuple[dict[str, str], bytes]:
        """Return the headers and the body of the request that Port would send for `payload`.

        This method also adds the run in the payload to the sandbox, as a run in progress. `secret` replaces the
        sandbox's secret. `timestamp` (seconds since the epoch) replaces the current time. Raises ValueError if the
        payload is not JSON.
        """
        __tracebackhide__ = True
        headers, body = api.sign(payload, secret or self._sandbox.client_secret, timestamp=timestamp)
        parsed = read_payload(body, Headers())
        if parsed.run_id is not None and parsed.run_id not in self._sandbox.runs:
            self._sandbox.add_run(parsed.run_id, action=parsed.action or "create_vm")
        return headers, body

    def request(
        self, action: ActionSource, inputs: Mapping[str, Any] | None = None, **options: Unpack[RunOptions]
    ) -> PortRequest:
        """Start a run and return its signed request, for a test client to send.

        If the action is synchronized, the HTTP response ends the run, so pass the response to `responded`. Raises
        InvalidInputs with all violations, RenderError, and UsageError if `action` is not an action.
        """
        __tracebackhide__ = True
        return self._request(action, inputs, None, options)

    def responded(self, request: PortRequest, status: int, body: bytes | str = b"") -> Run:
        """Record the response that a test client received. As in Port, the response ends only a synchronized run."""
        __tracebackhide__ = True
        raw = body.encode() if isinstance(body, str) else body
        delivery = Delivery(url=request.url, status=status, body=raw)

        def record_response() -> Run:
            record(self._world, request, delivery)
            return self._sandbox.shown(self._world.sandbox.runs[request.run_id])

        return self._world.do(record_response)

    def invoke(
        self,
        action: ActionSource,
        inputs: Mapping[str, Any] | None = None,
        *,
        to: str | int | None = None,
        wait: bool = True,
        timeout_s: float | None = None,
        **options: Unpack[RunOptions],
    ) -> Run:
        """Start a run, send its request, and return the run when it has ended.

        `to` is a URL or a port on this machine. If it has no path, the path of the action's URL is added. With `to`,
        the action's URL may be a placeholder. Without `to`, the request is sent to the action's URL, which must be on
        this machine. Without `wait`, the run is returned after the response. Raises RunNotEnded if the response is not
        2xx or the run does not end within `timeout_s` seconds, TargetError if there is no response, and the exceptions
        of `request`.

        `FILE#NODE` invokes one WEBHOOK node of a workflow. `outputs` are the outputs of the nodes before this node. The
        returned run then has `result` and `output`. Raises WorkflowNotEnded if the handler does not report the node in
        time.
        """
        __tracebackhide__ = True
        if names_a_node(action, self._sandbox.folders):
            return self._world.call(self._node(action, inputs, to, timeout_s, options))
        request = self._request(action, inputs, to, options)
        blocks = is_in_event_loop()
        return self._world.call(self._invoke(request, to, timeout_s, wait=wait, blocks=blocks))

    async def ainvoke(
        self,
        action: ActionSource,
        inputs: Mapping[str, Any] | None = None,
        *,
        to: str | int | None = None,
        wait: bool = True,
        timeout_s: float | None = None,
        **options: Unpack[RunOptions],
    ) -> Run:
        """Do the same as `invoke`, without blocking the event loop, so that the handler can run in the same loop."""
        __tracebackhide__ = True
        if names_a_node(action, self._sandbox.folders):
            return await self._world.acall(self._node(action, inputs, to, timeout_s, options))
        request = self._request(action, inputs, to, options)
        return await self._world.acall(self._invoke(request, to, timeout_s, wait=wait))

    def run_workflow(
        self,
        workflow: ActionSource,
        inputs: Mapping[str, Any] | None = None,
        **options: Unpack[WorkflowArguments],
    ) -> WorkflowOutcome:
        """Run a whole workflow against the handler, and return the outcome with each node run.

        `workflow` is a file, `FILE#TRIGGER` for a workflow with several triggers, or a mapping. Asynchronous nodes wait
        until the handler reports them to the sandbox. A failed run is returned with the result FAILED. Raises
        WorkflowNotEnded if a node is not reported in time or waits for a response, UsageError and InvalidInputs.
        """
        __tracebackhide__ = True
        loaded = load_workflow(workflow, self._sandbox.folders)
        return self._world.call(run_whole(self._world, loaded, inputs or {}, options))

    async def arun_workflow(
        self,
        workflow: ActionSource,
        inputs: Mapping[str, Any] | None = None,
        **options: Unpack[WorkflowArguments],
    ) -> WorkflowOutcome:
        """Do the same as `run_workflow`, without blocking the event loop. The handler can run in the same loop."""
        __tracebackhide__ = True
        loaded = load_workflow(workflow, self._sandbox.folders)
        return await self._world.acall(run_whole(self._world, loaded, inputs or {}, options))

    def check(
        self,
        to: str | int,
        source: CheckSource = None,
        inputs: Mapping[str, Any] | None = None,
        **options: Unpack[CheckOptions],
    ) -> CheckReport:
        """Check the handler at `to` like `port-hook check`, and return the findings.

        `to` is a URL or a port on this machine. `source` is an action or a node, as for `invoke`, a payload (a mapping
        or bytes), or None for the sample action create_vm. Missing inputs get sample values. The handler must use the
        credentials of the sandbox, or `secret` must be the handler's secret.

        Raises HandlerCheckFailed if a check failed, TargetError if the handler doesn't accept connections, and
        UsageError. A warning issues a HandlerCheckWarning. If the check observed nothing, the test is skipped.
        """
        __tracebackhide__ = True
        name, blocks = self._subject(source), is_in_event_loop()
        checked = self._world.call(examine(self._world, to, name, inputs, options))
        settle(checked, strict=options.get("strict", False), blocks=blocks)
        return checked.report

    async def acheck(
        self,
        to: str | int,
        source: CheckSource = None,
        inputs: Mapping[str, Any] | None = None,
        **options: Unpack[CheckOptions],
    ) -> CheckReport:
        """Do the same as `check`, without blocking the event loop, so that the handler can run in the same loop."""
        __tracebackhide__ = True
        name = self._subject(source)
        checked = await self._world.acall(examine(self._world, to, name, inputs, options))
        settle(checked, strict=options.get("strict", False), blocks=False)
        return checked.report

    def _subject(self, source: CheckSource) -> SubjectName:
        __tracebackhide__ = True
        try:
            return subject_name(source, self._sandbox)
        except UsageError as error:
            raise at_the_test(error) from None

    def _request(
        self, action: ActionSource, inputs: Mapping[str, Any] | None, to: str | int | None, options: RunOptions
    ) -> PortRequest:
        """Return the signed request of a new run. With `to`, the URL of the action itself may be a placeholder."""
        __tracebackhide__ = True
        identifier = self._sandbox.add_action(action)
        making = make_request(self._world, identifier, inputs or {}, options, any_url=to is not None)
        return self._world.call(making)

    async def _node(
        self,
        source: ActionSource,
        inputs: Mapping[str, Any] | None,
        to: str | int | None,
        timeout_s: float | None,
        options: RunOptions,
    ) -> Run:
        __tracebackhide__ = True
        if "entity" in options:
            raise UsageError("`entity` is for actions. A workflow's templates cannot read an entity.")
        given: WorkflowArguments = {"to": to, "timeout_s": timeout_s}
        for name in ("outputs", "event", "by", "secrets"):
            if name in options:
                given[name] = options[name]
        return await run_node(self._world, load_workflow(source, self._sandbox.folders), inputs or {}, given)

    async def _invoke(
        self, request: PortRequest, to: str | int | None, timeout_s: float | None, *, wait: bool, blocks: bool = False
    ) -> Run:
        __tracebackhide__ = True
        seconds = self._world.timeout_s if timeout_s is None else timeout_s
        url = url_to(request.url, to, by_agent=self._world.sandbox.runs[request.run_id].invocation.is_for_agent)
        handler_response = await send(self._world, replace(request, url=url, path=path_and_query(url)), seconds)
        run = self._world.sandbox.runs[request.run_id]
        if handler_response is None and not run.ended:
            raise self._sandbox.not_ended(run.id, f"after {seconds:g} s without a response", blocks=blocks)
        if not wait or run.ended:
            return self._sandbox.shown(run)
        if handler_response is not None and not handler_response.ok:
            raise self._sandbox.not_ended(run.id, f"and stays so: the handler responded with {handler_response.status}")
        return await self._sandbox.ended(run.id, seconds, blocks=blocks)


class PortHookCheck:
    """Makes one check of a handler. `slug` is the name of the check.

    A test that uses the fixture runs once for each check.
    """

    def __init__(self, hook: PortHook, slug: str) -> None:
        self.slug = slug
        self._hook = hook

    def __repr__(self) -> str:
        return f"<PortHookCheck {self.slug}>"

    def __call__(
        self,
        to: str | int,
        source: CheckSource = None,
        inputs: Mapping[str, Any] | None = None,
        **options: Unpack[SingleCheckOptions],
    ) -> CheckFinding:
        """Make the check and return its finding.

        The arguments and the exceptions are the same as for `port_hook.check`.
        """
        __tracebackhide__ = True
        return self._hook.check(to, source, inputs, only=self.slug, **options).findings[0]

    async def acheck(
        self,
        to: str | int,
        source: CheckSource = None,
        inputs: Mapping[str, Any] | None = None,
        **options: Unpack[SingleCheckOptions],
    ) -> CheckFinding:
        """Make the check without blocking the event loop, so that the handler can run in the same loop."""
        __tracebackhide__ = True
        return (await self._hook.acheck(to, source, inputs, only=self.slug, **options)).findings[0]
