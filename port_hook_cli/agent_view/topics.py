"""`agent --kafka`: watches the messages of the agent's topics without taking them from the agent."""

from __future__ import annotations

from collections.abc import Callable

from port_hook_cli.agent_view.inputs import read_document
from port_hook_cli.agent_view.mappings import StreamMappings
from port_hook_cli.agent_view.plan import AgentPlan, StreamPlan
from port_hook_cli.agent_view.sending import reporting
from port_hook_cli.agent_view.session import AgentInput, AgentSession
from port_hook_cli.agent_view.streaming import DRAIN_S, MessageStream, run_stream
from port_hook_cli.captures.view.exchange import clock_time
from port_hook_cli.errors import ExitCode, UsageError
from port_hook_cli.http.limits import MIB, format_size
from port_hook_cli.invocations.models import Invocation, MessageOrigin, Response
from port_hook_cli.invocations.source import SourceContext
from port_hook_cli.kafka.opening import KafkaOpening, KafkaOptions, kafka_opening
from port_hook_cli.port_api.credentials import open_port_api
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.prediction.message import AgentTransport
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import tell
from port_hook_cli.text.safe import printable

MAX_MESSAGE = 10 * MIB
"""The largest message that is read: as many bytes as `listen` accepts by default."""

_ANY_SIZE = 2**31
_NEW_ONLY = "Only new messages are shown; --since 10m also shows those of the last 10 minutes."
_STOP = "Stop with Ctrl-C."


def open_topics(
    plan: AgentPlan, stream: StreamPlan, runtime: Runtime, settings: Callable[[], Settings]
) -> KafkaOpening:
    """Return what opens the topics; raises SettingsError and BrokerError. `settings` returns those of Port's API."""
    options = KafkaOptions(since_s=stream.since_s, from_end=stream.since_s is None, forwards=plan.send)
    return kafka_opening(runtime, lambda: open_port_api(settings(), runtime, timeout_s=plan.api_timeout_s), options)


async def show_topics(
    session: AgentSession, plan: StreamPlan, mappings: StreamMappings, opening: KafkaOpening
) -> ExitCode:
    """Show each message of the topics, until Ctrl-C or the plan's `count`; raises PortHookError."""

    async def work() -> ExitCode:
        async with reporting(session) as port:
            stream = MessageStream(session, plan, mappings, port)
            source = await opening(_context(session, stream))
            tell(_STOP if plan.since_s is not None else f"{_NEW_ONLY} {_STOP}", session.runtime)
            try:
                return await stream.wait()
            finally:
                stream.end()
                await source.close(DRAIN_S)

    return await run_stream(work)


def _context(session: AgentSession, stream: MessageStream) -> SourceContext:
    runtime = session.runtime

    async def receive(invocation: Invocation, _: str) -> Response | None:
        assert invocation.origin is not None
        source = read_value(invocation.origin, invocation.body)
        await stream.take(source, f"{clock_time(invocation.compared_at)}  {source.name}")
        return None

    return SourceContext(
        receive=receive,
        notice=lambda line: tell(printable(line), runtime),
        now=runtime.now,
        new_id=runtime.new_id,
        max_body=_ANY_SIZE,  # messages larger than MAX_MESSAGE are shown, with that reason
        is_counted=True,  # one at a time
    )


def read_value(origin: MessageOrigin, value: bytes) -> AgentInput:
    """Return a message of a topic, or why it cannot be read."""
    document, problem = None, ""
    if len(value) > MAX_MESSAGE:
        problem = f"{origin.name} has {len(value):,} bytes, more than {format_size(MAX_MESSAGE)}."
    else:
        try:
            document = read_document(value, origin.name, hint="")
        except UsageError as error:
            problem = error.message
    return AgentInput(
        name=origin.name, document=document, transport=AgentTransport.KAFKA, origin=origin, problem=problem
    )
