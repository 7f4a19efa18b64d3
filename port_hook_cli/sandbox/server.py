"""The sandbox on a loopback port, served by aiohttp."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from port_hook_cli.errors import StoreError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.invocations.payload import is_run_id
from port_hook_cli.invocations.targets import http_url, is_loopback
from port_hook_cli.runs.updates import REQUEST_LIMIT
from port_hook_cli.sandbox.call_log import find_intent, is_own_route
from port_hook_cli.sandbox.delivering import Courier, OnDelivery, Sending
from port_hook_cli.sandbox.entities import put_entity
from port_hook_cli.sandbox.events import ApiEvent, RunEvent
from port_hook_cli.sandbox.invocations import OwnApi, RunsTopic
from port_hook_cli.sandbox.limits import DEFAULT_RULES, ApiRules, RateLimit
from port_hook_cli.sandbox.listening import listening, read_call
from port_hook_cli.sandbox.messages import (
    ApiRequest,
    ApiResponse,
    Rejected,
    failed,
    not_saved,
    read_request,
    too_large,
    too_many,
    without_version,
)
from port_hook_cli.sandbox.routes import is_poll, respond, with_one_version
from port_hook_cli.sandbox.run import SandboxRun
from port_hook_cli.sandbox.state import InitialData, SandboxState
from port_hook_cli.sandbox.workflows.book import NodeReport
from port_hook_cli.sandbox.workflows.walking import WorkflowWalker, upsert_entity
from port_hook_cli.text.secret import Secret
from port_hook_cli.workflows.nodes import NodeOutcome
from port_hook_cli.workflows.run import WorkflowRun

if TYPE_CHECKING:
    from aiohttp import web

    from port_hook_cli.actions.request import RenderedRequest
    from port_hook_cli.sandbox.state_file import StateFile


def _ignore(*_: object) -> None:
    return


@frozen(kw_only=True)
class EventHandlers:
    """Callbacks for each call, each step of a run that the sandbox started, and each request that it sent."""

    on_event: Callable[[ApiEvent], None] = _ignore
    on_run: Callable[[RunEvent], None] = _ignore
    on_delivery: OnDelivery = _ignore


_LOOPBACK = ("127.0.0.1", 0)
_NOTHING = InitialData()
_AS_PORT = Sending()
_UNOBSERVED = EventHandlers()


class Sandbox:
    """A running sandbox. Start it with `async with Sandbox.start() as sandbox:`.

    `runs`, `actions`, `blueprints`, `entities`, `workflows` and `workflow_runs` are the current contents of the
    sandbox. `add_run`, `add_action` and `add_blueprint` add to these contents. `call_log` has the latest calls over
    HTTP. `respond_to_run` responds to a run's request whose URL is Port's own API with the sandbox's credentials, as in
    Port.
    """

    def __init__(
        self,
        state: SandboxState,
        initial: InitialData,
        *,
        sending: Sending,
        handlers: EventHandlers,
        file: StateFile | None,
    ) -> None:
        self.url = ""
        self._state = state
        self.runs, self.add_run = state.runs, state.add_run
        self.actions, self.add_action = state.actions, state.add_action
        self.blueprints, self.add_blueprint = state.blueprints, state.add_blueprint
        self.entities = state.entities
        self.call_log = state.call_log
        self.workflows, self.workflow_runs = state.workflows.documents, state.workflows.runs
        self._initial = initial
        self._topic = None if sending.publisher is None else RunsTopic(state, sending.publisher, sending.unit)
        state.has_topic = sending.publisher is not None
        self._own_api = OwnApi(state, self._respond_to_run)
        self.respond_to_run = self._own_api.deliver
        self._courier = Courier(state, sending, self._commit, self._own_api.deliver, handlers.on_delivery, self._topic)
        self._walker = WorkflowWalker(
            state, sending.renders, self._deliver, self._commit, self._courier.unit_hint, self._topic
        )
        self._handlers = handlers
        self._file = file
        self._rate_limit = RateLimit(state.rules.call_rate, state.now)
        self._is_on_loopback = True
        self._changed = asyncio.Condition()
        self._news: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        initial: InitialData = _NOTHING,
        *,
        address: tuple[str, int] = _LOOPBACK,
        state: Path | None = None,
        rules: ApiRules = DEFAULT_RULES,
        sending: Sending = _AS_PORT,
        handlers: EventHandlers = _UNOBSERVED,
        now: Callable[[], float] = time.time,
    ) -> AsyncIterator[Sandbox]:
        """Serve the sandbox at `address` (host and port, where port 0 means any free port) until the block ends.

        `state` is the file that stores the state. `now` returns seconds since the epoch. Raises ListenError if the
        sandbox cannot listen, StoreError if the file cannot be used, and BrokerError if no broker of the publisher
        responds.
        """
        known = SandboxState(rules, now=now)
        with _opened(state) as file:
            sandbox = cls(known, initial, sending=sending, handlers=handlers, file=file)
            known.begin(initial, list(file.rows()) if file is not None else ())
            sandbox._commit()
            if sandbox._topic is not None:
                await sandbox._topic.open()
            try:
                async with listening(sandbox._respond, address) as served:
                    known.url = sandbox.url = http_url(address[0], served[0][1])
                    sandbox._is_on_loopback = all(is_loopback(str(each[0])) for each in served)
                    sandbox._courier.resume()
                    sandbox._walker.resume()
                    yield sandbox
            finally:
                await sandbox._walker.cancel()
                await sandbox._courier.close()

    @property
    def client_id(self) -> str:
        """The client ID of the sandbox. It comes from the state file.

        Without a state file, it is new at each start.
        """
        return self._state.client_id

    @property
    def client_secret(self) -> Secret:
        """The client secret of the sandbox. It is valid only in this sandbox."""
        return self._state.client_secret

    @property
    def organization(self) -> str:
        """The ID of the sandbox's organization."""
        return str(self._state.organization["id"])

    @property
    def topic(self) -> str | None:
        """The Kafka topic of the invocations, or None if the sandbox publishes nothing."""
        return None if self._topic is None else self._topic.name

    def add_entity(self, blueprint: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Add or replace an entity. `fields` are the fields of Port's API.

        Raises UsageError if the sandbox rejects the entity.
        """
        try:
            return put_entity(self._state, blueprint, fields)
        except Rejected as rejected:
            raise UsageError(
                f"The sandbox does not accept this entity: {rejected}.",
                hint="Add its blueprint or the related entity first." if self._state.rules.strict else "",
            ) from None

    def record(self, run_id: str, delivery: Delivery) -> None:
        """Record the outcome of a run's request that another sender sent, as if the sandbox had sent the request."""
        self._courier.record(self.runs[run_id], delivery)

    async def reset(self) -> None:
        """Reset the sandbox to its initial actions and runs, and cancel invocations in progress. Raises StoreError.

        The URL, the credentials and the issued tokens stay valid.
        """
        self._state.clear()
        self._state.begin(self._initial)
        self._rate_limit.reset()
        self._own_api.reset()
        await self._courier.cancel()
        await self._walker.cancel()
        self._commit()

    async def wait_for_end(self, run_id: str) -> SandboxRun:
        """Wait until the run has ended, and return the run. The run may be created after the call of this method."""
        await self._wait_for(lambda: run_id in self.runs and self.runs[run_id].ended)
        return self.runs[run_id]

    async def wait_for_call(self, after: int) -> None:
        """Wait until `call_log` has a call whose number is higher than `after`."""
        await self._wait_for(lambda: self.call_log.last > after)

    async def wait_for_workflow_run(
        self, run_id: str, is_so: Callable[[WorkflowRun], bool] = lambda run: run.result is not None
    ) -> WorkflowRun:
        """Wait until a workflow run has ended or `is_so` is true for it, and return the workflow run."""
        await self._wait_for(lambda: run_id in self.workflow_runs and is_so(self.workflow_runs[run_id]))
        return self.workflow_runs[run_id]

    async def _wait_for(self, is_so: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(is_so)

    def keep_workflow_run(self, run: WorkflowRun, definition: Mapping[str, Any] | None = None) -> None:
        """Record a workflow run that the caller walks, so that handlers can report its nodes.

        The first call needs `definition`.
        """
        self._walker.leave(run.id)
        self._state.workflows.save(run, definition=definition)
        self._publish()

    def node_report(self, node_run_id: str) -> NodeReport:
        """Return what clients have reported about a node run: its logs, links and outcome."""
        return self._state.workflows.report_on(node_run_id)

    async def wait_for_node_report(self, node_run_id: str) -> NodeOutcome:
        """Wait until a report ends a node run, and return the outcome of the node run."""
        await self._wait_for(lambda: self.node_report(node_run_id).outcome is not None)
        outcome = self.node_report(node_run_id).outcome
        assert outcome is not None
        return outcome

    def upsert_entity(self, config: Mapping[str, Any]) -> NodeOutcome:
        """Save the entity of an UPSERT_ENTITY node with this rendered config, and return the node's outcome."""
        return upsert_entity(self._state, config)

    async def _deliver(self, run_id: str, request: RenderedRequest) -> Delivery:
        # A rendered header holds the bytes of the wire as Latin-1 characters. The courier encodes text as UTF-8.
        headers = ((name, value.encode("latin-1").decode("utf-8")) for name, value in request.headers)
        return await self._courier.deliver(run_id, request.method, request.url, headers, request.content)

    def _commit(self) -> None:
        """Save the changes and publish the events. Raises StoreError."""
        self._save()
        self._publish()

    def _save(self) -> None:
        rows = self._state.changes()
        if self._file is not None and rows:
            self._file.write(rows)
        self._state.clear_changes()

    def _publish(self) -> None:
        news = asyncio.ensure_future(self._notify())
        self._news.add(news)
        news.add_done_callback(self._news.discard)
        for event in self._state.take_events():
            self._handlers.on_run(event)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _respond(self, request: web.Request) -> web.Response:
        """Respond to a call over HTTP."""
        from aiohttp import web

        call = await read_call(request, checks_host=self._is_on_loopback)
        given = self._respond_to_call(call) if isinstance(call, ApiRequest) else call
        if not (isinstance(call, ApiRequest) and is_poll(call)):
            # A call still has a path if it is rejected before it is read, so the sandbox can log the call for its run.
            head = call if isinstance(call, ApiRequest) else read_request(request.method, request.raw_path, {}, b"")
            self._log_call(head, request.raw_path, given)
            self._tell(request.method, request.raw_path, given)
        return web.Response(
            status=given.status,
            body=json.dumps(given.document).encode(),
            content_type="application/json",
            headers={**self._rate_limit.headers(), **given.headers},
        )

    def _respond_to_run(self, request: ApiRequest, target: str, caller: str) -> ApiResponse:
        """Respond to a run's call of Port's own API as if the call had arrived over HTTP."""
        if request.segments[:1] != ("v1",) or request.segments[:2] == ("v1", "v1"):
            given = without_version()
        else:
            given = too_large() if len(request.body) > REQUEST_LIMIT else self._respond_to_call(request)
        given = replace(given, note="; ".join(filter(None, (given.note, f"called by {caller}"))))
        self._tell(request.method, target, given)
        return replace(given, headers={**self._rate_limit.headers(), **given.headers})

    def _log_call(self, request: ApiRequest, target: str, given: ApiResponse) -> None:
        segments = with_one_version(request.segments)
        if is_own_route(segments):
            return
        intent = find_intent(replace(request, segments=segments))
        self._state.call_log.add(
            intent,
            at=self._state.now(),
            method=request.method,
            path=self._state.masker().text(target.partition("?")[0]),
            status=given.status,
            run_id=given.run_id or self._run_id_of(intent.run),
        )

    def _run_id_of(self, name: str | None) -> str | None:
        """Return the ID of the run with this ID or external ID, or None if no run can have it."""
        if name is None or is_run_id(name):
            return name
        run = self._state.known_run(name)
        return None if run is None else run.id

    def _tell(self, method: str, target: str, given: ApiResponse) -> None:
        """Tell the observers about a call, and continue what the call started."""
        masked = self._state.masker().text  # the path of a run's call may contain a rendered secret
        self._handlers.on_event(
            ApiEvent(
                at=self._state.now(),
                method=method,
                path=masked(target),
                status=given.status,
                run_id=given.run_id,
                note=masked(given.note),
            )
        )
        self._publish()
        if given.invokes is not None:
            self._courier.send(given.invokes)
        if given.walks is not None:
            self._walker.go_on(given.walks)

    def _respond_to_call(self, request: ApiRequest) -> ApiResponse:
        if not is_poll(request) and (wait_s := self._rate_limit.take()):
            return too_many(wait_s)
        try:
            given = respond(self._state, request)
            self._save()
        except StoreError as problem:
            return not_saved(problem.message)
        except Exception as bug:  # noqa: BLE001 - the logger is silent, so the response shows the error
            return failed(bug)
        return given


@contextmanager
def _opened(path: Path | None) -> Iterator[StateFile | None]:
    if path is None:
        yield None
        return
    from port_hook_cli.sandbox.state_file import StateFile

    with StateFile.open(path) as file:
        yield file
