"""The command `port-hook report-run`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from port_hook_cli.captures.latest import parse_latest
from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import (
    also,
    argument,
    command,
    option,
    option_group,
    refuse_contradictions,
    short_option,
)
from port_hook_cli.cli.run_names import find_run
from port_hook_cli.errors import PortApiError, RunEndedError, UsageError
from port_hook_cli.files.user_files import read_input
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.reporting.report import log_batches, planned_calls, send_report
from port_hook_cli.runs.output_options import read_output
from port_hook_cli.runs.updates import (
    Call,
    LogLevel,
    Reported,
    ReportPlan,
    RunReport,
    RunStatus,
    is_node_run,
    plan_report,
)
from port_hook_cli.runs.urls import run_page
from port_hook_cli.runs.view import dry_run_record, format_call, format_reported, pending_record, report_record
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import emit, sayer, tell
from port_hook_cli.text.safe import printable

if TYPE_CHECKING:
    from port_hook_cli.reporting.command_report import CommandResult
    from port_hook_cli.reporting.delivery import SentPending

_COMMAND = "a command after --"
_REPORTS = (
    "--status", "--label", "--summary", "--link", "--external-run-id", "--log", "--log-file", "--log-level", "--output",
    "--dry-run",
)  # fmt: skip


@option_group()
class ReportOptions:
    """The options for the content of the report."""

    status: Annotated[
        RunStatus | None,
        short_option(
            "--status",
            help="End the run with this status: success, failure (or failed) or cancelled. Sends it last.",
            metavar="STATUS",
            excludes=(_COMMAND,),
            case_sensitive=False,
        ),
    ] = None
    log: Annotated[
        list[str] | None,
        short_option("--log", help="A log message (repeatable). Sends messages in order.", metavar="T"),
    ] = None
    summary: Annotated[
        str | None,
        short_option("--summary", help="The run's summary, or @FILE to read it.", metavar="T|@FILE", may_be_empty=True),
    ] = None
    label: Annotated[
        str | None,
        short_option("--label", help="The status label shown next to the run.", metavar="T", may_be_empty=True),
    ] = None
    link: Annotated[
        list[str] | None,
        short_option("--link", help="A link for the run's page (repeatable).", metavar="URL"),
    ] = None
    output: Annotated[
        list[str] | None,
        short_option(
            "--output",
            help="The output of a workflow node run: a JSON object, @FILE, or one value at a path (repeatable).",
            metavar="JSON|PATH=JSON",
        ),
    ] = None
    external_run_id: Annotated[
        str | None,
        option("--external-run-id", help="The run's ID in your own system.", metavar="ID", may_be_empty=True),
    ] = None
    log_file: Annotated[
        str | None,
        short_option(
            "--log-file",
            help="A file to send as log messages, or - to send stdin as it arrives.",
            metavar="FILE|-",
            excludes=(_COMMAND,),
        ),
    ] = None
    log_level: Annotated[
        LogLevel | None,
        option("--log-level", help="The level of the log messages of a workflow node run. Default: info."),
    ] = None

    def read(self, runtime: Runtime) -> RunReport:
        """Return the report, without the log messages that stdin streams.

        Raises UsageError for an invalid output, SourceError for an invalid output in a file, and StoreError for an
        unreadable file.
        """
        return RunReport(
            status=self.status,
            label=self.label,
            summary=_text(self.summary, runtime),
            links=tuple(self.link or ()),
            external_run_id=self.external_run_id,
            logs=(*(self.log or ()), *_file_logs(self.log_file, runtime)),
            log_level=self.log_level,
            output=read_output(self.output or (), lambda text: _text(text, runtime) or ""),
        )


@command
def report_run(
    ctx: typer.Context,
    run_id: Annotated[
        str | None,
        argument(
            help="A run ID, or `last`: the run of the latest verified request.",
            metavar="RUN_ID|last",
            completes="runs_to_report",
        ),
    ] = None,
    command_to_run: Annotated[
        list[str] | None,
        argument(
            help="The command to run. port-hook sends its output as log lines, sets the status from its exit code, and "
            "exits with that code.",
            metavar="-- COMMAND...",
            name=_COMMAND,
        ),
    ] = None,
    *,
    reported: ReportOptions,
    pending: Annotated[
        bool,
        short_option(
            "--pending",
            help="Send the saved reports of commands (after --) that haven't reached Port.",
            excludes=(_COMMAND, *_REPORTS),
        ),
    ] = False,
    dry_run: Annotated[options.DryRun, also(excludes=(_COMMAND,), in_short_help=True)] = False,
    as_json: Annotated[options.Json, also(excludes=(_COMMAND,))] = False,
    credentials: options.CredentialOptions,
    store: options.Store = None,
) -> int:
    """Report a run's progress and result.

    Sends logs first, then label, summary, links and external ID, and the status last, because Port rejects the others
    after a run has ended.
    """
    runtime: Runtime = ctx.obj
    words = command_to_run or []
    refuse_contradictions(
        stdin=(
            ("the log", reported.log_file),
            ("the summary", "-" if reported.summary == "@-" else None),
            ("the output", "-" if "@-" in (reported.output or ()) else None),
            ("the secret", credentials.secret_file),
            ("the command", "-" if words else None),
        ),
    )
    access = credentials.access(runtime, needs=("api_url",) if dry_run else None)
    if pending:
        _ = access.settings  # read first, as for other reports
        named = None if run_id is None else find_run(run_id, store, runtime)
        return _report_pending(named, access, runtime, as_json=as_json)
    if run_id is None:
        raise UsageError("Missing argument RUN_ID.", hint="Pass a run ID, such as r_…, or `last`.")
    report = reported.read(runtime)
    if report.is_empty and reported.log_file is None and not words:
        raise UsageError(
            "The report is empty.",
            hint="Add --status, --log, --summary, --label, --link, --output, or a command after `--`.",
        )
    plan = plan_report(find_run(run_id, store, runtime), report)
    for remark in plan.remarks:
        _note(remark, runtime)
    if words:
        return _report_while_running(words, plan.run_id, report, access, runtime)
    streamed = reported.log_file == "-"
    if dry_run:
        settings = access.settings
        _print_calls(asyncio.run(_collect(plan, runtime, streamed)), plan.run_id, settings.api_url, runtime, as_json)
    else:
        with _naming_another_run(run_id, plan.run_id):
            reported_now = asyncio.run(_send(plan, access, runtime, streamed))
        _print_reported(reported_now, access, runtime, as_json)
    return ExitCode.OK


@contextmanager
def _naming_another_run(name: str, run_id: str) -> Iterator[None]:
    """If `last` is a run that has ended, explain how to report another run."""
    try:
        yield
    except RunEndedError as problem:
        if parse_latest(name) is None:
            raise
        hint = (
            f"`{name}` is {printable(run_id)}. Pass another run ID (`port-hook captures` lists them), or send only log "
            "messages."
        )
        raise RunEndedError(problem.message, hint=hint) from problem


def _report_while_running(
    words: Sequence[str], run_id: str, given: RunReport, access: PortAccess, runtime: Runtime
) -> int:
    """Run a command, report it, and return its exit code."""
    from port_hook_cli.reporting.command_report import ReportedCommand, report_command

    api_url = access.settings.require_access().api_url
    reported = ReportedCommand(words=words, run_id=run_id, given=given, api_url=api_url)
    result = asyncio.run(report_command(reported, runtime, access.client, sayer(runtime)))
    _tell_result(result, _page(access, run_id), runtime)
    return result.exit_code


def _report_pending(run_id: str | None, access: PortAccess, runtime: Runtime, *, as_json: bool) -> ExitCode:
    """Send the saved reports, print the outcome of each, and return the exit code."""
    from port_hook_cli.reporting.delivery import PendingOutcome, send_pending
    from port_hook_cli.reporting.kept_report import KeptReports

    api_url = access.settings.require_access().api_url
    good = {PendingOutcome.SENT, PendingOutcome.OPEN, PendingOutcome.IN_USE}

    async def send() -> tuple[int, bool]:
        count, all_good = 0, True
        async with access.client(on_retry=lambda words: tell(f"note: {words}", runtime)) as api:
            async for sent in send_pending(KeptReports(runtime.home), api, api_url=api_url, run_id=run_id):
                count, all_good = count + 1, all_good and sent.outcome in good
                _print_pending(sent, access, runtime, as_json=as_json)
        return count, all_good

    count, all_good = asyncio.run(send())
    if not count:
        _note("no report is pending", runtime)
    return ExitCode.OK if all_good else ExitCode.FAILED


def _tell_result(result: CommandResult, page: str, runtime: Runtime) -> None:
    if result.dropped:
        tell(f"warning: {result.dropped} log lines could not be saved, so they are not reported.", runtime)
    if result.problem is None:
        tell(f"note: {format_reported(result.reported, page)}", runtime)
        return
    tell(f"warning: {printable(result.problem.message)} {printable(result.problem.hint)}".rstrip(), runtime)
    if result.kept_in is not None:
        tell("hint: The rest of the report is saved. Send it with `port-hook report-run --pending`.", runtime)


def _print_pending(sent: SentPending, access: PortAccess, runtime: Runtime, *, as_json: bool) -> None:
    page = _page(access, sent.reported.run_id)
    if as_json:
        emit(pending_record(sent.reported, page=page, outcome=sent.outcome, message=sent.message), runtime.stdout)
    elif sent.outcome in {"sent", "open"}:
        print(format_reported(sent.reported, page), file=runtime.stdout)
        if sent.outcome == "open":
            _note("port-hook was killed before this command ended. Report its status yourself", runtime)
    elif sent.outcome == "in-use":
        _note("another process is sending a report now", runtime)
    else:
        tell(f"error: {printable(sent.message)}", runtime)
        if sent.hint:
            tell(f"hint: {printable(sent.hint)}", runtime)
        if sent.outcome in {"failed", "elsewhere"}:
            tell(f"hint: The report is in {printable(str(sent.folder))}. Delete that directory to discard it.", runtime)


def _page(access: PortAccess, run_id: str) -> str:
    return "" if not run_id or is_node_run(run_id) else run_page(access.settings.app_url, run_id)


async def _send(plan: ReportPlan, access: PortAccess, runtime: Runtime, streamed: bool) -> Reported:
    from port_hook_cli.reporting.report import StreamChunks

    async with access.client(on_retry=lambda words: _note(words, runtime)) as api:
        if not streamed:
            return await send_report(api, plan)
        chunks = StreamChunks(runtime.stdin)
        try:
            return await send_report(api, plan, log_batches(chunks))
        except PortApiError as problem:
            _note(
                f"{problem.message} port-hook reads the rest without sending it, so that your program can finish.",
                runtime,
            )
            await chunks.drain()
            raise


async def _collect(plan: ReportPlan, runtime: Runtime, streamed: bool) -> list[Call]:
    from port_hook_cli.reporting.report import StreamChunks

    logs = log_batches(StreamChunks(runtime.stdin)) if streamed else None
    return [call async for call in planned_calls(plan, logs)]


def _print_reported(reported: Reported, access: PortAccess, runtime: Runtime, as_json: bool) -> None:
    page = _page(access, reported.run_id)
    if as_json:
        emit(report_record(reported, page=page), runtime.stdout)
    else:
        print(format_reported(reported, page), file=runtime.stdout)


def _print_calls(calls: list[Call], run_id: str, api_url: str, runtime: Runtime, as_json: bool) -> None:
    if as_json:
        emit(dry_run_record(run_id, calls, api_url=api_url), runtime.stdout)
        return
    for call in calls:
        print(format_call(call, api_url), file=runtime.stdout)


def _text(given: str | None, runtime: Runtime) -> str | None:
    """Return the text of an option, or the content of the file for `@FILE`."""
    if given is None or not given.startswith("@"):
        return given
    return read_input(given[1:], cwd=runtime.cwd, stdin=runtime.stdin).decode("utf-8", "replace")


def _file_logs(name: str | None, runtime: Runtime) -> tuple[str, ...]:
    if name is None or name == "-":
        return ()
    text = read_input(name, cwd=runtime.cwd, stdin=runtime.stdin).decode("utf-8", "replace").rstrip("\r\n")
    return (text,) if text.strip() else ()


def _note(words: str, runtime: Runtime) -> None:
    tell(f"note: {printable(words)}", runtime)
