"""The sources of messages: the agent's Kafka topics or the runs that it polls, without taking them from the agent.

Port's documented list has no node runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from port_hook_cli.agent.predictor import AgentInput, read_document
from port_hook_cli.agent.stream import DRAIN_S, MessageStream, Watching
from port_hook_cli.captures.view.capture import clock_time
from port_hook_cli.errors import PortApiError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.http.limits import MIB, format_size
from port_hook_cli.invocations.models import Invocation, MessageOrigin, Response
from port_hook_cli.invocations.source import OpenSource, SourceContext
from port_hook_cli.invocations.targets import is_on_this_machine
from port_hook_cli.prediction.calls import LIST_PATH, MOST_LISTED, action_of, is_full, listed_runs
from port_hook_cli.prediction.message import AgentTransport
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import note, plain, warning
from port_hook_cli.text.safe import printable

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi


MAX_MESSAGE = 10 * MIB
"""The maximum size of a message, which is the number of bytes that `listen` accepts by default."""

_ANY_SIZE = 2**31


@frozen
class TopicMessages:
    """The messages of the topics that `opening` opens. `opening` is a `KafkaOpening`."""

    opening: OpenSource
    runtime: Runtime

    async def feed(self, messages: MessageStream) -> None:
        """Pass on each message until the end of the stream. Raises PortHookError."""
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
    """Return a message of a topic, or the reason why it cannot be read."""
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


# The agent waits 10 s between its calls. A sandbox does not limit calls.
_INTERVAL_S, _SANDBOX_INTERVAL_S = 10.0, 0.5
_MOST_KNOWN = 10_000


def polling_interval_s(api_url: str) -> float:
    """Return the seconds between two polls for runs: the agent's interval, or a shorter interval for a sandbox."""
    return _SANDBOX_INTERVAL_S if is_on_this_machine(api_url) else _INTERVAL_S


class _KnownRuns:
    """The IDs of runs that the stream has already shown or handled.

    The oldest IDs are forgotten, so that memory use stays small.
    """

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._ids

    def keep(self, ids: Iterable[str]) -> None:
        """Remember these IDs longer than the other IDs."""
        listed = dict.fromkeys(ids)
        self._ids = {**{each: None for each in self._ids if each not in listed}, **listed}
        while len(self._ids) > max(_MOST_KNOWN, len(listed)):
            del self._ids[next(iter(self._ids))]

    def clear(self) -> None:
        """Forget all IDs."""
        self._ids = {}


class ListedRuns:
    """The agent's action runs in progress that started at or after `since_s` (seconds since the epoch).

    Looks for runs every `interval_s` seconds, without claiming them.
    """

    def __init__(self, api: PortApi, interval_s: float, *, since_s: float | None = None) -> None:
        self._api, self._interval_s, self._since_s = api, interval_s, since_s
        self._known = _KnownRuns()
        self._is_full_told = False

    async def feed(self, messages: MessageStream) -> None:
        """Poll until the end of the stream. A run that is being handled at the end has two seconds to finish."""
        messages.on_event(Watching())
        polling = asyncio.create_task(self._poll(messages))
        try:
            await messages.wait()
        finally:
            messages.end()
            await asyncio.wait({polling}, timeout=DRAIN_S if messages.is_busy else 0)
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    async def _poll(self, messages: MessageStream) -> None:
        """Look for runs. After the first look, an outage is reported once, and does not end the stream."""
        is_first, told = True, ""
        while not messages.ended.done():
            try:
                await self._look(messages)
                told = ""
            except Exception as error:  # noqa: BLE001 - the stream raises it
                if not isinstance(error, PortApiError) or is_first:
                    messages.fail(error)
                    return
                if error.message != told:
                    told = error.message
                    messages.on_event(warning(f"{error.message} Trying again."))
            is_first = False
            await asyncio.wait({messages.ended}, timeout=self._interval_s)

    async def _look(self, messages: MessageStream) -> None:
        """Pass on the new runs in Port's list. The list has no next page."""
        response = await self._api.call("GET", LIST_PATH)
        found = listed_runs(response, since_s=self._since_s)
        if is_full(response) and not self._is_full_told:
            self._is_full_told = True
            messages.on_event(note(f"Port lists {MOST_LISTED:,} runs at most, so others may be missing"))
        new = {run["id"]: run for run in found if run["id"] not in self._known}
        if not is_full(response):  # then unlisted runs have ended
            self._known.clear()
        self._known.keep(run["id"] for run in found)
        for run in new.values():
            source = AgentInput(name=str(run["id"]), document=run, transport=AgentTransport.POLLING)
            await messages.take(source, f"{run['id']}  {action_of(run)}".rstrip())
