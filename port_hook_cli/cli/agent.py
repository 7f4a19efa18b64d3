"""The command `port-hook port-agent`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import typer

from port_hook_cli.cli.agent_options import (
    AgentArrivals,
    AgentMappingFile,
    AgentOptions,
    AgentOutput,
    AgentReading,
    AgentResponses,
    AgentSecret,
    AgentSending,
    Message,
)
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import command, refuse_contradictions
from port_hook_cli.errors import PortHookError, UsageError
from port_hook_cli.prediction.message import Acceptance, AgentTransport
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import hint
from port_hook_cli.text.safe import printable

if TYPE_CHECKING:
    from port_hook_cli.agent.predictor import AgentInput, Predictor
    from port_hook_cli.cli.agent_screen import AgentScreen

_WATCH_INTERVAL_S = 0.3
_OTHER_SECRET = hint(
    "Without --state, each start of a sandbox creates a new secret. To see what would be sent, remove the two "
    "signature headers from the message."
)


@command
def port_agent(
    ctx: typer.Context,
    *,
    source: Message = None,
    reading: AgentReading,
    arrivals: AgentArrivals,
    mapping: AgentMappingFile,
    responses: AgentResponses,
    sending: AgentSending,
    secret: AgentSecret,
    output: AgentOutput,
) -> ExitCode:
    """Show what Port's execution agent does with a message.

    Prints the mapping, the exact request, and the calls to Port for each response. Sends the request only with --send.
    Expressions can read only the environment variables in --env. In the agent, they can read all variables.
    """
    _refuse_values(reading, arrivals, responses, sending)
    if mapping.check is not None:
        return _check(mapping.check, ctx.obj, json=output.json)
    if not source and not arrivals.follows:
        raise UsageError(
            "Missing argument MESSAGE.",
            hint="Pass a message, add --kafka or --poll to show messages as they arrive, or check a mapping file with "
            "--check FILE.",
        )
    if output.raw and arrivals.follows and arrivals.count != 1:
        raise UsageError("--raw prints only one request, but more messages may arrive.", hint="Add --count 1.")
    if mapping.watch and mapping.mapping == "-":
        raise UsageError("port-hook cannot watch stdin.", hint="Pass the mapping as a file.")
    given = AgentOptions(
        runtime=ctx.obj,
        reading=reading,
        arrivals=arrivals,
        mapping=mapping,
        responses=responses,
        sending=sending,
        secret=secret,
        output=output,
    )
    if source:
        return _show_message(source, given)
    from port_hook_cli.cli.agent_streams import follow_runs, follow_topics

    return follow_runs(given) if arrivals.poll else follow_topics(given)


def _refuse_values(
    reading: AgentReading, arrivals: AgentArrivals, responses: AgentResponses, sending: AgentSending
) -> None:
    """Raise UsageError for contradictions that depend on values."""
    refuse_contradictions(
        {"--send": sending.send, "--response": responses.response is not None},
        {"--kafka": arrivals.kafka, "--transport polling": reading.transport is AgentTransport.POLLING},
        {"--poll": arrivals.poll, "--transport kafka": reading.transport is AgentTransport.KAFKA},
    )


def _check(name: str, runtime: Runtime, *, json: bool) -> ExitCode:
    """Print the problems of a mapping file. Return exit code 1 if the agent would not start or an expression fails."""
    from port_hook_cli.agent.mappings import check_mappings
    from port_hook_cli.cli.agent_screen import show_check
    from port_hook_cli.prediction.mapping import Severity

    checked = check_mappings(name, runtime)
    show_check(name, checked, runtime, json=json)
    return ExitCode.FAILED if checked.worst in {Severity.FATAL, Severity.ERROR} else ExitCode.OK


def _show_message(name: str, given: AgentOptions) -> ExitCode:
    """Show the prediction for one message. With --send, send the message's request."""
    from port_hook_cli.agent.predictor import read_message
    from port_hook_cli.terminal.console import sayer, tell

    runtime, sender = given.runtime, given.sending.sender()
    message = read_message(name, given.reading.transport, given.reading.store, runtime, sayer(runtime))
    access = given.access(needs_api=False)
    with given.predictor(access) as (predictor, screen):
        if given.mapping.watch:
            _watch(message, predictor, given, screen)
        shown = predictor.predict(message, given.mappings().read())
        if sender is not None and shown.prediction.wire is not None:
            from port_hook_cli.cli.agent_streams import send_once

            return send_once(shown, sender, screen)
        screen.show(shown)
    if shown.prediction.message.acceptance is Acceptance.BAD_SIGNATURE:
        tell(_OTHER_SECRET.line, runtime)
    return ExitCode.FAILED if given.sending.send else ExitCode.OK


def _watch(message: AgentInput, predictor: Predictor, given: AgentOptions, screen: AgentScreen) -> NoReturn:
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
