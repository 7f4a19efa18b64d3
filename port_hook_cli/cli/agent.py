"""`port-hook agent`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from port_hook_cli.cli.agent_options import (
    AgentArrivals,
    AgentMappingFile,
    AgentOutput,
    AgentReading,
    AgentReporting,
    AgentResponses,
    AgentSecret,
    AgentSending,
    Message,
)
from port_hook_cli.cli.declaration import refuse_contradictions
from port_hook_cli.cli.exit_codes import ExitCode, exit_code_of
from port_hook_cli.cli.option_groups import command
from port_hook_cli.errors import PortHookError, UsageError
from port_hook_cli.prediction.message import Acceptance, AgentTransport
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import Remark, hint, note, plain
from port_hook_cli.text.safe import printable

if TYPE_CHECKING:
    from port_hook_cli.agent.inputs import AgentInput
    from port_hook_cli.agent.mappings import MappingChoice
    from port_hook_cli.agent.performing import AgentSender, Performed
    from port_hook_cli.agent.predictor import Predictor
    from port_hook_cli.agent.stream import StreamEnd
    from port_hook_cli.cli.agent_screen import AgentScreen
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.prediction.prediction import ShownPrediction

_WATCH_INTERVAL_S = 0.3
_STOP = plain("Stop with Ctrl-C.")
_NEW_ONLY = "Only new messages are shown; --since 10m also shows those of the last 10 minutes."
_MAY_BE_HANDLED = note("the agent may have handled these runs already; Port's list has no runs of workflow nodes")
_OTHER_SECRET = hint(
    "Another client secret may have signed it: without --state, each start of a sandbox makes a new one. To see what "
    "would be sent, remove the two signature headers from the message."
)


@command
def agent(
    ctx: typer.Context,
    *,
    source: Message = None,
    reading: AgentReading,
    arrivals: AgentArrivals,
    mapping: AgentMappingFile,
    responses: AgentResponses,
    sending: AgentSending,
    reporting: AgentReporting,
    secret: AgentSecret,
    output: AgentOutput,
) -> ExitCode:
    """Show what Port's execution agent does with a message: mapping, request, reports.

    Prints which mapping is used, the exact request, and the calls to Port for each response. Nothing is sent without
    --send. Expressions read only the environment variables of --env; in the agent, they can read all.
    """
    _refuse_values(reading, arrivals, responses, sending)
    if mapping.check is not None:
        return _check(mapping.check, ctx.obj, json=output.json)
    if not source and not arrivals.follows:
        raise UsageError(
            "Missing argument MESSAGE.",
            hint="Name a message, add --kafka or --poll to show messages as they arrive, or check a mapping file with "
            "--check FILE.",
        )
    if output.raw and arrivals.follows and arrivals.count != 1:
        raise UsageError("--raw prints the bytes of one request, but more messages may arrive.", hint="Add --count 1.")
    if mapping.watch and mapping.mapping == "-":
        raise UsageError("stdin cannot be watched.", hint="Give the mapping as a file.")
    given = _Options(
        runtime=ctx.obj,
        reading=reading,
        arrivals=arrivals,
        mapping=mapping,
        responses=responses,
        sending=sending,
        reporting=reporting,
        secret=secret,
        output=output,
    )
    if source:
        return _show_message(source, given)
    return _follow_runs(given) if arrivals.poll else _follow_topics(given)


def _refuse_values(
    reading: AgentReading, arrivals: AgentArrivals, responses: AgentResponses, sending: AgentSending
) -> None:
    """Raise UsageError for contradictions that depend on values, or on two other options."""
    claims = arrivals.poll and sending.send
    refuse_contradictions(
        {"--send": sending.send, "--status": responses.status is not None},
        {"--send": sending.send, "--response": responses.response is not None},
        {"--kafka": arrivals.kafka, "--transport polling": reading.transport is AgentTransport.POLLING},
        {"--poll": arrivals.poll, "--transport kafka": reading.transport is AgentTransport.KAFKA},
        pointless={
            "No run is claimed without --poll and --send": {"--take-over": arrivals.take_over and not claims},
            "Runs are claimed whatever their age": {"--since": claims and arrivals.since is not None},
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """The options of one call, in groups."""

    runtime: Runtime
    reading: AgentReading
    arrivals: AgentArrivals
    mapping: AgentMappingFile
    responses: AgentResponses
    sending: AgentSending
    reporting: AgentReporting
    secret: AgentSecret
    output: AgentOutput

    def access(self, *, needs_api: bool) -> PortAccess:
        from port_hook_cli.port_api.access import PortAccess
        from port_hook_cli.port_api.settings import ALL_NEEDS, ONLY_THE_SECRET
        from port_hook_cli.terminal.console import sayer

        return PortAccess(
            self.runtime,
            sayer(self.runtime),
            org=self.secret.org,
            secret_file=self.secret.secret_file,
            insecure_api=self.reporting.insecure_api,
            needs=ALL_NEEDS if needs_api else ONLY_THE_SECRET,
            timeout_s=self.reporting.api_timeout_s,
        )

    def mappings(self) -> MappingChoice:
        from port_hook_cli.agent.mappings import MappingChoice
        from port_hook_cli.terminal.console import sayer

        return MappingChoice(
            named=self.mapping.mapping, sends=self.sending.send, runtime=self.runtime, say=sayer(self.runtime)
        )

    @contextmanager
    def predictor(
        self, access: PortAccess, beginning: Sequence[Remark] = ()
    ) -> Iterator[tuple[Predictor, AgentScreen]]:
        """Yield what predicts messages, and what shows the predictions."""
        from port_hook_cli.agent.inputs import read_response, read_variables
        from port_hook_cli.agent.predictor import Predictor, agent_settings
        from port_hook_cli.cli.agent_screen import AgentScreen
        from port_hook_cli.engines.agent_jq import AgentJq
        from port_hook_cli.prediction.response import default_responses

        runtime, settings = self.runtime, access.settings
        response = read_response(self.responses.response, self.responses.status, runtime)
        variables = read_variables(self.mapping.env or (), runtime)
        agents = agent_settings(settings, runtime.environ, self.reading.agent_version)
        screen = AgentScreen(
            runtime,
            self.output.form,
            default_responses() if response is None else (response,),
            reports=self.reporting.report,
            beginning=beginning,
        )
        with AgentJq(variables) as jq:
            yield Predictor(settings=agents, variables=variables, jq=jq, runtime=runtime), screen


def _check(name: str, runtime: Runtime, *, json: bool) -> ExitCode:
    """Print what is wrong with a mapping file. The code is 1 if the agent does not start or an expression fails."""
    from port_hook_cli.agent.mappings import check_mappings
    from port_hook_cli.cli.agent_screen import show_check
    from port_hook_cli.prediction.mapping import Severity

    checked = check_mappings(name, runtime)
    show_check(name, checked, runtime, json=json)
    return ExitCode.FAILED if checked.worst in {Severity.FATAL, Severity.ERROR} else ExitCode.OK


def _show_message(name: str, given: _Options) -> ExitCode:
    """Predict one message, show it, and if asked to, send its request and report."""
    from port_hook_cli.agent.inputs import read_message
    from port_hook_cli.terminal.console import sayer, tell

    runtime, sender = given.runtime, given.sending.sender()
    message = read_message(name, given.reading.transport, given.reading.store, runtime, sayer(runtime))
    access = given.access(needs_api=given.reporting.report)
    with given.predictor(access) as (predictor, screen):
        if given.mapping.watch:
            _watch(message, predictor, given, screen)
        shown = predictor.predict(message, given.mappings().read())
        if sender is not None and shown.prediction.wire is not None:
            import asyncio

            return _code_of(asyncio.run(_send(shown, sender, given, access, screen)))
        screen.show(shown)
    if shown.prediction.message.acceptance is Acceptance.BAD_SIGNATURE:
        tell(_OTHER_SECRET.line, runtime)
    return ExitCode.FAILED if given.sending.send else ExitCode.OK


async def _send(
    shown: ShownPrediction, sender: AgentSender, given: _Options, access: PortAccess, screen: AgentScreen
) -> Performed:
    from port_hook_cli.agent.performing import perform, require_reportable

    url = sender.target.url_for(shown)
    if given.reporting.report:
        require_reportable(shown)
    async with access.client() if given.reporting.report else nullcontext() as port:
        return await perform(shown, url, sender.send, port, screen.on_event)


def _watch(message: AgentInput, predictor: Predictor, given: _Options, screen: AgentScreen) -> NoReturn:
    """Show the prediction again whenever the mapping file changes, until Ctrl-C."""
    import time

    from port_hook_cli.agent.mappings import WatchedMappings
    from port_hook_cli.terminal.console import tell

    runtime = given.runtime
    watched = WatchedMappings(given.mappings())
    is_first = True
    while True:
        if watched.has_changed():
            if not is_first and not given.output.json:
                print(f"\n--- {printable(watched.name)} has changed\n", file=runtime.stdout, flush=True)
            is_first = False
            mappings = watched.read()
            try:
                if mappings is not None:
                    screen.show(predictor.predict(message, mappings))
            except PortHookError as problem:  # an expression is being edited
                tell(f"error: {problem.message}", runtime)
            runtime.stdout.flush()
        time.sleep(_WATCH_INTERVAL_S)


def _follow_topics(given: _Options) -> ExitCode:
    """Show the messages of the topics as they arrive, and if asked to, send their requests."""
    from port_hook_cli.agent.mappings import stream_mappings
    from port_hook_cli.agent.stream import stream
    from port_hook_cli.agent.topics import TopicMessages
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

        async def work() -> StreamEnd:
            async with access.client() if reports else nullcontext() as port:
                reporting = None if sender is None else replace(sender, port=port)
                return await stream(source, predictor, mappings, reporting, given.arrivals.count, screen.on_event)

        return _until_stopped(work)


def _follow_runs(given: _Options) -> ExitCode:
    """Show the runs that the agent gets by polling; or with --send, claim them and send their requests."""
    from port_hook_cli.agent.claims import ClaimedRuns, ListedRuns, polling_interval_s
    from port_hook_cli.agent.mappings import stream_mappings
    from port_hook_cli.agent.stream import stream

    since_s = given.arrivals.since_s(given.runtime.now())
    sender, reports = given.sending.sender(), given.reporting.report
    access = given.access(needs_api=True)
    api_url = access.settings.api_url
    with given.predictor(access, _beginning(api_url, claims=sender is not None)) as (predictor, screen):
        mappings = stream_mappings(given.mappings(), watch=given.mapping.watch)

        async def work() -> StreamEnd:
            if sender is not None:
                await _confirm(api_url, given)
            async with access.client() as api:
                if sender is None:
                    listed = ListedRuns(api, polling_interval_s(api_url), since_s=since_s)
                    return await stream(listed, predictor, mappings, None, given.arrivals.count, screen.on_event)
                claimed = ClaimedRuns(api, polling_interval_s(api_url), reports=reports)
                reporting = replace(sender, port=api) if reports else sender
                return await stream(claimed, predictor, mappings, reporting, given.arrivals.count, screen.on_event)

        return _until_stopped(work)


def _beginning(api_url: str, *, claims: bool) -> tuple[Remark, ...]:
    url = printable(api_url)
    if claims:
        return plain(f"Claiming runs from {url}; a running execution agent does not get them."), _STOP
    return plain(f"Showing the action runs in progress at {url}; nothing is claimed."), _MAY_BE_HANDLED, _STOP


async def _confirm(api_url: str, given: _Options) -> None:
    from functools import partial

    from port_hook_cli.terminal.prompts import can_ask, confirm_in_loop

    ask = partial(confirm_in_loop, runtime=given.runtime, default=False) if can_ask(given.runtime) else None
    await confirm_claims(api_url, take_over=given.arrivals.take_over, yes=given.arrivals.yes, ask=ask)


async def confirm_claims(
    api_url: str, *, take_over: bool, yes: bool, ask: Callable[[str], Awaitable[bool]] | None
) -> None:
    """Ask before claiming runs that a running agent would get. A sandbox on this machine needs no confirmation.

    Raises UsageError unless the user agrees. `ask` asks a yes-or-no question; it is None without a terminal.
    """
    from port_hook_cli.invocations.forwarding import is_on_this_machine

    if is_on_this_machine(api_url):
        return
    what = f"--poll --send claims runs from {printable(api_url)}, so a running execution agent does not get them."
    if not take_over:
        raise UsageError(what, hint="Leave out --send to only show the runs, or add --take-over to claim them.")
    if yes:
        return
    if ask is None:
        raise UsageError(
            "--take-over takes runs away from the agent and needs confirmation, but there is no terminal.",
            hint="Add --yes.",
        )
    if not await ask(f"{what} Take over?"):
        raise UsageError("No run was claimed.", hint="Leave out --send to only show the runs.")


def _until_stopped(work: Callable[[], Coroutine[Any, Any, StreamEnd]]) -> ExitCode:
    """Do `work` until it ends, or until Ctrl-C or SIGTERM, which cancels it. Return the exit code."""
    import asyncio

    from port_hook_cli.terminal.signals import stop_signal
    from port_hook_cli.terminal.threads import UnwaitedThreads

    async def run() -> ExitCode:
        asyncio.get_running_loop().set_default_executor(UnwaitedThreads())
        with stop_signal() as stop:
            working, stopping = asyncio.create_task(work()), asyncio.create_task(stop.wait())
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not working.done():
                working.cancel()
            try:
                return _code_of((await working).failure)
            except asyncio.CancelledError:
                return ExitCode.OK

    return asyncio.run(run())


def _code_of(end: Performed | PortHookError | None) -> ExitCode:
    if end is None:
        return ExitCode.OK
    if isinstance(end, PortHookError):
        return exit_code_of(end)
    return ExitCode.TARGET if end.delivery.status is None else ExitCode.OK if end.delivery.ok else ExitCode.FAILED
