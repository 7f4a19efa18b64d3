"""The sources of messages: the agent's Kafka topics, whose messages are not consumed, or the runs that it polls.

Polled runs are either listed without claiming them, or claimed. Port's documented list has no node runs.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from port_hook_cli.agent.predictor import AgentInput, read_document
from port_hook_cli.agent.stream import DRAIN_S, ClaimLeft, ClaimState, MessageStream, Watching
from port_hook_cli.captures.view.capture import clock_time
from port_hook_cli.errors import PortApiError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.http.limits import MIB, format_size
from port_hook_cli.invocations.models import Invocation, MessageOrigin, Response
from port_hook_cli.invocations.source import OpenSource, SourceContext
from port_hook_cli.invocations.targets import is_on_this_machine
from port_hook_cli.prediction.calls import (
    LIST_PATH,
    MOST_LISTED,
    AgentCall,
    RunQueue,
    acknowledge_call,
    action_of,
    claim_call,
    claimed_runs,
    is_acknowledged,
    is_full,
    listed_runs,
)
from port_hook_cli.prediction.message import AgentTransport
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import Remark, note, plain, warning
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


class _PolledRuns(ABC):
    """Looks for runs every `interval_s` seconds, and passes the runs on."""

    def __init__(self, api: PortApi, interval_s: float) -> None:
        self._api, self._interval_s = api, interval_s
        self._known = _KnownRuns()
        self._handed_out: set[str] = set()  # claimed since the last pause
        self._is_claiming = False

    async def feed(self, messages: MessageStream) -> None:
        """Poll until the end of the stream.

        A run that is being claimed or handled at the end has two seconds to finish.
        """
        messages.on_event(Watching())
        polling = asyncio.create_task(self._poll(messages))
        try:
            await messages.wait()
        finally:
            messages.end()
            is_busy = self._is_claiming or messages.is_busy
            await asyncio.wait({polling}, timeout=DRAIN_S if is_busy else 0)
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    async def _poll(self, messages: MessageStream) -> None:
        """Look for runs. After the first look, an outage is reported once, and does not end the stream."""
        is_first, told = True, ""
        while not messages.ended.done():
            has_more = False
            try:
                has_more = await self._look(messages)
                told = ""
            except Exception as error:  # noqa: BLE001 - the stream raises it
                if not isinstance(error, PortApiError) or is_first:
                    messages.fail(error)
                    return
                if error.message != told:
                    told = error.message
                    messages.on_event(warning(f"{error.message} Trying again."))
            is_first = False
            if not has_more:
                self._handed_out.clear()
                await asyncio.wait({messages.ended}, timeout=self._interval_s)

    @abstractmethod
    async def _look(self, messages: MessageStream) -> bool:
        """Pass new runs on, and return whether more runs may be available without a pause."""


class ListedRuns(_PolledRuns):
    """The agent's action runs in progress that started at or after `since_s` (seconds since the epoch)."""

    def __init__(self, api: PortApi, interval_s: float, *, since_s: float | None = None) -> None:
        super().__init__(api, interval_s)
        self._since_s = since_s
        self._is_full_told = False

    async def _look(self, messages: MessageStream) -> bool:
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
            await messages.take(_input(run, RunQueue.ACTIONS), _title(run, RunQueue.ACTIONS))
        return False


@dataclass(slots=True)
class _Claim:
    """A claimed run."""

    queue: RunQueue
    run_id: str
    state: ClaimState = ClaimState.CLAIMED


class ClaimedRuns(_PolledRuns):
    """The runs that Port hands out to the agent. Another running agent does not get these runs.

    A run is acknowledged just before its request is sent. `reports` means that the stream reports runs to Port.
    """

    def __init__(self, api: PortApi, interval_s: float, *, reports: bool) -> None:
        super().__init__(api, interval_s)
        self._reports = reports
        self._queues = list(RunQueue)

    async def _look(self, messages: MessageStream) -> bool:
        """Claim and handle one run of each kind. Return whether any of the runs is new since the last pause."""
        has_new = False
        for queue in tuple(self._queues):
            if messages.ended.done():
                break
            # Runs are claimed one at a time. So no claimed run waits for another, and no run is claimed after the last
            # run of a count.
            for run in await self._claim_from(queue, messages):
                run_id = str(run[queue.id_key])
                has_new = has_new or run_id not in self._handed_out
                self._handed_out.add(run_id)
                await self._handle(run, queue, messages)
        return has_new

    async def _claim_from(self, queue: RunQueue, messages: MessageStream) -> list[dict[str, Any]]:
        self._is_claiming = True
        try:
            return claimed_runs(queue, await self._call(claim_call(queue, 1)))
        except PortApiError as error:
            if queue is RunQueue.NODES and error.status == HTTPStatus.NOT_FOUND:
                self._queues.remove(queue)
                messages.on_event(_NO_NODE_RUNS)
                return []
            raise
        except asyncio.CancelledError:
            messages.on_event(_CLAIM_WITHOUT_RESPONSE)
            raise
        finally:
            self._is_claiming = False

    async def _handle(self, run: dict[str, Any], queue: RunQueue, messages: MessageStream) -> None:
        claim = _Claim(queue, str(run[queue.id_key]))
        if claim.run_id in self._known:  # Port handed it out again, usually because it was not acknowledged
            return
        take = partial(self._acknowledge, claim, messages)
        try:
            is_sent = await messages.take(_input(run, queue), _title(run, queue), take)
        except asyncio.CancelledError:
            self._leave(claim, messages)
            raise
        if claim.state is not ClaimState.UNCLEAR:  # if Port hands the run out again, it can be acknowledged
            self._known.keep([claim.run_id])
        if not is_sent or not self._reports:
            self._leave(claim, messages)

    async def _acknowledge(self, claim: _Claim, messages: MessageStream) -> bool:
        """Acknowledge a run, and return whether Port accepted the acknowledgment.

        Like the agent, port-hook continues after a rejection. The call is not repeated if its response is lost, because
        a second call could look as if another agent had the run.
        """
        claim.state = ClaimState.UNCLEAR
        try:
            response = await self._call(acknowledge_call(claim.queue, claim.run_id), repeatable=False)
        except PortApiError as error:
            claim.state = _state_after(error)
            if claim.state is not ClaimState.LOST:
                messages.on_event(warning(error.message))
        else:
            claim.state = ClaimState.ACKNOWLEDGED if is_acknowledged(claim.queue, response) else ClaimState.LOST
        return claim.state is ClaimState.ACKNOWLEDGED

    def _leave(self, claim: _Claim, messages: MessageStream) -> None:
        messages.on_event(ClaimLeft(claim.run_id, claim.state, self._reports))

    async def _call(self, call: AgentCall, *, repeatable: bool = True) -> Mapping[str, Any]:
        return await self._api.call(call.method, call.path, call.body, repeatable=repeatable, headers=call.headers)


_NO_NODE_RUNS: Remark = note("Port has no route to claim workflow node runs, so only action runs are claimed")
_CLAIM_WITHOUT_RESPONSE: Remark = warning(
    "Port did not respond in time to the last claim, so a run may be claimed. Port does not document when it hands out "
    "such a run again."
)


def _state_after(error: PortApiError) -> ClaimState:
    """Return the state of a claim after its acknowledgment has failed."""
    if error.status == HTTPStatus.CONFLICT:
        return ClaimState.LOST
    return ClaimState.UNCLEAR if error.status is None else ClaimState.CLAIMED


def _input(run: dict[str, Any], queue: RunQueue) -> AgentInput:
    return AgentInput(name=str(run[queue.id_key]), document=run, transport=AgentTransport.POLLING)


def _title(run: dict[str, Any], queue: RunQueue) -> str:
    return f"{run[queue.id_key]}  {action_of(run)}".rstrip()
