"""Sends the invocations of runs, one task for each run, and records their outcomes in Port's format.

An invocation is sent at most once. The sandbox saves each step before it takes the step. When a killed sandbox starts
again, it sends the invocations that it had not begun to send, and reports the invocations whose outcome is unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from port_hook_cli.actions.made_request import MadeRequest
from port_hook_cli.errors import PortHookError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.targets import is_on_this_machine, masked_url, sendable_url
from port_hook_cli.invocations.view import format_time
from port_hook_cli.javascript.nesting import nests_too_deep
from port_hook_cli.runs.fate import RunFate
from port_hook_cli.runs.urls import is_in_ports_own
from port_hook_cli.sandbox.invocations import Publishes, RequestMaker, RunsTopic, message_and_hint
from port_hook_cli.sandbox.run import Phase, SandboxRun
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.signatures.signing import Signer, TimestampUnit
from port_hook_cli.text.durations import format_latency
from port_hook_cli.text.safe import brief

if TYPE_CHECKING:
    from port_hook_cli.http.client import HttpClient
    from port_hook_cli.workflows.nodes import Renders

_CONTENT_TYPE = ("content-type", "application/json")
_BY = "port-hook"
_REJECTIONS = frozenset({400, 401, 403})
_UNIT_HINT = (
    ". If the handler divides x-port-timestamp by 1000, it expects milliseconds, but Port sends seconds: try "
    "`port-hook sandbox --timestamp-unit ms`."
)
_LOST = "The sandbox stopped while it sent the request. The request may have arrived."


@frozen(kw_only=True)
class Sending:
    """The settings for making and sending the invocations of runs.

    `invoker` makes the requests of action runs. Without an invoker, no requests are sent. `renders` renders the
    templates of workflows. `publisher` publishes the messages for Port's agent and for KAFKA actions. Without a
    publisher, the sandbox publishes nothing, and the agent claims its requests. `unit` is the unit of the signed
    timestamp. `timeout_s` limits the wait for a response, in seconds. 0 means no limit. Without `allow_remote`, the
    sandbox sends requests only to this machine.
    """

    invoker: RequestMaker | None = None
    renders: Renders | None = None
    publisher: Publishes | None = None
    unit: TimestampUnit = TimestampUnit.SECONDS
    timeout_s: float = 30.0
    allow_remote: bool = False


OnDelivery = Callable[[Invocation, Delivery], None]
"""Receives each sent request and its outcome. This callback must not block."""


class Courier:
    """Sends invocations. `commit` saves and publishes changes of the state, and raises PortHookError if that fails.

    `own_api` responds to a run's invocation whose URL is Port's own API, so that the request never leaves this machine.
    """

    def __init__(
        self,
        state: SandboxState,
        sending: Sending,
        commit: Callable[[], None],
        own_api: Callable[[str, Invocation, str], Delivery],
        on_delivery: OnDelivery,
        topic: RunsTopic | None,
    ) -> None:
        self._state = state
        self._sending = sending
        self._commit = commit
        self._own_api = own_api
        self._on_delivery = on_delivery
        self._topic = topic
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: HttpClient | None = None

    def send(self, run_id: str) -> None:
        """Start a task that sends the invocation of a run."""
        task = asyncio.create_task(self._send(self._state.runs[run_id]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def resume(self) -> None:
        """Continue the runs of a stopped sandbox: send pending invocations, and record unknown outcomes."""
        for run in [run for run in self._state.runs.values() if not run.ended]:
            if run.invocation.phase is Phase.SENDING:
                self._record_lost(run)
            elif run.invocation.phase is Phase.PENDING:
                self.send(run.id)

    async def cancel(self) -> None:
        """Cancel the invocations in progress without recording their outcomes."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Cancel the invocations in progress and close the connections."""
        await self.cancel()
        if self._client is not None:
            self._client.close()

    def record(self, run: SandboxRun, delivery: Delivery) -> None:
        """Record the outcome of the request in a run's `payload`. A run without a response fails, as in Port.

        If the change cannot be saved now, the next call of `record` saves it.
        """
        if delivery.status is None:
            self._fail(run, f"The webhook could not be invoked: {delivery.error}".rstrip("?.") + ".")
            return
        run.invocation.phase = Phase.SENT
        self._state.record_change("run", run.id, run)
        told = f"responded {delivery.status} in {format_latency(delivery.latency_ms)}"
        self._state.add_event(run, f"{told}{self.unit_hint(delivery)}")
        if not run.ended:
            self._apply_response(run, delivery)
        self._try_to_commit()

    def unit_hint(self, delivery: Delivery) -> str:
        """Return a hint to follow a note if the handler may have rejected a timestamp in seconds, or ""."""
        is_rejected = delivery.status in _REJECTIONS and self._sending.unit is TimestampUnit.SECONDS
        return _UNIT_HINT if is_rejected else ""

    async def _send(self, run: SandboxRun) -> None:
        try:
            request = await self._make_request(run)
            if self._state.runs.get(run.id) is not run or run.ended:
                return  # the run was restarted, or a report ended it, while the request was in progress
            document = request.document()
            run.invocation.payload = self._state.masker().value(document)
            if request.properties is not None:
                run.start.properties = dict(request.properties)
            if request.is_message or (request.agent and self._topic is not None):
                await self._publish(run, request)
                return
            if request.agent or request.integration is not None:
                run.invocation.rendered = document
                self._step(run, Phase.CLAIMABLE, f"waiting for {_claimer(run, request)} to claim it")
                return
            # This check comes before the step is saved, so that the outcome of an unsent run is never unknown.
            self._check_url(request.url, run.start.action)
            self._step(
                run, Phase.SENDING, f"sending {brief(self._state.masker().text(f'{request.method} {request.url}'))}"
            )
            delivery = await self.deliver(run.id, request.method, request.url, request.headers, request.body)
        except PortHookError as problem:
            self._fail(run, message_and_hint(problem))
            return
        except Exception as bug:  # noqa: BLE001 - nothing awaits the task, so the run shows the error
            self._fail(run, f"The sandbox has a bug: {type(bug).__name__}: {bug}")
            return
        self.record(run, delivery)

    async def _publish(self, run: SandboxRun, request: MadeRequest) -> None:
        if self._topic is None:
            raise PortHookError("This sandbox has no Kafka broker.", hint="Start it with --kafka.")
        message = request.message(run.id)
        self._step(run, Phase.SENDING, f"publishing to {self._topic.name}")
        place = await self._topic.publish(message)
        run.invocation.phase = Phase.SENT
        self._state.record_change("run", run.id, run)
        waiting = "" if run.ended else f". The run {RunFate.WAITS}: PATCH /v1/actions/runs/{run.id}"
        self._state.add_event(run, f"published to {place}{waiting}")
        self._try_to_commit()

    async def _make_request(self, run: SandboxRun) -> MadeRequest:
        action = self._state.actions.get(run.start.action)
        if action is None:
            raise PortHookError(f"The action {run.start.action} no longer exists.")
        if self._sending.invoker is None:
            raise PortHookError("This sandbox was started without an invoker, so it does not send requests.")
        return await self._sending.invoker.request(
            action,
            properties=run.start.properties,
            entity=self._entity_of(run),
            run_id=run.id,
            by={
                "orgId": self._state.organization["id"],
                "userId": "sandbox|you",
                "user": {"email": run.start.user_email, "firstName": "Sandbox", "lastName": "User"},
            },
            at=format_time(run.created_at),
            secrets=self._state.secrets,
        )

    def _entity_of(self, run: SandboxRun) -> Mapping[str, Any] | None:
        """Return the entity of the run, or None if the run has no entity.

        An entity that does not exist gets empty properties.
        """
        if run.start.entity is None:
            return None
        unknown = {"identifier": run.start.entity, "title": run.start.entity, "properties": {}, "relations": {}}
        known = self._state.entities.get((run.start.blueprint or "", run.start.entity))
        return {**(known or unknown), "blueprint": run.start.blueprint}

    def _check_url(self, url: str, retargetable: str) -> None:
        """Raise PortHookError if requests to a URL are not allowed.

        `retargetable` is the value for `listen --retarget`.
        """
        if is_in_ports_own(url):
            return
        try:
            parts = urlsplit(url)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise PortHookError(f"{brief(url)} is not an http or https URL.")
        if not self._sending.allow_remote and not is_on_this_machine(url):
            shown = urlsplit(masked_url(url, self._state.masker().text)).netloc
            raise PortHookError(
                f"The sandbox sends only to this machine, and {brief(shown)} is another machine.",
                hint="Point the URL at this machine with "
                f"`port-hook listen --retarget {brief(retargetable)} --yes`, "
                "use a URL on 127.0.0.1, or start the sandbox with --allow-remote.",
            )

    async def deliver(
        self, run_id: str, method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> Delivery:
        """Sign and send a request. Raises PortHookError if the host is not allowed.

        The names and values of headers are text.
        """
        self._check_url(url, "WORKFLOW#NODE")  # the URL of an action was checked before its step
        signer = Signer(self._state.client_secret, self._sending.unit)
        given = tuple(headers)
        named = any(name.lower() == _CONTENT_TYPE[0] for name, _ in given)
        fields = (
            *(() if named else (_CONTENT_TYPE,)),
            *given,
            *signer.fields(body, self._state.now()),
        )
        invocation = Invocation(
            id=run_id,
            received_at=self._state.now(),
            method=method,
            target="/",
            headers=Headers.from_raw((name.encode("utf-8"), value.encode("utf-8")) for name, value in fields),
            body=body,
        )
        delivery = await self._capture(run_id, invocation, url)
        self._on_delivery(invocation, delivery)
        return delivery

    async def _capture(self, run_id: str, invocation: Invocation, url: str) -> Delivery:
        if is_in_ports_own(url):
            return self._own_api(run_id, invocation, url)
        if self._client is None:
            from port_hook_cli.http.client import HttpClient

            self._client = HttpClient(timeout_s=self._sending.timeout_s)
        return await self._client.send(invocation, sendable_url(url))

    def _apply_response(self, run: SandboxRun, delivery: Delivery) -> None:
        """End a synchronized run with the response. For other runs, only log responses that are not 2xx."""
        rejected = f"The webhook responded with {delivery.status}."
        if run.invocation.is_synchronized:
            summary = {} if delivery.ok else {"summary": rejected}
            response = _response(delivery.body)
            given = {} if response is None else {"response": response}
            self._state.update_run(run, {"status": "SUCCESS" if delivery.ok else "FAILURE", **summary, **given})
        elif not delivery.ok:
            self._state.add_log(run, {"message": rejected}, by=_BY)

    def _record_lost(self, run: SandboxRun) -> None:
        if run.invocation.is_synchronized:
            self._fail(run, _LOST)
            return
        self._state.add_log(run, {"message": _LOST}, by=_BY)
        self._step(run, Phase.SENT, _LOST)

    def _fail(self, run: SandboxRun, reason: str) -> None:
        """Fail a run whose request got no response, and log the reason. Port does the same."""
        run.invocation.phase, reason = Phase.SENT, self._state.masker().message(reason)
        if run.ended:
            self._state.record_change("run", run.id, run)
            self._state.add_event(run, reason)
        else:
            self._state.add_log(run, {"message": reason}, by=_BY)
            self._state.add_event(run, reason)
            self._state.update_run(run, {"status": "FAILURE", "summary": reason})
        self._try_to_commit()

    def _step(self, run: SandboxRun, phase: Phase, note: str) -> None:
        run.invocation.phase = phase
        self._state.record_change("run", run.id, run)
        self._state.add_event(run, note)
        self._commit()

    def _try_to_commit(self) -> None:
        with contextlib.suppress(PortHookError):  # the next call tries again and reports an error
            self._commit()


def _claimer(run: SandboxRun, request: MadeRequest) -> str:
    if request.integration is None:
        return "Port's agent"
    if run.invocation.integration is None:
        raise PortHookError("The action does not have an `installationId`, so no integration can claim its run.")
    return f"the integration {brief(run.invocation.integration)}"


def _response(body: bytes) -> Any:
    """Return a response's body as a run's `response`: a string, an array or an object. Return None for an empty body.

    JSON stays a string if it is nested too deeply to be serialized.
    """
    text = body.decode("utf-8", "replace")
    try:
        document = text if nests_too_deep(text) else json.loads(text)
    except (ValueError, RecursionError):
        return text or None
    return document if isinstance(document, dict | list) else text
