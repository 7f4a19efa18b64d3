"""What `agent` does after its options are read: predict, show, and if asked to, send and report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from port_hook_cli.agent.mapping import AgentMapping, MappingProblem, Severity
from port_hook_cli.agent.response import default_responses
from port_hook_cli.agent_view.inputs import (
    load_mappings,
    mapping_file,
    read_message,
    read_response,
    read_variables,
)
from port_hook_cli.agent_view.plan import AgentPlan
from port_hook_cli.agent_view.session import AgentSession, predict_session
from port_hook_cli.agent_view.showing import print_raw, show_prediction
from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.errors import ExitCode, PortHookError, UsageError
from port_hook_cli.port_api.credentials import read_settings
from port_hook_cli.port_api.settings import ALL_NEEDS, ONLY_THE_SECRET
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import tell
from port_hook_cli.text.safe import printable

_MOST_PROBLEMS = 20
_WATCH_INTERVAL_S = 0.3


def run_agent(plan: AgentPlan, runtime: Runtime) -> ExitCode:
    """Carry out `plan`; raises the PortHookErrors of files, settings and expressions."""
    document = read_message(plan, runtime)
    response = read_response(plan, runtime)
    variables = read_variables(plan, runtime)
    needs = ALL_NEEDS if plan.report else ONLY_THE_SECRET
    settings = read_settings(
        runtime, org=plan.org, secret_file=plan.secret_file, needs=needs, insecure_api=plan.insecure_api
    )
    settings.require_secret()
    with AgentJq(variables) as jq:
        session = AgentSession(
            plan=plan,
            runtime=runtime,
            document=document,
            settings=settings,
            variables=variables,
            responses=default_responses() if response is None else (response,),
            jq=jq,
        )
        return _watch(session) if plan.watch else _once(session)


def _once(session: AgentSession) -> ExitCode:
    mappings, problems = _mappings(session)
    if has_fatal(problems):
        raise invalid_mappings(problems)
    shown = predict_session(session, mappings)
    if session.plan.raw:
        return print_raw(shown, session.runtime)
    if session.plan.send and shown.prediction.wire is not None:
        from port_hook_cli.agent_view.sending import send_prediction

        return asyncio.run(send_prediction(session, shown))
    show_prediction(session, shown)
    return ExitCode.FAILED if session.plan.send else ExitCode.OK


def _mappings(session: AgentSession) -> tuple[tuple[AgentMapping, ...], tuple[MappingProblem, ...]]:
    name = mapping_file(session.plan, session.runtime)
    line = (
        f"note: mappings from {name}" if name else "note: no mapping file, so the agent's default for webhooks is used"
    )
    if session.plan.mapping is None and session.runtime.memory.is_new(line):
        tell(printable(line), session.runtime)
    mappings, problems = load_mappings(name, session.runtime)
    for problem in problems[:_MOST_PROBLEMS]:
        text = f"{'error' if problem.severity is Severity.FATAL else 'warning'}: {problem.place} {problem.message}"
        if session.runtime.memory.is_new(text):
            tell(printable(text), session.runtime)
    if len(problems) > _MOST_PROBLEMS:
        tell(f"warning: {len(problems) - _MOST_PROBLEMS:,} more problems; --check lists all", session.runtime)
    return mappings, problems


def has_fatal(problems: Sequence[MappingProblem]) -> bool:
    """Return whether the agent does not start with a mapping file."""
    return any(problem.severity is Severity.FATAL for problem in problems)


def invalid_mappings(problems: Sequence[MappingProblem]) -> PortHookError:
    """Return the error for a mapping file with which the agent does not start."""
    first = next(problem for problem in problems if problem.severity is Severity.FATAL)
    return UsageError(
        f"The agent does not start with this mapping file: {printable(first.place)} {printable(first.message)}.",
        hint="`port-hook agent --check FILE` lists all problems.",
    )


def _watch(session: AgentSession) -> ExitCode:
    """Show the prediction again whenever the mapping file changes, until Ctrl-C."""
    name = mapping_file(session.plan, session.runtime)
    if name is None:
        raise UsageError("There is no mapping file to watch.", hint="Name it with --mapping FILE.")
    last: tuple[int | None, ...] | None = None
    while True:
        version = _version(session, name)
        if version != last:
            if last is not None and not session.plan.json:
                print(f"\n--- {printable(name)} has changed\n", file=session.runtime.stdout, flush=True)
            last = version
            _show_again(session)
        time.sleep(_WATCH_INTERVAL_S)


def _version(session: AgentSession, name: str) -> tuple[int | None, ...]:
    """Return what changes when the file is saved."""
    try:
        found = (session.runtime.cwd / name).stat()
    except OSError as error:  # an editor may replace the file
        return (error.errno,)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _show_again(session: AgentSession) -> None:
    session.runtime.memory.told.clear()
    try:
        mappings, problems = _mappings(session)
        if not has_fatal(problems):
            show_prediction(session, predict_session(session, mappings))
    except PortHookError as problem:  # the file is being edited
        tell(f"error: {problem.message}", session.runtime)
    session.runtime.stdout.flush()
