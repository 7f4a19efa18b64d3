"""`agent` with an event loop: follows incoming messages and sends requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from port_hook_cli.agent.mappings import stream_mappings
from port_hook_cli.agent.performing import AgentSender, Performed, perform, require_reportable
from port_hook_cli.agent.sources import ClaimedRuns, ListedRuns, polling_interval_s
from port_hook_cli.agent.stream import AgentFailure, MessageSource, MessageStream
from port_hook_cli.cli.agent_options import AgentOptions
from port_hook_cli.cli.agent_screen import AgentScreen
from port_hook_cli.cli.exit_codes import ExitCode, exit_code_of
from port_hook_cli.errors import PortHookError, UsageError
from port_hook_cli.invocations.targets import is_on_this_machine
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.prediction.prediction import ShownPrediction
from port_hook_cli.terminal.prompts import can_ask, confirm_in_loop
from port_hook_cli.terminal.signals import stop_signal
from port_hook_cli.terminal.threads import UnwaitedThreads
from port_hook_cli.text.remark import Remark, note, plain
from port_hook_cli.text.safe import printable

_STOP = plain("Stop with Ctrl-C.")
_NEW_ONLY = "Showing only new messages. To include the last 10 minutes, add --since 10m."
_MAY_BE_HANDLED = note("the agent may have handled these runs already. Port's list does not include workflow node runs")


def send_once(shown: ShownPrediction, sender: AgentSender, access: PortAccess | None, screen: AgentScreen) -> ExitCode:
    """Send the request of one message. If `access` is not None, report the run to Port."""
    url = sender.target.url_for(shown)
    if access is not None:
        require_reportable(shown)

    async def work() -> Performed:
        async with nullcontext() if access is None else access.client() as port:
            return await perform(shown, url, sender.send, port, screen.on_event)

    return _code_of(asyncio.run(work()))


def follow_topics(given: AgentOptions) -> ExitCode:
    """Show the messages of the topics as they arrive. With --send, send the requests of the messages."""
    from port_hook_cli.agent.sources import TopicMessages
    from port_hook_cli.kafka.opening import KafkaOptions, kafka_opening, load_kafka_settings

    since_s = given.arrivals.since_s(given.runtime.now())
    sender, reports = given.sending.sender(), given.reporting.report
    kafka = load_kafka_settings(given.runtime)
    access = given.access(needs_api=reports or not kafka.is_complete)
    how = KafkaOptions(since_s=since_s, from_end=since_s is None, forwards=sender is not None)
    source = TopicMessages(kafka_opening(given.runtime, access.client, how), given.runtime)
    beginning = _STOP if since_s is not None else plain(f"{_NEW_ONLY} {_STOP.text}")
    with given.predictor(access, (beginning,)) as (predictor, screen):
        mappings = stream_mappings(given.mappings(), watch=given.mapping.watch)

        async def work() -> AgentFailure | None:
            async with access.client() if reports else nullcontext() as port:
                reporting = None if sender is None else replace(sender, port=port)
                messages = MessageStream(predictor, mappings, reporting, given.arrivals.count, screen.on_event)
                return await messages.take_all(source)

        return _until_stopped(work)


def follow_runs(given: AgentOptions) -> ExitCode:
    """Show the runs that the agent gets by polling. With --send, claim the runs and send their requests."""
    since_s = given.arrivals.since_s(given.runtime.now())
    sender, reports = given.sending.sender(), given.reporting.report
    access = given.access(needs_api=True)
    api_url = access.settings.api_url
    with given.predictor(access, _beginning(api_url, claims=sender is not None)) as (predictor, screen):
        mappings = stream_mappings(given.mappings(), watch=given.mapping.watch)

        async def work() -> AgentFailure | None:
            if sender is not None:
                await _confirm(api_url, given)
            async with access.client() as api:
                source: MessageSource = ListedRuns(api, polling_interval_s(api_url), since_s=since_s)
                reporting = sender
                if sender is not None:
                    source = ClaimedRuns(api, polling_interval_s(api_url), reports=reports)
                    reporting = replace(sender, port=api) if reports else sender
                messages = MessageStream(predictor, mappings, reporting, given.arrivals.count, screen.on_event)
                return await messages.take_all(source)

        return _until_stopped(work)


def _beginning(api_url: str, *, claims: bool) -> tuple[Remark, ...]:
    url = printable(api_url)
    if claims:
        return plain(f"Claiming runs from {url}. A running execution agent does not get them."), _STOP
    return plain(f"Showing the action runs in progress at {url}, without claiming them."), _MAY_BE_HANDLED, _STOP


async def _confirm(api_url: str, given: AgentOptions) -> None:
    ask = partial(confirm_in_loop, runtime=given.runtime, default=False) if can_ask(given.runtime) else None
    await confirm_claims(api_url, take_over=given.arrivals.take_over, yes=given.arrivals.yes, ask=ask)


async def confirm_claims(
    api_url: str, *, take_over: bool, yes: bool, ask: Callable[[str], Awaitable[bool]] | None
) -> None:
    """Ask before claiming runs that a running agent would get. For a sandbox on this machine, don't ask.

    Raises UsageError unless the user agrees. `ask` asks a yes-or-no question, or is None if there is no terminal.
    """
    if is_on_this_machine(api_url):
        return
    what = f"--poll --send claims runs from {printable(api_url)}, so a running execution agent does not get them."
    if not take_over:
        raise UsageError(what, hint="Leave out --send to only show the runs, or add --take-over to claim them.")
    if yes:
        return
    if ask is None:
        raise UsageError(
            "--take-over takes runs away from the agent. port-hook cannot ask for confirmation because this is not a "
            "terminal.",
            hint="Pass --yes.",
        )
    if not await ask(f"{what} Take over?"):
        raise UsageError("No run was claimed.", hint="Leave out --send to only show the runs.")


def _until_stopped(work: Callable[[], Coroutine[Any, Any, AgentFailure | None]]) -> ExitCode:
    """Run `work` until it ends, or until Ctrl-C or SIGTERM cancels it. Return the exit code."""

    async def run() -> ExitCode:
        asyncio.get_running_loop().set_default_executor(UnwaitedThreads())
        with stop_signal() as stop:
            working, stopping = asyncio.create_task(work()), asyncio.create_task(stop.wait())
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not working.done():
                working.cancel()
            try:
                return _code_of(await working)
            except asyncio.CancelledError:
                return ExitCode.OK

    return asyncio.run(run())


def _code_of(end: Performed | PortHookError | None) -> ExitCode:
    if end is None:
        return ExitCode.OK
    if isinstance(end, PortHookError):
        return exit_code_of(end)
    return ExitCode.TARGET if end.delivery.status is None else ExitCode.OK if end.delivery.ok else ExitCode.FAILED
