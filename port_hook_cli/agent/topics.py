"""The agent's Kafka topics as a source of messages, which are not taken from the agent."""

from __future__ import annotations

from dataclasses import dataclass

from port_hook_cli.agent.inputs import AgentInput, read_document
from port_hook_cli.agent.stream import DRAIN_S, MessageStream, Watching
from port_hook_cli.captures.view.exchange import clock_time
from port_hook_cli.errors import UsageError
from port_hook_cli.http.limits import MIB, format_size
from port_hook_cli.invocations.models import Invocation, MessageOrigin, Response
from port_hook_cli.invocations.source import OpenSource, SourceContext
from port_hook_cli.prediction.message import AgentTransport
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import plain
from port_hook_cli.text.safe import printable

MAX_MESSAGE = 10 * MIB
"""The largest message that is read: as many bytes as `listen` accepts by default."""

_ANY_SIZE = 2**31


@dataclass(frozen=True, slots=True)
class TopicMessages:
    """The messages of the topics that `opening` opens, a `KafkaOpening`."""

    opening: OpenSource
    runtime: Runtime

    async def feed(self, messages: MessageStream) -> None:
        """Pass on each message until the end of the stream; raises PortHookError."""
        source = await self.opening(self._context(messages))
        messages.on_event(Watching())
        try:
            await messages.wait()
        finally:
            messages.end()
            await source.close(DRAIN_S)

    def _context(self, messages: MessageStream) -> SourceContext:
        async def receive(invocation: Invocation, _: str) -> Response | None:
            assert invocation.origin is not None
            source = read_value(invocation.origin, invocation.body)
            await messages.take(source, f"{clock_time(invocation.compared_at)}  {source.name}")
            return None

        return SourceContext(
            receive=receive,
            notice=lambda line: messages.on_event(plain(printable(line))),
            now=self.runtime.now,
            new_id=self.runtime.new_id,
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
