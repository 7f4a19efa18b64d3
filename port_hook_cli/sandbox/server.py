"""The sandbox on a loopback port, over aiohttp."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from port_hook_cli.errors import StoreError, UsageError
from port_hook_cli.http.web_pages import find_foreign
from port_hook_cli.invocations.forwarding import is_loopback
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.runs.log_splitting import REQUEST_LIMIT
from port_hook_cli.sandbox.delivering import DEFAULT_SENDING, Courier, OnDelivery, Sending
from port_hook_cli.sandbox.entities import put_entity
from port_hook_cli.sandbox.listening import listening
from port_hook_cli.sandbox.messages import (
    ApiRequest,
    ApiResponse,
    Refused,
    failed,
    foreign,
    not_saved,
    read_request,
    too_large,
    too_many,
    without_version,
)
from port_hook_cli.sandbox.own_api import OwnApi
from port_hook_cli.sandbox.publishing import Publishes, RunsTopic
from port_hook_cli.sandbox.rate_limit import CallRate, RateLimit
from port_hook_cli.sandbox.request_maker import RequestMaker
from port_hook_cli.sandbox.routes import respond
from port_hook_cli.sandbox.run import SandboxRun
from port_hook_cli.sandbox.state import TOKEN_LIFETIME_S, ApiEvent, InitialData, RunEvent, SandboxState
from port_hook_cli.sandbox.workflows.book import NodeReport
from port_hook_cli.sandbox.workflows.walking import WorkflowWalker, upsert_entity
from port_hook_cli.text.secret import Secret
from port_hook_cli.workflows.outcome import NodeOutcome
from port_hook_cli.workflows.run import WorkflowRun

if TYPE_CHECKING:
    from port_hook_cli.actions.request import RenderedRequest
    from port_hook_cli.sandbox.state_file import StateFile
    from port_hook_cli.workflows.steps import Renders

NO_LIMIT = CallRate()


@dataclass(frozen=True, slots=True)
class EventHandlers:
    """Callbacks for calls, for steps of runs, and for requests that were sent."""

    on_event: Callable[[ApiEvent], None]
    on_run: Callable[[RunEvent], None]
    on_delivery: OnDelivery


class Sandbox:
    """A running sandbox. Make it with `async with Sandbox.start() as sandbox:`."""

    def __init__(
        self,
        state: SandboxState,
        *,
        initial: InitialData,
        invoker: RequestMaker | None,
        renders: Renders | None,
        sending: Sending,
        handlers: EventHandlers,
        file: StateFile | None,
        rate_limit: RateLimit,
        publisher: Publishes | None = None,
    ) -> None:
        self.url = ""
        self._state = state
        self._initial = initial
        self._topic = None if publisher is None else RunsTopic(state, publisher, sending.unit)
        state.has_topic = publisher is not None
        self._own_api = OwnApi(state, self._answer_run)
        self._courier = Courier(
            state, invoker, self._commit, sending, self._own_api.deliver, handlers.on_delivery, self._topic
        )
        self._walker = WorkflowWalker(state, renders, self._deliver, self._commit, self._courier.unit_hint, self._topic)
        self._handlers = handlers
        self._file = file
        self._rate_limit = rate_limit
        self._is_on_loopback = True
        self._changed = asyncio.Condition()
        self._news: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        now: Callable[[], float] = time.time,
        runs: Iterable[str] = (),
        strict_runs: bool = False,
        strict: bool = False,
        token_lifetime_s: float = TOKEN_LIFETIME_S,
        actions: Iterable[Mapping[str, Any]] = (),
        blueprints: Iterable[Mapping[str, Any]] = (),
        state: Path | None = None,
        workflows: Iterable[Mapping[str, Any]] = (),
        secrets: Mapping[str, str] | None = None,
        kafka_brokers: Iterable[str] = (),
        publisher: Publishes | None = None,
        invoker: RequestMaker | None = None,
        renders: Renders | None = None,
        sending: Sending = DEFAULT_SENDING,
        call_rate: CallRate = NO_LIMIT,
        on_event: Callable[[ApiEvent], None] = lambda _: None,
        on_run: Callable[[RunEvent], None] = lambda _: None,
        on_delivery: OnDelivery = lambda *_: None,
    ) -> AsyncIterator[Sandbox]:
        """Serve on `host`:`port` (0: any free port) until the block ends; raises ListenError if it cannot listen.

        `runs` are added at the start. Any other well-formed run id creates a run when it is first used, unless
        `strict_runs` is set. With `strict`, entities are checked against their blueprints. `actions` replace the sample
        action. `state` is the file that stores the state (raises StoreError if it cannot be used). `kafka_brokers`
        (`HOST:PORT`) are the brokers in the response of GET /v1/kafka-credentials. `publisher` publishes what is for
        Port's agent and KAFKA actions; without one, nothing is published, and the agent claims its requests. Raises
        BrokerError if its brokers do not respond. `invoker` makes the requests of runs; without one, no requests are
        sent. `sending` says how they are sent. `on_event` is called after each call, `on_run` for each step of a run
        that was started here, and `on_delivery` for each request that was sent.
        """
        known = SandboxState(now=now, strict_runs=strict_runs, token_lifetime_s=token_lifetime_s, is_strict=strict)
        with _opened(state) as file:
            sandbox = cls(
                known,
                initial=InitialData(
                    actions=tuple(actions),
                    runs=tuple(runs),
                    workflows=tuple(workflows),
                    secrets=secrets or {},
                    kafka_brokers=tuple(kafka_brokers),
                    blueprints=tuple(blueprints),
                ),
                invoker=invoker,
                renders=renders,
                sending=sending,
                handlers=EventHandlers(on_event, on_run, on_delivery),
                file=file,
                rate_limit=RateLimit(call_rate, now),
                publisher=publisher,
            )
            known.begin(sandbox._initial, list(file.rows()) if file is not None else ())
            sandbox._commit()
            if sandbox._topic is not None:
                await sandbox._topic.open()
            try:
                async with listening(sandbox._app(), host, port) as addresses:
                    known.url = sandbox.url = f"http://{host if ':' not in host else f'[{host}]'}:{addresses[0][1]}"
                    sandbox._is_on_loopback = all(is_loopback(str(address[0])) for address in addresses)
                    sandbox._courier.resume()
                    sandbox._walker.resume()
                    yield sandbox
            finally:
                await sandbox._walker.cancel()
                await sandbox._courier.close()

    @property
    def client_id(self) -> str:
        """The client id of the sandbox; each start creates a new one, unless a state file has one."""
        return self._state.client_id

    @property
    def client_secret(self) -> Secret:
        """The client secret of the sandbox, which is valid nowhere else."""
        return self._state.client_secret

    @property
    def organization(self) -> str:
        """The id of the sandbox's organization."""
        return str(self._state.organization["id"])

    @property
    def topic(self) -> str | None:
        """The Kafka topic of the invocations, or None if nothing is published."""
        return None if self._topic is None else self._topic.name

    @property
    def runs(self) -> dict[str, SandboxRun]:
        """The runs by id."""
        return self._state.runs

    def add_run(self, run_id: str, **fields: Any) -> SandboxRun:
        """Add or restart a run in progress; `fields` are those of `SandboxRun`, such as `action`."""
        return self._state.add_run(run_id, **fields)

    @property
    def actions(self) -> dict[str, dict[str, Any]]:
        """The actions and automations by identifier."""
        return self._state.actions

    def add_action(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Add or replace an action or automation; `fields` are those of Port's API."""
        return self._state.add_action(fields)

    @property
    def blueprints(self) -> dict[str, dict[str, Any]]:
        """The blueprints by identifier."""
        return self._state.blueprints

    def add_blueprint(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Add or replace a blueprint. `fields` are the fields of Port's API."""
        return self._state.add_blueprint(fields)

    def add_entity(self, blueprint: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Add or replace an entity. `fields` are the fields of Port's API. Raises UsageError if it is not accepted."""
        try:
            return put_entity(self._state, blueprint, fields)
        except Refused as refused:
            raise UsageError(
                f"The sandbox does not accept this entity: {refused}.",
                hint="Add its blueprint or the related entity first." if self._state.is_strict else "",
            ) from None

    def record(self, run_id: str, delivery: Delivery) -> None:
        """Record the outcome of a run's request that was not sent by the sandbox, as if it had been."""
        self._courier.record(self.runs[run_id], delivery)

    async def reset(self) -> None:
        """Return to the initial actions and runs; raises StoreError. Invocations in progress are canceled.

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
        """Wait until the run has ended and return it. The run may be created later."""
        async with self._changed:
            await self._changed.wait_for(lambda: run_id in self.runs and self.runs[run_id].ended)
        return self.runs[run_id]

    @property
    def workflows(self) -> dict[str, dict[str, Any]]:
        """The workflows by identifier, as Port shows them."""
        return self._state.workflows.documents

    @property
    def workflow_runs(self) -> dict[str, WorkflowRun]:
        """The runs of workflows by id, as they stand."""
        return self._state.workflows.runs

    async def wait_for_workflow_run(
        self, run_id: str, is_so: Callable[[WorkflowRun], bool] = lambda run: run.result is not None
    ) -> WorkflowRun:
        """Wait until a workflow's run has ended, or `is_so` is true of it, and return it."""
        async with self._changed:
            await self._changed.wait_for(lambda: run_id in self.workflow_runs and is_so(self.workflow_runs[run_id]))
        return self.workflow_runs[run_id]

    def keep_workflow_run(self, run: WorkflowRun, definition: Mapping[str, Any] | None = None) -> None:
        """Record a run that the caller walks, so that its nodes can be reported. Give `definition` the first time."""
        self._walker.leave(run.id)
        self._state.workflows.save(run, definition=definition)
        self._publish()

    def node_report(self, node_run_id: str) -> NodeReport:
        """Return what was reported about a node run: its logs, links and outcome."""
        return self._state.workflows.reports.get(node_run_id, NodeReport())

    async def wait_for_node_report(self, node_run_id: str) -> NodeOutcome:
        """Wait until a report ends a node run, and return its outcome."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.node_report(node_run_id).outcome is not None)
        outcome = self.node_report(node_run_id).outcome
        assert outcome is not None
        return outcome

    def upsert_entity(self, config: Mapping[str, Any]) -> NodeOutcome:
        """Save the entity of an UPSERT_ENTITY node with this rendered config, and return the node's outcome."""
        return upsert_entity(self._state, config)

    def answer_run(self, run_id: str, invocation: Invocation, url: str) -> Delivery:
        """Answer the request of a run whose URL is Port's own API with the sandbox's credentials, as in Port.

        Raises PortHookError if runs have started one another too often.
        """
        return self._own_api.deliver(run_id, invocation, url)

    async def _deliver(self, run_id: str, request: RenderedRequest) -> Delivery:
        # A rendered field is the wire's bytes as Latin-1; the courier writes text in UTF-8.
        headers = ((name, value.encode("latin-1").decode("utf-8")) for name, value in request.headers)
        return await self._courier.deliver(run_id, request.method, request.url, headers, request.content)

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=REQUEST_LIMIT)
        app.router.add_route("*", r"/{path:[\s\S]*}", self._respond)  # `.` would let a line feed through to aiohttp
        return app

    @property
    def entities(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The entities by blueprint and identifier."""
        return self._state.entities

    def _commit(self) -> None:
        """Save the changes and publish the events; raises StoreError."""
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
        given = self._refuse_page(request) or await self._reply(request)
        self._tell(request.method, request.raw_path, given)
        return web.Response(
            status=given.status,
            body=json.dumps(given.document).encode(),
            content_type="application/json",
            headers={**self._rate_limit.headers(), **given.headers},
        )

    def _answer_run(self, request: ApiRequest, target: str, caller: str) -> ApiResponse:
        """Answer a run's call of Port's own API like a call over HTTP."""
        if request.segments[:1] != ("v1",):
            given = without_version()
        else:
            given = too_large() if len(request.body) > REQUEST_LIMIT else self._answer(request)
        given = replace(given, note="; ".join(filter(None, (given.note, f"called by {caller}"))))
        self._tell(request.method, target, given)
        return replace(given, headers={**self._rate_limit.headers(), **given.headers})

    def _tell(self, method: str, target: str, given: ApiResponse) -> None:
        """Notify the observers of a call, and continue what it started."""
        masked = self._state.masker().text  # a call of a run may have a rendered secret in its path
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

    async def _reply(self, request: web.Request) -> ApiResponse:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return too_large()
        except ConnectionError:
            return ApiResponse(status=400, document={"ok": False}, note="the caller disconnected during its request")
        fields = {name.lower(): value for name, value in reversed(tuple(request.headers.items()))}  # the first counts
        return self._answer(read_request(request.method, request.raw_path, fields, body))

    def _answer(self, request: ApiRequest) -> ApiResponse:
        if wait_s := self._rate_limit.take():
            return too_many(wait_s)
        try:
            given = respond(self._state, request)
            self._save()
        except StoreError as problem:
            return not_saved(problem.message)
        except Exception as bug:  # noqa: BLE001 - the logger is silent, so the response shows the error
            return failed(bug)
        return given

    def _refuse_page(self, request: web.Request) -> ApiResponse | None:
        fields = (request.headers.get(name) for name in ("host", "origin", "sec-fetch-site"))
        found = find_foreign(*fields, names=(), checks_host=self._is_on_loopback)
        return None if found is None else foreign(found)


@contextmanager
def _opened(path: Path | None) -> Iterator[StateFile | None]:
    if path is None:
        yield None
        return
    from port_hook_cli.sandbox.state_file import StateFile

    with StateFile.open(path) as file:
        yield file
