"""The listener with its store, forwarder, pipeline and sources, which it starts and stops in the right order."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from port_hook_cli.captures.store.capture_store import CaptureStore, open_store
from port_hook_cli.captures.store.writer import StoreWriter
from port_hook_cli.engines.outcomes import UNDEFINED, JqError, shown_expression
from port_hook_cli.errors import ExpressionStoppedError, RenderError, StoreError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.http.client import HttpClient
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, Headers
from port_hook_cli.invocations.models import Invocation, Response
from port_hook_cli.invocations.source import MessageLog, OpenSource, Source, SourceContext
from port_hook_cli.invocations.statuses import Expectation
from port_hook_cli.invocations.targets import http_url, may_be_on_this_machine
from port_hook_cli.listener.handler_check import handler_address
from port_hook_cli.listener.http_source import HttpSource
from port_hook_cli.listener.observers import Observer
from port_hook_cli.listener.pipeline import IsTrue, MessageGroup, Pipeline, RouteTime
from port_hook_cli.listener.policy import Policy, PublicAddress
from port_hook_cli.listener.reader import SeenRequest
from port_hook_cli.listener.turns import Turns
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.verification import signature_key
from port_hook_cli.text.safe import brief
from port_hook_cli.tunnels.report import ProbeEndpoint

if TYPE_CHECKING:
    from port_hook_cli.engines.jq_owner import JqOwner

DRAIN_S = 2.0
_NEAREST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - the user chose this address


@frozen(kw_only=True)
class ListenPlan:
    """The settings of a listener. Durations are in seconds, and sizes are in bytes. None and 0 mean no limit.

    With `may_move`, the listener uses the next free port if another listener has `port`.
    """

    policy: Policy
    host: str = "127.0.0.1"
    port: int = 8787
    may_move: bool = False
    store: Path | None = None
    max_store: int = 1024 * 1024 * 1024
    keep_secrets: bool = False
    max_body: int = 10 * 1024 * 1024
    forward_timeout_s: float = 30.0
    wait_for_handler_s: float = 0.0
    count: int | None = None
    timeout_s: float | None = None
    drain_s: float = DRAIN_S
    expect: Expectation | None = None


@frozen(kw_only=True)
class Serving:
    """A running listener. `url` is its URL on this machine, and `origin` is the local URL for tunnels.

    `context` is what a source needs to feed the pipeline. Invocations from sources other than the HTTP server wait
    until `accept` is called, so that the session reports its start before the first invocation. The listener responds
    to its own probes at `probe_endpoint`. `public` holds the public URL, which requests depend on. The session records
    the URL of an opened tunnel there. `after_drain` is closed after the last HTTP response, before the pipeline and the
    store.
    """

    url: str
    origin: str
    flow: Pipeline
    context: SourceContext
    accept: Callable[[], None] = field(repr=False)
    probe_endpoint: ProbeEndpoint
    public: PublicAddress
    after_drain: AsyncExitStack = field(repr=False)
    record_address: Callable[[str, float], None] = field(repr=False)


@asynccontextmanager
async def served(
    plan: ListenPlan,
    runtime: Runtime,
    observer: Observer,
    *,
    public_url: str | None = None,
    sources: Sequence[OpenSource] = (),
) -> AsyncIterator[Serving]:
    """Listen until the context ends. Requests in progress then get `plan.drain_s` seconds.

    `public_url` is the URL of a tunnel that the user runs. The URL of any other tunnel is known later. Each of
    `sources` is opened after the HTTP source, and feeds the same pipeline.
    """
    async with AsyncExitStack() as stack:
        public = PublicAddress(public_url)
        flow, messages, writer = await _open_pipeline(
            stack, plan, runtime, observer, public, with_messages=bool(sources)
        )
        after_drain = await stack.enter_async_context(AsyncExitStack())  # closes the tunnel
        context = SourceContext(
            receive=flow.receive,
            notice=observer.notice,
            now=runtime.now,
            new_id=runtime.new_id,
            mount=plan.policy.routes.mount,
            max_body=plan.max_body,
            is_counted=plan.count is not None,
            messages=messages,
            leave=flow.leave,
        )
        probe_endpoint = ProbeEndpoint(path=f"/.port-hook/{secrets.token_hex(16)}", token=secrets.token_hex(16))
        server = HttpSource(context, probe_endpoint=probe_endpoint, names=public.names)
        start = server.start_at_next_port if plan.may_move else server.start
        host, port = await start(plan.host, plan.port)
        if plan.port not in {0, port}:
            observer.notice(f"Port {plan.port} has another port-hook listener, so this listener uses {port}.")
        if not server.is_on_loopback:
            observer.notice(f"warning: {plan.host}: everyone on your network can send requests to this listener.")
        running: list[Source] = [server]
        stack.push_async_callback(_drain, running, flow.turns, writer, plan.drain_s)
        _refuse_to_loop(plan, host, port)
        url = http_url(host, port) + plan.policy.routes.mount
        origin = http_url(_NEAREST.get(host, host), port)
        waiting = _WaitingPipeline(flow)
        source_context = replace(context, receive=waiting.receive, new_group=waiting.new_group)
        for open_source in sources:
            running.append(await open_source(source_context))  # noqa: PERF401 - if one fails, open sources are closed

        def accept() -> None:
            waiting.accept()
            asyncio.get_running_loop().call_soon(server.prepare)

        yield Serving(
            url=url,
            origin=origin,
            flow=flow,
            context=source_context,
            accept=accept,
            probe_endpoint=probe_endpoint,
            public=public,
            after_drain=after_drain,
            record_address=writer.record_address,
        )


async def _open_pipeline(
    stack: AsyncExitStack,
    plan: ListenPlan,
    runtime: Runtime,
    observer: Observer,
    public: PublicAddress,
    *,
    with_messages: bool,
) -> tuple[Pipeline, MessageLog, StoreWriter]:
    """Open the store, its writer, the forwarder, and the pipeline in front of them. `stack` closes all of them.

    With `with_messages`, the saved Kafka messages are read for the sources that need them. The writer is closed last,
    so that everything from the pipeline is in the store.
    """
    store = open_store(
        plan.store,
        runtime.cwd,
        create=True,
        max_size=plan.max_store,
        keep_secrets=plan.keep_secrets,
    )
    for warning in store.warnings:
        observer.notice(f"note: {warning}")
    _record_session(store, plan, observer)
    # The clock of a sender may be ahead by the tolerance, so its signatures are accepted for up to twice as long.
    kept_s = 2 * plan.policy.tolerance_s
    seen = _recent_signatures(store, runtime.now() - kept_s, kept_s)
    writer = StoreWriter(store, asyncio.get_running_loop(), warn=lambda loss: observer.notice(f"warning: {loss}"))
    # The messages are read before anything is written. After that, only the writer uses the store.
    messages = _message_log(store, writer) if with_messages else MessageLog()
    stack.push_async_callback(writer.close)
    forwarder = await stack.enter_async_context(
        HttpClient(timeout_s=plan.forward_timeout_s, whole_body=True, wait_s=plan.wait_for_handler_s)
    )
    flow = Pipeline(
        plan.policy,
        store=writer,
        forwarder=forwarder,
        observer=observer,
        public=public,
        seen=seen,
        is_true=await _start_jq(stack, plan.policy.routes.expressions, observer),
    )
    stack.callback(flow.close)
    return flow, messages, writer


async def _start_jq(stack: AsyncExitStack, expressions: Sequence[str], observer: Observer) -> IsTrue | None:
    """Start jq if a route needs it, and return the function that evaluates jq expressions. Raises UsageError."""
    if not expressions:
        return None
    from port_hook_cli.engines.jq_owner import JqOwner

    evaluating = RouteExpressions(observer.notice, stack.enter_context(JqOwner()))
    await evaluating.check(expressions)
    return evaluating.is_true


class _WaitingPipeline:
    """A pipeline that starts when `accept` is called."""

    def __init__(self, flow: Pipeline) -> None:
        self._flow = flow
        self._accepting = asyncio.Event()
        self.accept = self._accepting.set

    async def receive(self, invocation: Invocation, client: str) -> Response | None:
        """Wait until the listener accepts invocations, and then return the result of `Pipeline.receive`."""
        await self._accepting.wait()
        return await self._flow.receive(invocation, client)

    def new_group(self) -> MessageGroup | None:
        """Return the result of `Pipeline.new_group`, or None until the listener accepts invocations."""
        return self._flow.new_group() if self._accepting.is_set() else None


async def _drain(sources: Sequence[Source], turns: Turns, writer: StoreWriter, drain_s: float) -> None:
    """Close all sources concurrently, so that together they take only as long as the slowest source.

    Afterward, the store has the outcomes of all requests, which the inspector of this listener still shows.
    """
    turns.close()
    await asyncio.gather(*(source.close(drain_s) for source in sources))
    await writer.flush()


def _message_log(store: CaptureStore, writer: StoreWriter) -> MessageLog:
    return MessageLog(positions=store.kafka_positions(), saved=tuple(store.saved_messages()), keep=writer.keep_position)


def _record_session(store: CaptureStore, plan: ListenPlan, observer: Observer) -> None:
    """Record the target of this session, for `replay` without a target. The listener also works if this fails."""
    try:
        store.record_session(plan.policy.routes.default)
    except StoreError as error:
        observer.notice(f"note: A replay of these captures will need --to: {error.message}")


def _refuse_to_loop(plan: ListenPlan, host: str, port: int) -> None:
    """Raise UsageError for a target that may be the listener itself.

    The listener would forward each request to itself.
    """
    for target in plan.policy.routes.targets:
        target_host, target_port = handler_address(target)
        if target_port == port and (target_host == host or may_be_on_this_machine(target)):
            raise UsageError(f"{target} is this listener itself.", hint="Use the port that your handler listens on.")


def _recent_signatures(store: CaptureStore, since_s: float, kept_s: float) -> dict[bytes, SeenRequest]:
    found = {}
    for text, received_at, signed_at in store.recent_signatures(since_s):
        if (key := signature_key(Headers(((SIGNATURE_HEADER, text),)))) is not None:
            found[key] = SeenRequest(received_at + kept_s, signed_at)
    return found


MOST_STOPPED = 3
"""The number of jq routes that jq may have to stop. After that, all of them are off, which bounds the delay."""

_OUT_OF_TIME = "the jq routes of one request took too long together"


class RouteExpressions:
    """Evaluates one jq expression at a time, so that all requests that wait for jq block only one thread.

    `notice` is called once for each expression that fails. An expression that had to be stopped is never evaluated
    again, because it would delay every request.
    """

    def __init__(self, notice: Callable[[str], None], jq: JqOwner) -> None:
        self._notice, self._jq = notice, jq
        self._turn = asyncio.Lock()
        self._stopped: dict[str, JqError] = {}
        self._reported: set[str] = set()

    async def check(self, expressions: Sequence[str]) -> None:
        """Start jq. Raises UsageError for an invalid jq expression."""
        for expression in expressions:
            outcome = await self._evaluate(expression, None, RouteTime())
            if isinstance(outcome, JqError) and outcome.kind == "compile":
                raise UsageError(
                    f"--route jq:{brief(expression)}: {outcome.message}.", hint="Correct the jq expression."
                )
            if expression in self._stopped:
                self._report(expression, outcome)

    async def is_true(self, expression: str, document: Any, time: RouteTime) -> bool:
        """Return whether the first result is neither null nor false. If the expression fails, return False.

        `time` is the time left for the request. An expression that exceeds it is stopped.
        """
        outcome = await self._evaluate(expression, document, time)
        if not isinstance(outcome, JqError):
            return outcome is not UNDEFINED and outcome is not None and outcome is not False
        self._report(expression, outcome)
        return False

    def _is_off(self, expression: str) -> bool:
        return expression in self._stopped or len(self._stopped) >= MOST_STOPPED

    def _report(self, expression: str, error: JqError) -> None:
        if expression in self._reported:
            return
        self._reported.add(expression)
        rest = "Later failures of this route are not shown."
        if self._is_off(expression):
            rest = "This route is now off."
        self._notice(f"note: --route jq:{brief(expression)} failed and did not match: {brief(error.message)}. {rest}")

    async def _evaluate(self, expression: str, document: Any, time: RouteTime) -> Any:
        now = asyncio.get_running_loop().time
        async with self._turn:
            if self._is_off(expression):
                too_many = JqError(expression, "run-time", f"{MOST_STOPPED} other jq routes took too long")
                return self._stopped.get(expression, too_many)
            if time.left_s <= 0:
                return JqError(expression, "run-time", _OUT_OF_TIME)
            began = now()
            try:
                async with asyncio.timeout(time.left_s):
                    return await self._outcome(expression, document)
            except TimeoutError:
                return self._stop(expression, _OUT_OF_TIME)
            finally:
                time.left_s -= now() - began

    def _stop(self, expression: str, reason: str) -> JqError:
        self._stopped[expression] = JqError(expression, "run-time", reason)
        return self._stopped[expression]

    async def _outcome(self, expression: str, document: Any) -> Any:
        try:
            return (await self._jq.aevaluate([expression], document))[0]
        except ExpressionStoppedError as error:
            return self._stop(expression, error.message.replace(shown_expression(expression), "it").rstrip("."))
        except RenderError as error:
            return JqError(expression, "run-time", error.message.rstrip("."))
        except OSError as error:
            return JqError(expression, "run-time", f"jq cannot start: {error.strerror or error}")
        except RecursionError:
            return JqError(expression, "run-time", "the body is nested too deeply")
