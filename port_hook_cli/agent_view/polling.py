"""`agent --poll`: lists the runs that the agent gets by polling; with `--send`, claims them as the agent does.

Without `--send`, it reads Port's documented list of runs, which claims none and has no runs of workflow nodes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from port_hook_cli.agent_view.mappings import StreamMappings
from port_hook_cli.agent_view.plan import StreamPlan
from port_hook_cli.agent_view.session import AgentInput, AgentSession, ShownPrediction
from port_hook_cli.agent_view.streaming import DRAIN_S, MessageStream, run_stream
from port_hook_cli.errors import ExitCode, PortApiError, UsageError
from port_hook_cli.invocations.forwarding import is_on_this_machine
from port_hook_cli.port_api.credentials import open_port_api
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
from port_hook_cli.runs.view import report_command
from port_hook_cli.terminal.console import tell
from port_hook_cli.terminal.prompts import can_ask, confirm_in_loop
from port_hook_cli.text.safe import brief, printable

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi

# The agent waits 10 s between its calls. A sandbox does not limit calls.
_INTERVAL_S, _SANDBOX_INTERVAL_S = 10.0, 0.5
_MOST_KNOWN = 10_000


async def show_runs(session: AgentSession, plan: StreamPlan, mappings: StreamMappings) -> ExitCode:
    """Show each run for the agent, until Ctrl-C or the plan's `count`; with `--send`, claim and send each.

    Raises PortHookError.
    """

    async def work() -> ExitCode:
        if session.plan.send:
            ask = partial(confirm_in_loop, runtime=session.runtime, default=False)
            await confirm_claims(session.settings.api_url, plan, can_ask=can_ask(session.runtime), ask=ask)
        async with open_port_api(session.settings, session.runtime, timeout_s=session.plan.api_timeout_s) as api:
            stream = MessageStream(session, plan, mappings, api if session.plan.report else None)
            polling = Polling(session, plan, stream, api)
            return await polling.run()

    return await run_stream(work)


async def confirm_claims(
    api_url: str, plan: StreamPlan, *, can_ask: bool, ask: Callable[[str], Awaitable[bool]]
) -> None:
    """Ask before claiming runs that a running agent would get. A sandbox on this machine needs no confirmation.

    Raises UsageError unless the user agrees. `ask` asks a yes-or-no question; `can_ask` says whether it can.
    """
    if is_on_this_machine(api_url):
        return
    what = f"--poll --send claims runs from {printable(api_url)}, so a running execution agent does not get them."
    if not plan.take_over:
        raise UsageError(what, hint="Leave out --send to only show the runs, or add --take-over to claim them.")
    if plan.yes:
        return
    if not can_ask:
        raise UsageError(
            "--take-over takes runs away from the agent and needs confirmation, but there is no terminal.",
            hint="Add --yes.",
        )
    if not await ask(f"{what} Take over?"):
        raise UsageError("No run was claimed.", hint="Leave out --send to only show the runs.")


class _ClaimState(Enum):
    """What is known about a run that was claimed.

    UNCLEAR: Port may have received the acknowledgment. LOST: another agent has acknowledged the run.
    """

    CLAIMED = auto()
    UNCLEAR = auto()
    LOST = auto()
    ACKNOWLEDGED = auto()


@dataclass(slots=True)
class _Claim:
    """A run that was claimed."""

    run_id: str
    state: _ClaimState = _ClaimState.CLAIMED


class _KnownRuns:
    """The ids of runs that were shown or handled. The oldest are forgotten, so that a long session stays small."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._ids

    def keep(self, ids: Iterable[str]) -> None:
        """Remember these ids longer than the others."""
        listed = dict.fromkeys(ids)
        self._ids = {**{each: None for each in self._ids if each not in listed}, **listed}
        while len(self._ids) > max(_MOST_KNOWN, len(listed)):
            del self._ids[next(iter(self._ids))]

    def clear(self) -> None:
        """Forget all ids."""
        self._ids = {}


class Polling:
    """Looks for runs every `interval_s` seconds, and passes them to a stream.

    The default is the agent's interval, or a shorter interval for a sandbox.
    """

    def __init__(
        self,
        session: AgentSession,
        plan: StreamPlan,
        stream: MessageStream,
        api: PortApi,
        *,
        interval_s: float | None = None,
    ) -> None:
        self._session, self._plan, self._stream, self._api = session, plan, stream, api
        default_s = _SANDBOX_INTERVAL_S if is_on_this_machine(session.settings.api_url) else _INTERVAL_S
        self._interval_s = default_s if interval_s is None else interval_s
        self._known = _KnownRuns()
        self._handed_out: set[str] = set()  # by Port, since the last pause
        self._queues = list(RunQueue)
        self._is_claiming = False
        self._told = ""

    async def run(self) -> ExitCode:
        """Poll until the stream ends. A run that is being claimed or handled then has two seconds to finish."""
        self._tell_start()
        polling = asyncio.create_task(self._poll())
        try:
            return await self._stream.wait()
        finally:
            self._stream.end()
            is_busy = self._is_claiming or self._stream.is_busy
            await asyncio.wait({polling}, timeout=DRAIN_S if is_busy else 0)
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    async def _poll(self) -> None:
        look = self._claim if self._session.plan.send else self._look
        is_first = True
        while not self._stream.ended.done():
            try:
                has_more = await look()
                self._told = ""
            except Exception as error:  # noqa: BLE001 - the session raises it
                if not isinstance(error, PortApiError) or is_first:
                    self._stream.fail(error)
                    return
                self._tell_once(f"warning: {error.message} Trying again.")
                has_more = False
            is_first = False
            if not has_more:
                self._handed_out.clear()
                await asyncio.wait({self._stream.ended}, timeout=self._interval_s)

    def _tell_start(self) -> None:
        url = printable(self._session.settings.api_url)
        if self._session.plan.send:
            self._tell(f"Claiming runs from {url}; a running execution agent does not get them.")
        else:
            self._tell(f"Showing the action runs in progress at {url}; nothing is claimed.")
            self._tell("note: the agent may have handled these runs already; Port's list has no runs of workflow nodes")
        self._tell("Stop with Ctrl-C.")

    async def _look(self) -> bool:
        """Show the new runs in Port's list; return False, because the list has no next page."""
        response = await self._api.call("GET", LIST_PATH)
        found = listed_runs(response, since_s=self._plan.since_s)
        line = f"note: Port lists {MOST_LISTED:,} runs at most; others may be missing"
        if is_full(response) and self._session.runtime.memory.is_new(line):
            self._tell(line)
        new = {run["id"]: run for run in found if run["id"] not in self._known}
        if not is_full(response):  # then those that are not listed have ended
            self._known.clear()
        self._known.keep(run["id"] for run in found)
        for run in new.values():
            await self._stream.take(_input(run, RunQueue.ACTIONS), _title(run, RunQueue.ACTIONS))
        return False

    async def _claim(self) -> bool:
        """Claim and handle one run of each kind; return whether any is new since the last pause."""
        has_new = False
        for queue in tuple(self._queues):
            if self._stream.ended.done():
                break
            # One at a time: no claimed run waits for another, and none is claimed after the last one of --count.
            for run in await self._claim_from(queue):
                run_id = str(run[queue.id_key])
                has_new = has_new or run_id not in self._handed_out
                self._handed_out.add(run_id)
                await self._handle(run, queue)
        return has_new

    async def _claim_from(self, queue: RunQueue) -> list[dict[str, Any]]:
        self._is_claiming = True
        try:
            return claimed_runs(queue, await self._call(claim_call(queue, 1)))
        except PortApiError as error:
            if queue is RunQueue.NODES and error.status == HTTPStatus.NOT_FOUND:
                self._queues.remove(queue)
                self._tell("note: Port has no route to claim runs of workflow nodes, so only action runs are claimed")
                return []
            raise
        except asyncio.CancelledError:
            self._tell(
                "warning: Port did not respond in time to the last claim, so a run may be claimed. Port does not"
                " document when it hands out such a run again."
            )
            raise
        finally:
            self._is_claiming = False

    async def _handle(self, run: dict[str, Any], queue: RunQueue) -> None:
        run_id = str(run[queue.id_key])
        if run_id in self._known:  # Port handed it out again, usually because it was not acknowledged
            return
        claim = _Claim(run_id)
        try:
            is_sent = await self._stream.take(_input(run, queue), _title(run, queue), partial(self._take, queue, claim))
        except asyncio.CancelledError:
            self._tell_left(claim)
            raise
        if claim.state is not _ClaimState.UNCLEAR:  # if Port hands that out again, it can be acknowledged
            self._known.keep([run_id])
        if not is_sent or not self._session.plan.report:
            self._tell_left(claim)

    async def _take(self, queue: RunQueue, claim: _Claim, _: ShownPrediction) -> bool:
        """Acknowledge a run, and return whether that succeeded. Like the agent, continue if it did not.

        The call is not repeated if its response is lost: a second one could look as if another agent had the run.
        """
        claim.state = _ClaimState.UNCLEAR
        try:
            response = await self._call(acknowledge_call(queue, claim.run_id), repeatable=False)
        except PortApiError as error:
            claim.state = _state_after(error)
            if claim.state is not _ClaimState.LOST:
                self._tell(f"warning: {error.message}")
        else:
            claim.state = _ClaimState.ACKNOWLEDGED if is_acknowledged(queue, response) else _ClaimState.LOST
        return claim.state is _ClaimState.ACKNOWLEDGED

    def _tell_left(self, claim: _Claim) -> None:
        """Say what happens to a run that was claimed and is not reported."""
        name = brief(claim.run_id)
        match claim.state:
            case _ClaimState.LOST:
                self._tell(f"note: another agent acknowledged {name} first, so nothing was sent")
            case _ClaimState.CLAIMED:
                self._tell(
                    f"warning: {name} was claimed, but not acknowledged. Port does not document when it hands out such"
                    " a run again; the sandbox does after 60 s."
                )
            case _ClaimState.UNCLEAR:
                self._tell(
                    f"warning: It is not known whether {name} was acknowledged, so nothing was sent. If it was, no"
                    " agent gets it, and it stays IN_PROGRESS."
                )
                self._tell_how_to_report(claim)
            case _ClaimState.ACKNOWLEDGED:
                self._tell(
                    f"warning: port-hook does not report {name}, and no other agent gets it. It stays IN_PROGRESS"
                    " unless your backend reports it."
                )
                self._tell_how_to_report(claim)

    def _tell_how_to_report(self, claim: _Claim) -> None:
        if command := report_command(claim.run_id, failed=False):
            advice = "" if self._session.plan.report else " With --report, port-hook reports runs as the agent does."
            self._tell(f"hint: To report it: {command} (or --status failure).{advice}")

    async def _call(self, call: AgentCall, *, repeatable: bool = True) -> Mapping[str, Any]:
        return await self._api.call(call.method, call.path, call.body, repeatable=repeatable, headers=call.headers)

    def _tell(self, line: str) -> None:
        tell(line, self._session.runtime)

    def _tell_once(self, line: str) -> None:
        if line != self._told:
            self._told = line
            self._tell(line)


def _state_after(error: PortApiError) -> _ClaimState:
    """Return the state of a claim whose acknowledgment has failed."""
    if error.status == HTTPStatus.CONFLICT:
        return _ClaimState.LOST
    return _ClaimState.UNCLEAR if error.status is None else _ClaimState.CLAIMED


def _input(run: dict[str, Any], queue: RunQueue) -> AgentInput:
    return AgentInput(name=str(run[queue.id_key]), document=run, transport=AgentTransport.POLLING)


def _title(run: dict[str, Any], queue: RunQueue) -> str:
    return f"{run[queue.id_key]}  {action_of(run)}".rstrip()
