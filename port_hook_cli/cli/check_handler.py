"""Checks a handler for the command line: from the command's options to the report and the exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from port_hook_cli.captures.database.opening import store_path
from port_hook_cli.captures.store.finder import CaptureUse, Finder
from port_hook_cli.check.fault import FaultKind
from port_hook_cli.check.findings import CheckOutcome
from port_hook_cli.check.session import CheckSession
from port_hook_cli.check.sources import NoHandler, SubjectSource
from port_hook_cli.check.view import outcome_lines
from port_hook_cli.cli.check_options import CheckCommand, CheckOutput
from port_hook_cli.cli.check_output import CheckScreen
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.run_options import RunContents
from port_hook_cli.errors import MissingCredentialsError, UsageError
from port_hook_cli.files.settings_file import PROJECT_FILE
from port_hook_cli.files.user_files import check_replaceable, replace_file
from port_hook_cli.invocations.handlers import HandlerRule
from port_hook_cli.invocations.targets import is_on_this_machine, read_target
from port_hook_cli.replay.sources import KINDS
from port_hook_cli.replay.store import ReplayKeeper
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import sayer, tell
from port_hook_cli.terminal.prompts import ask_for, can_ask, confirm_in_loop
from port_hook_cli.terminal.signals import unwinding_on_sigterm
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.trigger.action_files import read_object
from port_hook_cli.trigger.outputs import LAST, read_outputs

if TYPE_CHECKING:
    from port_hook_cli.actions.action import PortAction
    from port_hook_cli.check.findings import CheckReport
    from port_hook_cli.check.session import CheckBegins
    from port_hook_cli.check.sources import FoundSubject, SubjectName
    from port_hook_cli.invocations.models import Delivery, Invocation
    from port_hook_cli.replay.rewriting import KeptReplay
    from port_hook_cli.replay.sending import Keep
    from port_hook_cli.text.secret import Masker, Secret
    from port_hook_cli.trigger.action import RunTarget
    from port_hook_cli.trigger.run_data import RunData


_HERE = "Add `--yes`, or the command that starts your handler: `-- COMMAND`."
_ELSEWHERE = "Pass a handler on this machine with --to."
_EXIT_CODES = {
    CheckOutcome.PASSED: ExitCode.OK,
    CheckOutcome.FAILED: ExitCode.FAILED,
    CheckOutcome.UNPROVED: ExitCode.UNPROVED,
    CheckOutcome.NOT_OBSERVED: ExitCode.NOT_OBSERVED,
}


def check_handler(asked: CheckCommand) -> ExitCode:
    """Run `check`, and return its exit code. Without a known handler, ask the user for the handler if possible.

    Raises the errors of `CheckSession.run`, and UsageError for invalid options.
    """
    target, runtime = asked.target.read(asked.runtime), asked.runtime
    try:
        return _check(asked, target)
    except NoHandler:  # nothing was sent
        if target.to is not None or not can_ask(runtime):
            raise
        to = ask_for("Your handler (URL or port)", _read_handler, runtime, default="8000")
    return _check(asked, replace(target, to=to))


def _read_handler(text: str) -> str:
    return read_target(text, "Your handler")


def _check(asked: CheckCommand, target: RunTarget) -> ExitCode:
    runtime, output = asked.runtime, asked.output
    path = store_path(output.store, runtime.cwd)
    if output.junit is not None:  # checked before anything is sent
        from port_hook_cli.check.junit import is_junit

        check_replaceable(output.junit, "a JUnit report", is_junit, cwd=runtime.cwd)
    screen = CheckScreen(asked.plan, runtime, as_json=output.json, starts_handler=bool(asked.words))
    forms, outputs = _Forms(asked.run, runtime), asked.run.files.get("outputs")
    uses_last_outputs = outputs == LAST
    with (
        unwinding_on_sigterm(),
        closing(Finder(output.store, runtime, CaptureUse.SEND, sayer(runtime), kinds=KINDS)) as finder,
        closing(_Saver(path, runtime)) as saver,
        closing(screen),
    ):
        access = asked.credentials.access(runtime)
        source = SubjectSource(
            finder=finder,
            access=access,
            runtime=runtime,
            say=sayer(runtime),
            target=replace(target, handler=HandlerRule(project=asked.handler, last=finder.last_target).url),
            run_data=forms.read,
            outputs=None if uses_last_outputs else read_object(outputs, runtime, read_outputs),
            uses_last_outputs=uses_last_outputs,
        )
        session = CheckSession(
            name=asked.source,
            source=_StrictSource(source, forms),
            plan=asked.plan,
            access=access,
            runtime=runtime,
            command=asked.words,
            may_leave=target.to_its_url,
            trust=asked.target.trust(runtime),
            keep=saver.keep_with,
        )
        report = _checked(session, partial(_begin, screen=screen, runtime=runtime, asks=not asked.target.yes), screen)
    if report is None:
        return ExitCode.INTERRUPTED
    is_unknown = report.fault is not None and report.fault.kind is FaultKind.NOT_FOUND
    if is_unknown and not asked.words and (place := access.settings.secret_place) != PROJECT_FILE:
        tell(f"note: client secret from {printable(place)}", runtime)
    return _finish(report, output, screen, runtime)


def _checked(
    session: CheckSession, begin: Callable[[CheckBegins], Awaitable[None]], screen: CheckScreen
) -> CheckReport | None:
    """Check the handler. Return the report, or None after Ctrl-C. By then, the handler's process has ended."""
    from port_hook_cli.listener.handler_process import NotReadyError

    try:
        return asyncio.run(session.run(begin, screen.add, screen.tell_search))
    except KeyboardInterrupt:
        screen.interrupt()
        return None
    except NotReadyError as problem:
        screen.tell_output(problem.output)
        raise
    except MissingCredentialsError as problem:
        if not session.command and session.access.settings.client_secret is None:
            start = "To check without an account, add the command that starts the handler: `-- COMMAND`."
            problem.hint = f"{start} {problem.hint}"
        raise


async def _begin(begins: CheckBegins, *, screen: CheckScreen, runtime: Runtime, asks: bool) -> None:
    """Ask before sending to a handler that the check did not start, then print what is sent.

    A handler on this machine is checked without a question if port-hook cannot ask. Raises UsageError if the user
    declines.
    """
    is_here = is_on_this_machine(begins.subject.url)
    if asks and not begins.starts_handler and (not is_here or can_ask(runtime)):
        work = f"About {begins.valid_requests} valid requests may start real work."
        question = f"{work} Check {printable(begins.url)}?"
        if not await confirm_in_loop(question, runtime, default=False):
            hint = _HERE if is_here else _ELSEWHERE
            raise UsageError("Nothing was sent.", hint=hint)
    screen.begin(begins)


def _finish(report: CheckReport, output: CheckOutput, screen: CheckScreen, runtime: Runtime) -> ExitCode:
    """Print and save the report, and return the exit code."""
    screen.finish(report, strict=output.strict)
    outcome = report.outcome(strict=output.strict)
    if outcome is not CheckOutcome.PASSED:
        screen.tell_output(report.output, only_errors=True)
    if output.junit is not None:
        from port_hook_cli.check.junit import junit_report

        replace_file(output.junit, junit_report(report, screen.url, strict=output.strict), cwd=runtime.cwd)
        tell(f"note: wrote the JUnit report to {printable(output.junit)}", runtime)
    for line in outcome_lines(report, strict=output.strict):
        tell(line, runtime)
    return _EXIT_CODES[outcome]


class _Forms:
    """Reads the options of a run for an action or a workflow, and records whether they were used."""

    def __init__(self, run: RunContents, runtime: Runtime) -> None:
        self._run, self._runtime = run, runtime
        self._is_used = False

    def read(self, form: PortAction) -> RunData:
        """Return the run data for the action, or for the workflow's form as an action."""
        self._is_used = True
        return self._run.read(form, self._runtime)

    def refuse_unused(self, name: str) -> None:
        """Raise UsageError for options of a run if the request is a capture or a payload."""
        if not self._is_used and (given := self._run.given):
            raise UsageError(
                f"{given[0]} has no effect: {brief(name)} is a capture or a payload, which already has its inputs.",
                hint="Leave it out, or use an action.",
            )


class _StrictSource(NamedTuple):
    """Finds the request. Raises UsageError if it does not use the options of a run."""

    source: SubjectSource
    forms: _Forms

    async def find(self, name: SubjectName | None, secret: Callable[[], Secret], /) -> FoundSubject:
        """Return the request that `name` means."""
        found = await self.source.find(name, secret)
        self.forms.refuse_unused(found.subject.name)
        return found


class _Saver:
    """Saves the requests of findings in the store, which it opens if needed. Close the saver after use."""

    def __init__(self, path: Path, runtime: Runtime) -> None:
        self._path, self._runtime = path, runtime
        self._keeper: ReplayKeeper | None = None

    def keep_with(self, secret: Secret, masker: Masker) -> Keep:
        """Return the function that saves requests signed with `secret`. The function warns if saving fails."""
        self._keeper = keeper = ReplayKeeper(self._path, secret, creates=True, masker=masker)

        async def keep(request: Invocation, delivery: Delivery) -> KeptReplay:
            kept = await keeper.keep(request, delivery)
            if kept.problem:
                tell(f"warning: the requests of findings were not saved: {printable(kept.problem)}", self._runtime)
            return kept

        return keep

    def close(self) -> None:
        """Close the store."""
        if self._keeper is not None:
            self._keeper.close()
