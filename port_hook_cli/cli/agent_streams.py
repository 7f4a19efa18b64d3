"""`port-agent` with an event loop: follows incoming messages and sends requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from port_hook_cli.agent.mappings import stream_mappings
from port_hook_cli.agent.performing import AgentSender, Performed
from port_hook_cli.agent.sources import ListedRuns, polling_interval_s
from port_hook_cli.agent.stream import AgentFailure, MessageStream
from port_hook_cli.cli.agent_options import AgentOptions
from port_hook_cli.cli.agent_screen import AgentScreen
from port_hook_cli.cli.exit_codes import ExitCode, exit_code_of
from port_hook_cli.errors import PortHookError
from port_hook_cli.prediction.prediction import ShownPrediction
from port_hook_cli.terminal.signals import stop_signal
from port_hook_cli.terminal.threads import UnwaitedThreads
from port_hook_cli.text.remark import note, plain
from port_hook_cli.text.safe import printable

_STOP = plain("Stop with Ctrl-C.")
_NEW_ONLY = "Showing only new messages. To include the last 10 minutes, add --since 10m."
_MAY_BE_HANDLED = note("the agent may have handled these runs already. Port's list does not include workflow node runs")


def send_once(shown: ShownPrediction, sender: AgentSender, screen: AgentScreen) -> ExitCode:
    """Send the request of one message."""
    return _code_of(asyncio.run(sender.perform(shown, screen.on_event)))


def follow_topics(given: AgentOptions) -> ExitCode:
    """Show the messages of the topics as they arrive. With --send, send the requests of the messages."""
    from port_hook_cli.agent.sources import TopicMessages
    from port_hook_cli.kafka.opening import KafkaOptions, kafka_opening, load_kafka_settings

    since_s = given.arrivals.since_s(given.runtime.now())
    sender = given.sending.sender()
    access = given.access(needs_api=not load_kafka_settings(given.runtime).is_complete)
    how = KafkaOptions(since_s=since_s, from_end=since_s is None, forwards=sender is not None)
    source = TopicMessages(kafka_opening(given.runtime, access.client, how), given.runtime)
    beginning = _STOP if since_s is not None else plain(f"{_NEW_ONLY} {_STOP.text}")
    with given.predictor(access, (beginning,)) as (predictor, screen):
        mappings = stream_mappings(given.mappings(), watch=given.mapping.watch)

        async def work() -> AgentFailure | None:
            messages = MessageStream(predictor, mappings, sender, given.arrivals.count, screen.on_event)
            return await messages.take_all(source)

        return _until_stopped(work)


def follow_runs(given: AgentOptions) -> ExitCode:
    """Show the runs that the agent gets by polling, without claiming them."""
    since_s = given.arrivals.since_s(given.runtime.now())
    access = given.access(needs_api=True)
    api_url = access.settings.api_url
    showing = plain(f"Showing the action runs in progress at {printable(api_url)}, without claiming them.")
    with given.predictor(access, (showing, _MAY_BE_HANDLED, _STOP)) as (predictor, screen):
        mappings = stream_mappings(given.mappings(), watch=given.mapping.watch)

        async def work() -> AgentFailure | None:
            async with access.client() as api:
                source = ListedRuns(api, polling_interval_s(api_url), since_s=since_s)
                messages = MessageStream(predictor, mappings, None, given.arrivals.count, screen.on_event)
                return await messages.take_all(source)

        return _until_stopped(work)


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
