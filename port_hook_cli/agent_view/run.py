"""What `agent` does after its options are read: predict, show, and if asked to, send and report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from port_hook_cli.agent_view.inputs import read_message, read_response, read_variables
from port_hook_cli.agent_view.mappings import WatchedMappings, session_mappings, stream_mappings
from port_hook_cli.agent_view.plan import AgentPlan, StreamPlan
from port_hook_cli.agent_view.session import AgentInput, AgentSession, ShownPrediction, predict_input
from port_hook_cli.agent_view.showing import print_raw, show_prediction
from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.errors import ExitCode, PortHookError
from port_hook_cli.port_api.credentials import read_settings
from port_hook_cli.port_api.settings import ALL_NEEDS, ONLY_THE_SECRET, Settings
from port_hook_cli.prediction.mapping import AgentMapping
from port_hook_cli.prediction.message import Acceptance, AgentTransport
from port_hook_cli.prediction.response import default_responses
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import tell
from port_hook_cli.text.safe import printable

WATCH_INTERVAL_S = 0.3
_DROPPED = (
    "hint: Another client secret may have signed it: without --state, each start of a sandbox makes a new one. To see "
    "what would be sent, remove the two signature headers from the message."
)


def run_agent(plan: AgentPlan, runtime: Runtime) -> ExitCode:
    """Carry out `plan`; raises the PortHookErrors of files, settings, connections and expressions."""
    if isinstance(plan.source, StreamPlan):
        return _run_stream(plan, plan.source, runtime)
    message = read_message(plan.source, plan, runtime)
    return _with_session(plan, runtime, _settings(plan, runtime, needs_api=plan.report), lambda it: _run(it, message))


def _run_stream(plan: AgentPlan, stream: StreamPlan, runtime: Runtime) -> ExitCode:
    """Show messages as they arrive."""
    if stream.transport is AgentTransport.KAFKA:
        from port_hook_cli.agent_view.topics import open_topics, show_topics

        found: list[Settings] = []
        opening = open_topics(plan, stream, runtime, lambda: found[0])
        found.append(_settings(plan, runtime, needs_api=plan.report or opening.needs_api))
        return _with_session(
            plan, runtime, found[0], lambda it: _await(show_topics(it, stream, stream_mappings(it), opening))
        )
    from port_hook_cli.agent_view.polling import show_runs

    settings = _settings(plan, runtime, needs_api=True)
    return _with_session(plan, runtime, settings, lambda it: _await(show_runs(it, stream, stream_mappings(it))))


def _await(work: Coroutine[Any, Any, ExitCode]) -> ExitCode:
    return asyncio.run(work)


def _settings(plan: AgentPlan, runtime: Runtime, *, needs_api: bool) -> Settings:
    needs = ALL_NEEDS if needs_api else ONLY_THE_SECRET
    return read_settings(
        runtime, org=plan.org, secret_file=plan.secret_file, needs=needs, insecure_api=plan.insecure_api
    )


def _with_session(
    plan: AgentPlan, runtime: Runtime, settings: Settings, work: Callable[[AgentSession], ExitCode]
) -> ExitCode:
    response = read_response(plan, runtime)
    variables = read_variables(plan, runtime)
    settings.require_secret()
    with AgentJq(variables) as jq:
        responses = default_responses() if response is None else (response,)
        return work(
            AgentSession(plan=plan, runtime=runtime, settings=settings, variables=variables, responses=responses, jq=jq)
        )


def _run(session: AgentSession, message: AgentInput) -> ExitCode:
    if session.plan.watch:
        _watch(session, message)
    shown = predict_input(session, message, session_mappings(session))
    if session.plan.raw:
        return print_raw(shown, session.runtime)
    if session.plan.send and shown.prediction.wire is not None:
        from port_hook_cli.agent_view.sending import send_once

        return asyncio.run(send_once(session, shown))
    show_prediction(session, shown)
    _explain_drop(session, shown)
    return ExitCode.FAILED if session.plan.send else ExitCode.OK


def _explain_drop(session: AgentSession, shown: ShownPrediction) -> None:
    """Say what to do about a message whose signature the agent would not accept."""
    if shown.prediction.message.acceptance is Acceptance.BAD_SIGNATURE:
        tell(_DROPPED, session.runtime)


def _watch(session: AgentSession, message: AgentInput) -> NoReturn:
    """Show the prediction again whenever the mapping file changes, until Ctrl-C."""
    watched = WatchedMappings(session)
    is_first = True
    while True:
        if watched.has_changed():
            if not is_first and not session.plan.json:
                print(f"\n--- {printable(watched.name)} has changed\n", file=session.runtime.stdout, flush=True)
            is_first = False
            mappings = watched.read()
            if mappings is not None:
                _show_again(session, message, mappings)
            session.runtime.stdout.flush()
        time.sleep(WATCH_INTERVAL_S)


def _show_again(session: AgentSession, message: AgentInput, mappings: tuple[AgentMapping, ...]) -> None:
    try:
        show_prediction(session, predict_input(session, message, mappings))
    except PortHookError as problem:  # an expression is being edited
        tell(f"error: {problem.message}", session.runtime)
